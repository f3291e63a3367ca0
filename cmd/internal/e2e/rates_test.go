package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// slowRates are flags with which a key's bucket holds 10 tokens and a merchant's 15, and neither
// regains one within a minute.
var slowRates = []string{"--key-rate", "0.01", "--merchant-rate", "0.015", "--rate-burst", "1000"}

// The bodies of a refusal because of a rate, for each API.
const (
	restTooMany    = `{"error":"Too many requests"}`
	graphqlTooMany = `{"errors":[{"message":"Too many requests","extensions":{"code":"RATE_LIMITED"}}]}`
)

// requireRemaining requires that the headers of a reply describe a bucket of this size, and returns
// how many tokens remain in it.
func requireRemaining(t testing.TB, r harness.Reply, size int) int {
	t.Helper()
	require.Equal(t, strconv.Itoa(size), r.Header.Get("RateLimit-Limit"), r.Body)
	remaining, err := strconv.Atoi(r.Header.Get("RateLimit-Remaining"))
	require.NoError(t, err)
	reset, err := strconv.Atoi(r.Header.Get("RateLimit-Reset"))
	require.NoError(t, err)
	perToken := 1000 / float64(size)
	require.InDelta(t, float64(size-remaining)*perToken, reset, perToken)
	return remaining
}

// rateHeaders returns the names of a reply's headers about rates.
func rateHeaders(r harness.Reply) []string {
	var names []string
	for name := range r.Header {
		if strings.Contains(strings.ToLower(name), "ratelimit") {
			names = append(names, name)
		}
	}
	return names
}

// retryAfter requires that a reply is a refusal because of a rate, and returns its Retry-After in
// seconds.
func retryAfter(t testing.TB, r harness.Reply) int {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, r.Status, r.Body)
	seconds, err := strconv.Atoi(r.Header.Get("Retry-After"))
	require.NoError(t, err)
	return seconds
}

// TestRatesOfBothAPIs empties a key's bucket through both APIs and then the merchant's. Both APIs
// must report the remaining tokens and refuse alike, before all other checks of a valid credential,
// and must neither charge nor inform a caller without one.
func TestRatesOfBothAPIs(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, slowRates...)
	m, other := d.Merchant(t, "Busy"), d.Merchant(t, "Calm")
	before := allRows(t, d)

	// Every reply to a valid credential reports the remaining tokens, also an error.
	for i, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/api/customers", "", 200}, {"HEAD", "/api/customers", "", 200}, {"GET", "/api/customers?limit=1", "", 200}, {"GET", "/api/customers?limit=0", "", 400},
		{"GET", "/api/customers/cust_absent", "", 404}, {"POST", "/api/customers", "{", 400}, {"POST", "/graphql", `{"query":"{merchant{name}}"}`, 200}, {"POST", "/graphql", `{"query":"{"}`, 200},
		{"POST", "/graphql", `{`, 400},
	} {
		r := d.Send(t, m.WriteKey, c.method, c.path, c.body)
		require.Equal(t, c.status, r.Status, c)
		require.Equal(t, 9-i, requireRemaining(t, r, 10), c)
	}
	// A request without a valid credential, or to an unknown route, takes no token and gets no
	// headers.
	for _, key := range []auth.Secret{"", "lumen_sk_unknown", auth.NewSecret()} {
		for path, status := range map[string]int{"/api/customers": 401, "/graphql": 401, "/api/nothing": 404} {
			r := d.Send(t, key, "POST", path, "{}")
			require.Equal(t, status, r.Status)
			require.Empty(t, r.Header.Get("RateLimit-Limit"))
		}
	}
	r := d.Send(t, m.WriteKey, "GET", "/api/customers/bad", "")
	require.Equal(t, answer{400, restBadID}, brief(r))
	require.Zero(t, requireRemaining(t, r, 10))

	// Now the key's bucket is empty. Both APIs refuse alike before any other check, and execute
	// nothing.
	for _, c := range []struct {
		method, path, body string
		change             func(*http.Request)
		want               string
	}{
		{"POST", "/api/customers", `{"email":"a@example.com"}`, nil, restTooMany}, {"HEAD", "/api/customers", "", nil, ""}, {"GET", "/api/customers?limit=0", "", nil, restTooMany},
		{"POST", "/api/customers/bad", "{", header("Content-Type", "text/plain"), restTooMany}, {"DELETE", "/api/customers/cust_absent", "", nil, restTooMany}, {"POST", "/api/access-tokens", "{}", nil, restTooMany},
		{"POST", "/graphql", `{"query":"mutation{createCustomer(input:{email:\"a@example.com\"}){customer{id}}}"}`, nil, graphqlTooMany}, {"POST", "/graphql", "{", header("Content-Type", "text/plain"), graphqlTooMany},
		{"POST", "/graphql", `{"query":"{merchant{id}}"}`, header("Accept", "application/graphql-response+json"), graphqlTooMany},
	} {
		changes := []func(*http.Request){}
		if c.change != nil {
			changes = append(changes, c.change)
		}
		r := d.Send(t, m.WriteKey, c.method, c.path, c.body, changes...)
		require.Equal(t, answer{429, c.want}, brief(r), c.path)
		require.Zero(t, requireRemaining(t, r, 10))
		require.InDelta(t, 95, retryAfter(t, r), 5)
	}
	require.Equal(t, before, allRows(t, d))
	// Checks that precede the credential still reply.
	require.Equal(t, 404, d.Send(t, m.WriteKey, "GET", "/api/nothing", "").Status)
	require.Equal(t, 405, d.Send(t, m.WriteKey, "PUT", "/api/customers", "").Status)
	require.Equal(t, 405, d.Send(t, m.WriteKey, "GET", "/graphql", "").Status)

	// The merchant's other key has the rest of the merchant's bucket: refusals took no tokens.
	for i := range 5 {
		r := d.Send(t, m.ReadKey, "POST", "/api/customers", "{}")
		require.Equal(t, answer{403, restForbidden}, brief(r))
		require.Equal(t, 4-i, requireRemaining(t, r, 15))
	}
	for _, path := range []string{"/api/customers", "/graphql"} {
		r := d.Send(t, m.ReadKey, "POST", path, "{}")
		require.Zero(t, requireRemaining(t, r, 15))
		require.InDelta(t, 63, retryAfter(t, r), 4)
	}
	// Another merchant is not affected.
	require.Equal(t, 9, requireRemaining(t, d.Send(t, other.WriteKey, "GET", "/api/customers", ""), 10))
}

// TestRatesOfOperations checks that a GraphQL operation takes tokens according to its cost, that a
// refused one takes only those of the request, and that one that costs more than a full bucket runs
// only with a full bucket.
func TestRatesOfOperations(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, "--key-rate", "0.01", "--rate-burst", "1000")
	m := d.Merchant(t, "Costs")
	r := d.GraphQL(t, m.ReadKey, `{customers(first:1){totalCount nodes{id}}}`, nil)
	require.Equal(t, 200, r.Status, r.Body)
	require.Equal(t, 6, (r.Cost+999)/1000)
	require.Equal(t, 4, requireRemaining(t, r, 10))
	for _, media := range []string{"application/json", "application/graphql-response+json"} {
		r = d.GraphQL(t, m.ReadKey, `{customers(first:1){totalCount nodes{id}}}`, nil, header("Accept", media))
		require.Equal(t, answer{429, graphqlTooMany}, brief(r))
		require.Equal(t, media+"; charset=utf-8", r.Header.Get("Content-Type"))
	}
	require.Equal(t, 2, requireRemaining(t, r, 10), "a refused operation still takes the token of its request")
	require.InDelta(t, 395, retryAfter(t, r), 5)
	r = d.GraphQL(t, m.ReadKey, `{customers(first:10){nodes{id}}}`, nil)
	require.Equal(t, 200, r.Status, r.Body)
	require.Equal(t, 1, requireRemaining(t, r, 10))
	require.Contains(t, d.GraphQL(t, m.ReadKey, `{customers(first:1){totalCount}} query B{merchant{id}}`, nil).Body, "GRAPHQL_VALIDATION_FAILED", "an invalid document takes only the token of its request")
	require.Equal(t, 429, d.GraphQL(t, m.ReadKey, `{merchant{id}}`, nil).Status)

	// An operation that costs more than a full bucket runs only with a full bucket.
	var create strings.Builder
	for i := range 14 {
		fmt.Fprintf(&create, `a%d:createCustomer(input:{email:"rate%d@example.com"}){customer{id}} `, i, i)
	}
	r = d.GraphQL(t, m.WriteKey, "mutation{"+create.String()+"}", nil)
	require.Equal(t, 200, r.Status, r.Body)
	require.Greater(t, r.Cost, 10_000)
	require.Zero(t, requireRemaining(t, r, 10))
	require.Len(t, allRows(t, d), 14)
	fresh := d.Merchant(t, "Fresh")
	require.Equal(t, 9, requireRemaining(t, d.Send(t, fresh.WriteKey, "GET", "/api/customers", ""), 10))
	r = d.GraphQL(t, fresh.WriteKey, "mutation{"+create.String()+"}", nil)
	require.Equal(t, answer{429, graphqlTooMany}, brief(r))
	require.InDelta(t, 195, retryAfter(t, r), 5)
	require.Len(t, allRows(t, d), 14, "a refused operation must not be executed")
}

// TestRatesOfTokens checks that access tokens draw on the bucket of the key that created them, so
// that a client cannot raise its rate by creating tokens.
func TestRatesOfTokens(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, "--key-rate", "0.01", "--customer-rate", "0", "--rate-burst", "1000")
	m := d.Merchant(t, "Tokens")
	reader, customer := d.Mint(t, m.WriteKey, `{}`), d.Create(t, m, `{"email":"a@example.com"}`)
	bound := d.Mint(t, m.WriteKey, `{"access":"write","customerId":"`+customer+`"}`)
	for i, key := range []auth.Secret{reader, bound, m.WriteKey, bound, reader, bound, reader} {
		r := d.Send(t, key, "GET", "/api/customers/cust_absent", "")
		require.Equal(t, 404, r.Status)
		if key == bound {
			require.Empty(t, rateHeaders(r), "with --customer-rate 0 customers have no buckets, and a bound token must not see its key's")
		} else {
			require.Equal(t, 6-i, requireRemaining(t, r, 10))
		}
	}
	for _, key := range []auth.Secret{reader, bound, m.WriteKey} {
		rest, graphql := d.Send(t, key, "GET", "/api/customers/cust_absent", ""), d.GraphQL(t, key, `{merchant{id}}`, nil)
		require.Equal(t, answer{429, restTooMany}, brief(rest))
		require.Equal(t, answer{429, graphqlTooMany}, brief(graphql))
		for _, r := range []harness.Reply{rest, graphql} {
			if key == bound {
				require.Empty(t, rateHeaders(r))
				require.Equal(t, 1, retryAfter(t, r))
			} else {
				require.Zero(t, requireRemaining(t, r, 10))
				require.InDelta(t, 95, retryAfter(t, r), 5)
			}
		}
	}
	require.Equal(t, 9, requireRemaining(t, d.Send(t, m.ReadKey, "GET", "/api/customers", ""), 10))
}

// createBound creates a customer and three tokens with write access that are bound to it.
func createBound(t *testing.T, d *harness.Server, m storetest.Merchant, email string) (customer string, tokens [3]auth.Secret) {
	t.Helper()
	customer = d.Create(t, m, `{"email":"`+email+`"}`)
	for i := range tokens {
		tokens[i] = d.Mint(t, m.WriteKey, `{"access":"write","customerId":"`+customer+`"}`)
	}
	return customer, tokens
}

// TestRatesOfBoundCustomers checks that each customer of a key has its own bucket, which all its
// tokens share through both APIs, and that the headers of one customer's replies reveal nothing
// about another customer's requests.
func TestRatesOfBoundCustomers(t *testing.T) {
	t.Parallel()
	// A key's bucket holds 40, a customer's 5.
	d := harness.Serve(t, "--key-rate", "0.04", "--customer-rate", "0.005", "--rate-burst", "1000")
	m := d.Merchant(t, "Bound")
	busyID, busy := createBound(t, d, m, "busy@example.com")
	calmID, calm := createBound(t, d, m, "calm@example.com")

	require.Equal(t, 4, requireRemaining(t, d.Send(t, calm[0], "GET", "/api/customers/"+calmID, ""), 5))
	for i, r := range []harness.Reply{ // all tokens of a customer share one bucket for every kind of request
		d.Send(t, busy[0], "GET", "/api/customers/"+busyID, ""),
		d.Send(t, busy[1], "POST", "/api/customers/"+busyID, `{"name":"Busy"}`),
		d.Send(t, busy[2], "GET", "/api/customers/"+calmID, ""),
		d.Send(t, busy[0], "GET", "/api/customers", ""),
	} {
		require.Equal(t, []int{200, 200, 404, 403}[i], r.Status, r.Body)
		require.Equal(t, 4-i, requireRemaining(t, r, 5))
	}
	require.Equal(t, 3, requireRemaining(t, d.GraphQL(t, calm[1], `{customer(id:"`+calmID+`"){id}}`, nil), 5))
	const costly = `{a:nodes(ids:["cust_1"]){id} b:nodes(ids:["cust_2"]){id}}`
	r := d.GraphQL(t, calm[2], costly, nil)
	require.Equal(t, 200, r.Status, r.Body)
	require.Equal(t, 2, (r.Cost+999)/1000)
	require.Equal(t, 1, requireRemaining(t, r, 5), "an operation costs a customer as much as a key")
	r = d.GraphQL(t, busy[1], costly, nil)
	require.Equal(t, answer{429, graphqlTooMany}, brief(r))
	require.Zero(t, requireRemaining(t, r, 5), "a refused operation still takes the token of its request")
	require.InDelta(t, 395, retryAfter(t, r), 5)
	for range 20 {
		for _, r := range []harness.Reply{
			d.Send(t, busy[0], "GET", "/api/customers/"+busyID, ""), d.GraphQL(t, busy[2], `{merchant{id}}`, nil),
		} {
			require.Zero(t, requireRemaining(t, r, 5))
			require.InDelta(t, 195, retryAfter(t, r), 5)
		}
	}

	// The key paid for 8 requests of its own, 5 of one customer and 4 of the other, and for no
	// refusal.
	require.Equal(t, 40-8-5-4-1, requireRemaining(t, d.Send(t, m.WriteKey, "GET", "/api/customers", ""), 40))
	for range 40 - 8 - 5 - 4 - 1 {
		require.Equal(t, 200, d.Send(t, m.WriteKey, "GET", "/api/customers", "").Status)
	}
	require.InDelta(t, 24, retryAfter(t, d.Send(t, m.WriteKey, "GET", "/api/customers", "")), 2)
	for _, r := range []harness.Reply{ // the key refuses the customer, whose bucket is not empty
		d.Send(t, calm[0], "GET", "/api/customers/"+calmID, ""), d.GraphQL(t, calm[1], `{merchant{id}}`, nil),
	} {
		require.Equal(t, 1, retryAfter(t, r))
		require.Equal(t, 1, requireRemaining(t, r, 5))
	}
	for _, line := range []string{`{limit="customer"} 41`, `{limit="key"} 3`, `{limit="merchant"} 0`} {
		require.Contains(t, d.Metrics(t), "\nlumen_refusals_total"+line+"\n")
	}
}

// TestBoundCustomerDoesNotUseUpTheKeysRate checks that a customer's rate is a tenth of its key's by
// default. While one customer sends ten times its rate, the key's other customers and the
// merchant's backend must be served.
func TestBoundCustomerDoesNotUseUpTheKeysRate(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, "--key-rate", "0.1", "--rate-burst", "1000") // buckets of 100 for the key and 10 for a customer
	m := d.Merchant(t, "Shop")
	greedyID, greedy := createBound(t, d, m, "greedy@example.com")
	modestID, modest := createBound(t, d, m, "modest@example.com")
	count := map[int]int{}
	for i := range 50 {
		count[d.Send(t, greedy[i%3], "GET", "/api/customers/"+greedyID, "").Status]++
		count[d.GraphQL(t, greedy[i%3], `{customer(id:"`+greedyID+`"){id}}`, nil).Status]++
	}
	require.Equal(t, map[int]int{200: 10, 429: 90}, count)
	for i := range 5 {
		require.Equal(t, 9-2*i, requireRemaining(t, d.Send(t, modest[i%3], "GET", "/api/customers/"+modestID, ""), 10))
		require.Equal(t, 8-2*i, requireRemaining(t, d.GraphQL(t, modest[i%3], `{customer(id:"`+modestID+`"){id}}`, nil), 10))
	}
	for i := range 100 - 8 - 10 - 10 {
		r := d.Send(t, m.WriteKey, "GET", "/api/customers/"+modestID, "")
		require.Equal(t, 200, r.Status)
		require.InDelta(t, 100-8-10-10-1-i, requireRemaining(t, r, 100), 1, "the bucket may regain one token during the test")
	}
}

// TestRateHeadersAreReadableInBrowsers checks that CORS exposes the headers about rates, and that a
// preflight takes no token.
func TestRateHeadersAreReadableInBrowsers(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, "--key-rate", "0.01", "--rate-burst", "1000", "--cors-origins", "https://app.example.com")
	m := d.Merchant(t, "Pages")
	for range 20 {
		r := d.Send(t, "", "OPTIONS", "/graphql", "", header("Origin", "https://app.example.com"), header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", "authorization"))
		require.Equal(t, 204, r.Status)
		require.Empty(t, r.Header.Get("RateLimit-Limit"))
	}
	r := d.GraphQL(t, m.ReadKey, `{merchant{id}}`, nil, header("Origin", "https://app.example.com"))
	require.Equal(t, 9, requireRemaining(t, r, 10))
	exposed := strings.Split(r.Header.Get("Access-Control-Expose-Headers"), ", ")
	for _, name := range []string{"Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset", "Retry-After"} {
		require.Contains(t, exposed, name)
	}
}

// TestRatesAreOffByDefault checks that without --key-rate and --merchant-rate no request is refused
// and no reply has headers about rates.
func TestRatesAreOffByDefault(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, "--rate-burst", "1")
	m := d.Merchant(t, "Free")
	for range 50 {
		for _, r := range []harness.Reply{d.Send(t, m.ReadKey, "GET", "/api/customers", ""), d.GraphQL(t, m.ReadKey, `{customers(first:1){totalCount}}`, nil)} {
			require.Equal(t, 200, r.Status)
			require.Empty(t, rateHeaders(r))
		}
	}
}
