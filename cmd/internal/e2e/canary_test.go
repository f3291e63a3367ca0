package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
)

// canary is part of every value that the test sends. The log, the metrics and the traces must not
// contain it.
const canary = "canary"

// canaryHeaders sets the headers that servers and their libraries often record to canaries.
func canaryHeaders(r *http.Request) {
	for _, name := range []string{
		"User-Agent", "Referer", "Cookie", "Origin", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "From", "Via",
		"X-Http-Method-Override", "Accept-Language", "X-Canary", "X-B3-Traceid", "Idempotency-Key", "Apollographql-Client-Name", "Sec-Ch-Ua",
	} {
		r.Header.Set(name, canary+" in a header")
	}
	r.Header.Set("X-Request-Id", canary+" is not well-formed")
	r.Header.Set("Tracestate", canary+"=1")
	r.Header.Set("Baggage", canary+"="+canary)
	r.Header.Set("Accept", "application/json, text/"+canary)
	r.Host = canary + ".example.com"
}

// sendCanaries sends canaries in every part of well-formed and malformed requests to both APIs. n
// makes the canaries of each round different.
func sendCanaries(t *testing.T, d *harness.Server, keys []auth.Secret, n int) {
	word := fmt.Sprintf("%s%d", canary, n)
	customer := fmt.Sprintf(`{"email":"%[1]s@example.com","name":"%[1]s","userId":"%[1]s","billingAddressLine1":"%[1]s","billingAddressLine2":"%[1]s","billingCity":"%[1]s","billingPostalCode":"%[1]s","taxId":"%[1]s"`, word)
	text := func(query, variables string) string {
		return fmt.Sprintf(`{"query":%s,"variables":%s,"operationName":"%s","extensions":{"%s":1}}`, harness.JSON(t, query), variables, word, word)
	}
	for _, key := range keys {
		for _, request := range [][3]string{
			{"POST", "/api/customers", customer + `}`},
			{"POST", "/api/customers", customer + `,"` + word + `":1,"taxId":1}`},
			{"POST", "/api/customers", customer},
			{"POST", "/api/customers?" + word + "=" + word, customer + `,"dangerouslyAllowSameEmailForDifferentCustomers":true}`},
			{"GET", "/api/customers?limit=5&email=" + word + "@example.com&userId=" + word + "&" + word, ""},
			{"GET", "/api/customers?updatedSince=" + word + "&cursor=" + word, ""},
			{"GET", "/api/customers/cust_" + word, ""}, {"GET", "/api/customers/" + word, ""}, {"PATCH", "/api/customers/cust_" + word, customer + `}`},
			{"DELETE", "/api/customers/cust_" + word, ""}, {"GET", "/api/customers/a/" + word, ""}, {"GET", "/api//" + word, ""}, {"GET", "/" + word, ""},
			{"POST", "/api/access-tokens", `{"customerId":"cust_` + word + `","` + word + `":1}`}, {"GET", "/docs/assets/" + word + ".js", ""},
			{"GET", "/playground/" + word, ""}, {strings.ToUpper(word), "/api/customers", ""}, {strings.ToUpper(word), "/graphql", ""}, {strings.ToUpper(word), "/" + word, ""},
			{"GET", "/metrics/" + word, ""}, {"GET", "/debug/pprof/" + word, ""}, {"POST", "/graphql", word}, {"POST", "/graphql?" + word, `{"documentId":"` + word + `"}`},
			{"POST", "/graphql", text(`query `+word+`($`+word+`:ID!){`+word+`:customer(id:$`+word+`){`+word+`:id email}}`, `{"`+word+`":"cust_`+word+`","x`+word+`":1}`)},
			{"POST", "/graphql", text(`query `+word+`{customers(filter:{email:"`+word+`@example.com",userId:"`+word+`",search:"`+word+`"}){totalCount nodes{`+word+`:email}}}`, `null`)},
			{"POST", "/graphql", text(`query `+word+`{customers(filter:{billingCountry:"`+word+`"},after:"`+word+`"){totalCount}}`, `null`)},
			{"POST", "/graphql", text(`query `+word+`{`+word+`(`+word+`:"`+word+`"){id}}`, `null`)},
			{"POST", "/graphql", text(`query `+word+`{...`+word+` @`+word+`} fragment `+word+` on Query{merchant{id}}`, `null`)},
			{"POST", "/graphql", text(`query `+word+`{...`+word+`} fragment `+word+` on Query{`+word+`:merchant{id}}`, `null`)},
			{"POST", "/graphql", text(word, `null`)},
			{"POST", "/graphql", text(`{customer("`+word+`"){id}}`, `null`)}, {"POST", "/graphql", text(`{customers(first:"`+word+`"){totalCount}}`, `null`)},
			{"POST", "/graphql", text(`{customers(sort:{field:`+word+`}){totalCount}}`, `null`)}, {"POST", "/graphql", text(`query($n:Int){customers(first:$n){totalCount}}`, `{"n":"`+word+`"}`)},
			{"POST", "/graphql", text(`mutation `+word+`($in:CreateCustomerInput!){`+word+`:createCustomer(input:$in){customer{`+word+`:id} userErrors{message}}}`, `{"in":`+customer+`}}`)},
			{"POST", "/graphql", text(`mutation `+word+`($in:UpdateCustomerInput!){`+word+`:updateCustomer(id:"cust_`+word+`",input:$in){userErrors{message}}}`, `{"in":`+customer+`}}`)},
		} {
			d.Send(t, key, request[0], request[1], request[2], canaryHeaders)
		}
	}
}

// TestTelemetryHoldsNoClientValues sends canaries in every place that a client can choose and
// searches the log, the metrics and the traces for them. It fails if one of them records a value of
// a client's, also from a statement that fails, or if client values create new series of metrics.
func TestTelemetryHoldsNoClientValues(t *testing.T) {
	collector := openCollector(t)
	d := harness.Serve(t, "--playground")
	m := d.Merchant(t, "Watched")
	keys := []auth.Secret{m.WriteKey, m.ReadKey, canary, "lumen_sk_" + canary, "eyJ" + canary}
	sendCanaries(t, d, keys, 0)
	after := requireClosedLabels(t, d.Metrics(t))
	sendCanaries(t, d, keys, 1)
	id := d.Create(t, m, `{"email":"else@example.com"}`)
	d.Send(t, m.ReadKey, "GET", "/api/customers/"+id, "", canaryHeaders)

	// Statements that fail must not leak values either: the log contains their causes.
	d.SQL(t, "ALTER TABLE customers RENAME TO mislaid")
	sendCanaries(t, d, keys, 2)
	d.SQL(t, "ALTER TABLE mislaid RENAME TO customers")

	const last = "8af7651916cd43dd8448eb211c80319c"
	d.Send(t, m.ReadKey, "GET", "/api/customers/"+id, "", canaryHeaders, header("traceparent", "00-"+last+"-"+callerSpan+"-01"))
	collector.trace(t, last, "GET /api/customers/{id}", "SELECT customers")
	collector.mu.Lock()
	defer collector.mu.Unlock()
	metrics := d.Metrics(t)
	for source, text := range map[string]string{
		"log": harness.WithoutCustomers(d.Logged()), "metrics": metrics, "traces": collector.received.String(),
	} {
		for line := range strings.Lines(text) {
			require.NotContains(t, strings.ToLower(line), canary, source)
			require.NotContains(t, line, id, source)
		}
		require.Contains(t, text, "updateCustomer", source)
	}
	require.Greater(t, len(collector.spans), 500)
	require.True(t, bytes.Contains(collector.received.Bytes(), []byte(m.ID)), "the traces name the merchant")

	// Requests create only series with labels of closed sets, and the later rounds nearly none.
	require.LessOrEqual(t, requireClosedLabels(t, metrics), after+30)
}
