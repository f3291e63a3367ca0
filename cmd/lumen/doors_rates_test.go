package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store"
)

// slow are flags with which a key's bucket holds ten and a merchant's fifteen, and neither gets one back within a minute.
var slow = []string{"--key-rate", "0.01", "--merchant-rate", "0.015", "--rate-burst", "1000"}

// The bodies of both doors' refusals for rates.
const (
	restTooMany    = `{"error":"Too many requests"}`
	graphqlTooMany = `{"errors":[{"message":"Too many requests","extensions":{"code":"RATE_LIMITED"}}]}`
)

// left holds that a reply tells of a bucket of this size, and returns how much is left in it.
func (r reply) left(t testing.TB, size int) int {
	t.Helper()
	require.Equal(t, strconv.Itoa(size), r.header.Get("RateLimit-Limit"), r.body)
	left, err := strconv.Atoi(r.header.Get("RateLimit-Remaining"))
	require.NoError(t, err)
	reset, err := strconv.Atoi(r.header.Get("RateLimit-Reset"))
	require.NoError(t, err)
	perToken := 1000 / float64(size)
	require.InDelta(t, float64(size-left)*perToken, reset, perToken)
	return left
}

// retry returns what a refusal for rates says of when to try again.
func (r reply) retry(t testing.TB) int {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, r.status, r.body)
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	require.NoError(t, err)
	return seconds
}

func TestRatesOfBothDoors(t *testing.T) {
	t.Parallel()
	d := openDoors(t, slow...)
	m, other := d.Merchant(t, "Busy"), d.Merchant(t, "Calm")
	before := d.everything(t)

	// Every reply to a good credential tells what is left, whatever comes of the request.
	for i, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/api/customers", "", 200}, {"HEAD", "/api/customers", "", 200}, {"GET", "/api/customers?limit=1", "", 200}, {"GET", "/api/customers?limit=0", "", 400},
		{"GET", "/api/customers/cust_absent", "", 404}, {"POST", "/api/customers", "{", 400}, {"POST", "/graphql", `{"query":"{merchant{name}}"}`, 200}, {"POST", "/graphql", `{"query":"{"}`, 200},
		{"POST", "/graphql", `{`, 400},
	} {
		r := d.send(t, m.WriteKey, c.method, c.path, c.body)
		require.Equal(t, c.status, r.status, c)
		require.Equal(t, 9-i, r.left(t, 10), c)
	}
	// Who is not let in is charged to nobody, and told nothing; neither is a route that there is not.
	for _, key := range []store.Secret{"", "lumen_sk_unknown", store.NewSecret()} {
		for path, status := range map[string]int{"/api/customers": 401, "/graphql": 401, "/api/nothing": 404} {
			r := d.send(t, key, "POST", path, "{}")
			require.Equal(t, status, r.status)
			require.Empty(t, r.header.Get("RateLimit-Limit"))
		}
	}
	r := d.send(t, m.WriteKey, "GET", "/api/customers/bad", "")
	require.Equal(t, answer{400, restBadID}, r.brief())
	require.Zero(t, r.left(t, 10))

	// Now the key's is empty. Both doors refuse alike, before all else, and execute nothing.
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
		r := d.send(t, m.WriteKey, c.method, c.path, c.body, changes...)
		require.Equal(t, answer{429, c.want}, r.brief(), c.path)
		require.Zero(t, r.left(t, 10))
		require.InDelta(t, 95, r.retry(t), 5)
	}
	require.Equal(t, before, d.everything(t))
	// What comes before a credential is answered all the same.
	require.Equal(t, 404, d.send(t, m.WriteKey, "GET", "/api/nothing", "").status)
	require.Equal(t, 405, d.send(t, m.WriteKey, "PUT", "/api/customers", "").status)
	require.Equal(t, 405, d.send(t, m.WriteKey, "GET", "/graphql", "").status)

	// The merchant's other key has what the merchant has left: the refusals took nothing.
	for i := range 5 {
		r := d.send(t, m.ReadKey, "POST", "/api/customers", "{}")
		require.Equal(t, answer{403, restForbidden}, r.brief())
		require.Equal(t, 4-i, r.left(t, 15))
	}
	for _, path := range []string{"/api/customers", "/graphql"} {
		r := d.send(t, m.ReadKey, "POST", path, "{}")
		require.Zero(t, r.left(t, 15))
		require.InDelta(t, 63, r.retry(t), 4)
	}
	// Another merchant feels nothing of it.
	require.Equal(t, 9, d.send(t, other.WriteKey, "GET", "/api/customers", "").left(t, 10))
}

func TestRatesOfOperations(t *testing.T) {
	t.Parallel()
	d := openDoors(t, "--key-rate", "0.01", "--rate-burst", "1000")
	m := d.Merchant(t, "Costs")
	r := d.graphql(t, m.ReadKey, `{customers(first:1){totalCount nodes{id}}}`, nil)
	require.Equal(t, 200, r.status, r.body)
	require.Equal(t, 6, (r.cost+999)/1000)
	require.Equal(t, 4, r.left(t, 10))
	for _, media := range []string{"application/json", "application/graphql-response+json"} {
		r = d.graphql(t, m.ReadKey, `{customers(first:1){totalCount nodes{id}}}`, nil, header("Accept", media))
		require.Equal(t, answer{429, graphqlTooMany}, r.brief())
		require.Equal(t, media+"; charset=utf-8", r.header.Get("Content-Type"))
	}
	require.Equal(t, 2, r.left(t, 10), "the requests are paid for")
	require.InDelta(t, 395, r.retry(t), 5)
	r = d.graphql(t, m.ReadKey, `{customers(first:10){nodes{id}}}`, nil)
	require.Equal(t, 200, r.status, r.body)
	require.Equal(t, 1, r.left(t, 10))
	require.Contains(t, d.graphql(t, m.ReadKey, `{customers(first:1){totalCount}} query B{merchant{id}}`, nil).body, "GRAPHQL_VALIDATION_FAILED", "costs the request alone")
	require.Equal(t, 429, d.graphql(t, m.ReadKey, `{merchant{id}}`, nil).status)

	// What costs more than a full bucket gets through with a full one, and not otherwise.
	var create strings.Builder
	for i := range 14 {
		fmt.Fprintf(&create, `a%d:createCustomer(input:{email:"rate%d@example.com"}){customer{id}} `, i, i)
	}
	r = d.graphql(t, m.WriteKey, "mutation{"+create.String()+"}", nil)
	require.Equal(t, 200, r.status, r.body)
	require.Greater(t, r.cost, 10_000)
	require.Zero(t, r.left(t, 10))
	require.Len(t, d.everything(t), 14)
	fresh := d.Merchant(t, "Fresh")
	require.Equal(t, 9, d.send(t, fresh.WriteKey, "GET", "/api/customers", "").left(t, 10))
	r = d.graphql(t, fresh.WriteKey, "mutation{"+create.String()+"}", nil)
	require.Equal(t, answer{429, graphqlTooMany}, r.brief())
	require.InDelta(t, 195, r.retry(t), 5)
	require.Len(t, d.everything(t), 14, "nothing was executed")
}

// Whoever may make tokens has no more with them than without.
func TestRatesOfTokens(t *testing.T) {
	t.Parallel()
	d := openDoors(t, "--key-rate", "0.01", "--rate-burst", "1000")
	m := d.Merchant(t, "Tokens")
	reader, bound := d.mint(t, m.WriteKey, `{}`), d.mint(t, m.WriteKey, `{"access":"write","customerId":"`+d.create(t, m, `{"email":"a@example.com"}`)+`"}`)
	for i, key := range []store.Secret{reader, bound, m.WriteKey, bound, reader, bound, reader} {
		r := d.send(t, key, "GET", "/api/customers/cust_absent", "")
		require.Equal(t, 404, r.status)
		require.Equal(t, 6-i, r.left(t, 10))
	}
	for _, key := range []store.Secret{reader, bound, m.WriteKey} {
		require.Equal(t, answer{429, restTooMany}, d.send(t, key, "GET", "/api/customers/cust_absent", "").brief())
		require.Equal(t, answer{429, graphqlTooMany}, d.graphql(t, key, `{merchant{id}}`, nil).brief())
	}
	require.Equal(t, 9, d.send(t, m.ReadKey, "GET", "/api/customers", "").left(t, 10))
}

func TestRatesAndBrowsers(t *testing.T) {
	t.Parallel()
	d := openDoors(t, "--key-rate", "0.01", "--rate-burst", "1000", "--cors-origins", "https://app.example.com")
	m := d.Merchant(t, "Pages")
	for range 20 {
		r := d.send(t, "", "OPTIONS", "/graphql", "", header("Origin", "https://app.example.com"), header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", "authorization"))
		require.Equal(t, 204, r.status)
		require.Empty(t, r.header.Get("RateLimit-Limit"))
	}
	r := d.graphql(t, m.ReadKey, `{merchant{id}}`, nil, header("Origin", "https://app.example.com"))
	require.Equal(t, 9, r.left(t, 10))
	exposed := strings.Split(r.header.Get("Access-Control-Expose-Headers"), ", ")
	for _, name := range []string{"Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset", "Retry-After"} {
		require.Contains(t, exposed, name)
	}
}

func TestNoRatesUnlessSet(t *testing.T) {
	t.Parallel()
	d := openDoors(t, "--rate-burst", "1")
	m := d.Merchant(t, "Free")
	for range 50 {
		for _, r := range []reply{d.send(t, m.ReadKey, "GET", "/api/customers", ""), d.graphql(t, m.ReadKey, `{customers(first:1){totalCount}}`, nil)} {
			require.Equal(t, 200, r.status)
			for name := range r.header {
				require.NotContains(t, strings.ToLower(name), "ratelimit")
			}
		}
	}
}
