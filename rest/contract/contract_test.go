package contract_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/rest/contract"
)

// exchange is a request and its reply.
type exchange struct {
	method, url, body string
	status            int
	header            http.Header
	reply             string
}

// RoundTrip implements http.RoundTripper. It reads the request, as a server does, and returns the
// reply.
func (e exchange) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		_, _ = io.Copy(io.Discard, request.Body)
	}
	return &http.Response{StatusCode: e.status, Header: e.header, Body: io.NopCloser(strings.NewReader(e.reply)), Request: request, ContentLength: -1}, nil
}

// loaded returns the contract of the REST API. It is loaded once, which takes 0.2 s.
var loaded = sync.OnceValues(func() (*contract.Contract, error) {
	document, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		return nil, err
	}
	return contract.Load(document)
})

// reports returns the reports of a Transport about the exchange.
func (e exchange) reports(t *testing.T, read func(io.Reader)) []string {
	t.Helper()
	c, err := loaded()
	require.NoError(t, err)

	var reported []string
	client := http.Client{Transport: c.Transport(e, func(format string, args ...any) { reported = append(reported, fmt.Sprintf(format, args...)) })}
	request, err := http.NewRequestWithContext(t.Context(), e.method, "http://127.0.0.1"+e.url, strings.NewReader(e.body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer key")
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	require.NoError(t, err)
	read(response.Body)
	require.NoError(t, response.Body.Close())
	return reported
}

func all(r io.Reader) { _, _ = io.Copy(io.Discard, r) }

func header(pairs ...string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"request-1"}, "Etag": {`"7"`}}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func without(h http.Header, name string) http.Header {
	h.Del(name)
	return h
}

const (
	customer = `{"id":"cust_1","email":"a@example.com","name":null,"userId":null,"billingAddressLine1":null,"billingAddressLine2":null,` +
		`"billingCity":null,"billingPostalCode":null,"billingCountry":"US","taxId":null,"merchantId":"merchant_1",` +
		`"createdAt":"2024-01-01T00:00:00.000Z","updatedAt":"2024-01-01T00:00:00.000Z","deletedAt":null}`
	one      = `{"customer":` + customer + `}`
	list     = `{"customers":[` + customer + `]}`
	location = "/api/customers/cust_1"
)

func TestAcceptsDocumentedTraffic(t *testing.T) {
	t.Parallel()
	wide := strings.Repeat("ä", 255)
	for _, e := range []exchange{
		{"GET", "/api/customers", "", 200, header(), list},
		{"GET", "/api/customers?limit=250&updatedSince=2024-01-01T00:00:00Z&more=1", "", 200, header(), `{"customers":[],"nextCursor":null}`},
		{"GET", "/api/customers?updatedSince=2024-01-01T00:00:00+02:00", "", 200, header(), list},
		{"HEAD", "/api/customers", "", 200, header(), ""},
		{"HEAD", "/api/customers/cust_9", "", 404, header(), ""},
		{"GET", "/api/customers/cust_1", "", 200, header(), one},
		{"GET", "/api/customers/cust_1", "", 304, header(), ""},
		{"GET", "/api/customers/nonsense", "", 400, header(), `{"error":"Invalid customer ID format"}`},
		{"POST", "/api/customers", `{"email":" a@example.com ","name":"  ` + wide + `  ","more":1}`, 201, header("Location", location), one},
		{"POST", "/api/customers", `{`, 400, header(), `{"error":"The request body is not valid JSON"}`},
		{"PATCH", "/api/customers/cust_1", `{"name":null,"taxId":"","billingCountry":" us "}`, 200, header(), one},
		{"DELETE", "/api/customers/cust_1", "", 412, header(), `{"error":"The customer was changed in the meantime"}`},
		{"PUT", "/api/customers", "", 405, header("Allow", "GET, HEAD, POST"), `{"error":"Method not allowed"}`},
		{"GET", "/api/nothing", "", 404, header(), `{"error":"Not found"}`},
		{"GET", "/api/customers/", "", 404, header(), `{"error":"Not found"}`},
		{"POST", "/graphql", "", 418, header(), `anything`},
	} {
		t.Run(e.method+" "+e.url, func(t *testing.T) { require.Empty(t, e.reports(t, all)) })
	}
}

func TestReportsUndocumentedTraffic(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]exchange{
		"a status":                      {"GET", "/api/customers", "", 418, header(), `{"error":"Unauthorized"}`},
		"a status of another operation": {"GET", "/api/customers/cust_1", "", 413, header(), `{"error":"Request body too large"}`},
		"a redirect":                    {"GET", "/api/customers/", "", 304, header(), ``},
		"an error text":                 {"GET", "/api/customers/cust_1", "", 404, header(), `{"error":"No such customer"}`},
		"another operation's text":      {"DELETE", "/api/customers/cust_1", "", 500, header(), `{"error":"Failed to create customer"}`},
		"a code of a fault":             {"GET", "/api/customers", "", 400, header(), `{"error":"Invalid request data","details":[{"field":"limit","code":"BAD","message":"x"}]}`},
		"an additional field":           {"GET", "/api/customers/cust_1", "", 200, header(), strings.Replace(one, `"id"`, `"emailKey":"x","id"`, 1)},
		"a missing field":               {"GET", "/api/customers/cust_1", "", 200, header(), strings.Replace(one, `"taxId":null,`, "", 1)},
		"null in a required field":      {"GET", "/api/customers/cust_1", "", 200, header(), strings.Replace(one, `"a@example.com"`, "null", 1)},
		"a type of a field":             {"GET", "/api/customers/cust_1", "", 200, header(), strings.Replace(one, `"name":null`, `"name":5`, 1)},
		"a time without milliseconds":   {"GET", "/api/customers", "", 200, header(), strings.Replace(list, ".000Z", "Z", 1)},
		"a body that ends early":        {"GET", "/api/customers", "", 200, header(), list[:40]},
		"no body":                       {"GET", "/api/customers", "", 200, header(), ""},
		"a status for HEAD":             {"HEAD", "/api/customers", "", 418, header(), ""},
		"a media type":                  {"GET", "/api/customers", "", 200, header("Content-Type", "text/plain"), list},
		"no request id":                 {"GET", "/api/customers", "", 200, without(header(), "X-Request-Id"), list},
		"a rate that is no number":      {"GET", "/api/customers", "", 200, header("RateLimit-Limit", "many"), list},
		"no request id for HEAD":        {"HEAD", "/api/customers", "", 200, without(header(), "X-Request-Id"), ""},
		"a 201 without Location":        {"POST", "/api/customers", `{"email":"a@example.com"}`, 201, header(), one},
		"one customer without ETag":     {"GET", "/api/customers/cust_1", "", 200, without(header(), "ETag"), one},
		"a 412 without ETag":            {"DELETE", "/api/customers/cust_1", "", 412, without(header(), "ETag"), `{"error":"The customer was changed in the meantime"}`},
		"an ETag that is no tag":        {"GET", "/api/customers/cust_1", "", 200, header("ETag", "7"), one},
		"a 401 without a challenge":     {"GET", "/api/customers", "", 401, header(), `{"error":"Unauthorized"}`},
		"a 503 without Retry-After":     {"GET", "/api/customers", "", 503, header(), `{"error":"Service temporarily unavailable"}`},
		"a 405 with the wrong methods":  {"PUT", "/api/customers/cust_1", "", 405, header("Allow", "GET"), `{"error":"Method not allowed"}`},
		"a 405 for a documented method": {"GET", "/api/customers", "", 405, header("Allow", "GET, HEAD, POST"), `{"error":"Method not allowed"}`},
		"an undocumented method":        {"PUT", "/api/customers/cust_1", "{}", 200, header(), one},
		"an undocumented path":          {"GET", "/api/merchants", "", 200, header(), `{}`},
		"a 404 of another form":         {"GET", "/api/merchants", "", 404, header("Content-Type", "text/plain"), `Not found`},
		"a time with a space":           {"GET", "/api/customers?updatedSince=2024-01-01T00:00:00%2002:00&userId=a+b", "", 200, header(), list},
		"a limit out of range":          {"GET", "/api/customers?limit=251", "", 200, header(), list},
		"a malformed id":                {"GET", "/api/customers/customer-1", "", 200, header(), one},
		"a wrong type in the request":   {"POST", "/api/customers", `{"email":5}`, 201, header("Location", location), one},
		"a body without email":          {"POST", "/api/customers", `{"name":"A"}`, 201, header("Location", location), one},
		"a value that is too long":      {"POST", "/api/customers/cust_1", `{"name":"` + strings.Repeat("a", 256) + `"}`, 200, header(), one},
		"a request that is not JSON":    {"POST", "/api/customers/cust_1", `{`, 200, header(), one},
	} {
		t.Run(name, func(t *testing.T) {
			reported := e.reports(t, all)
			require.Len(t, reported, 1)
			require.Contains(t, reported[0], e.method+" "+e.url)
		})
	}
}

func TestChecksBodiesReadToTheEnd(t *testing.T) {
	t.Parallel()
	wrong := exchange{"GET", "/api/customers", "", 200, header(), `{"customers":{}}` + "\n"}
	require.Len(t, wrong.reports(t, func(r io.Reader) {
		var value any
		require.NoError(t, json.NewDecoder(r).Decode(&value))
	}), 1, "a reply that was read to the end of its JSON")
	require.Empty(t, wrong.reports(t, func(r io.Reader) { _, _ = io.ReadFull(r, make([]byte, 5)) }), "a reply that was not read to its end")

	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write([]byte(wrong.reply))
	require.NoError(t, w.Close())
	wrong.header, wrong.reply = header("Content-Encoding", "gzip"), packed.String()
	require.Len(t, wrong.reports(t, all), 1, "a compressed reply")
}

func TestLoadRefusesInvalidDocuments(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"", "openapi: 3.1.0", `{"openapi":"3.1.0","info":{"title":"x","version":"1"},"paths":{"/a":{"get":{"responses":{"200":{}}}}}}`} {
		_, err := contract.Load([]byte(document))
		require.Error(t, err, document)
	}
}
