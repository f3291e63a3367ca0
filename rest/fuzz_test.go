package rest

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// newTestHandler returns the handler over an empty database. Every request has write access to the
// merchant merchant_1.
func newTestHandler(t testing.TB) http.Handler {
	merchant := store.Merchant{ID: "merchant_1", Name: "One"}
	return NewHandler(store.New(storetest.FakeDB(t), store.Options{}), new(auth.Tokens), func(r *http.Request) (context.Context, error) {
		return store.WithCredential(r.Context(), store.Credential{Access: store.WriteAccess, Merchant: merchant}), nil
	}, Options{Log: slog.New(slog.DiscardHandler)})
}

// answer is a decoded reply.
type answer struct {
	Error     string
	Details   []struct{ Field, Code, Message string }
	Customers *[]struct{}
}

// ask sends a request to the handler and returns the status and the reply. The reply must be JSON;
// to a HEAD it is empty.
func ask(t *testing.T, api http.Handler, r *http.Request) (int, answer) {
	t.Helper()
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	require.Less(t, w.Code, 500)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var a answer
	if r.Method != http.MethodHead {
		require.True(t, utf8.Valid(w.Body.Bytes()))
		require.NoError(t, stdjson.Unmarshal(w.Body.Bytes(), &a), w.Body)
	}
	require.LessOrEqual(t, w.Body.Len(), 8192)
	return w.Code, a
}

// inputNames returns the names of the inputs of a customer.
func inputNames() (names []string) {
	for _, input := range store.NounOf[store.Customer]().Inputs() {
		names = append(names, input.Name)
	}
	return names
}

// FuzzRESTRequest checks that no method, id and body make the handler panic or fail. Every reply
// has the documented form and at most 8 KiB, and repeats nothing that the client sent.
func FuzzRESTRequest(f *testing.F) {
	for _, seed := range []struct{ method, id, body string }{
		{"POST", "", `{"email":"a@x.io"}`}, {"POST", "", `{"name":5,"email":"a@x.io","billingCountry":"XX"}`}, {"POST", "cust_1", `{"name":null,"taxId":"\u0000"}`}, {"PATCH", "cust_1", `{"email":"B@X.io","dangerouslyAllowSameEmailForDifferentCustomers":true}`},
		{"PATCH", "' OR 1=1--", `{}`}, {"GET", "cust_1", ``}, {"DELETE", "cust_\x00", ``}, {"HEAD", "../x", ``}, {"PUT", "cust_1", `{}`}, {"POST", "cust_1", `{"email":`}, {"POST", "", "\xff"}, {"POST", "", `{"email":"a@x.io","email":"b@x.io"}`}, {"GET", "%2e%2e", ``}, {"POST", "", `{"userId":"\u200d","email":"\u202e@x.io"}`},
	} {
		f.Add(seed.method, seed.id, []byte(seed.body))
	}
	api := newTestHandler(f)
	f.Fuzz(func(t *testing.T, method, id string, body []byte) {
		if !slices.Contains([]string{"GET", "HEAD", "POST", "PATCH", "DELETE", "PUT"}, method) {
			method = "POST"
		}
		path := "/api/customers"
		if id != "" {
			path += "/" + url.PathEscape(id)
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://lumen"+path, bytes.NewReader(body))
		if err != nil {
			return
		}
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		require.Less(t, w.Code, 500)
		if w.Header().Get("Location") != "" && w.Code < 400 && w.Code >= 300 {
			return // A redirect of ServeMux for an unclean path, which package server refuses earlier.
		}
		status, reply := ask(t, api, r.Clone(t.Context()))
		if status >= 400 && method != http.MethodHead {
			require.NotEmpty(t, reply.Error)
			for _, d := range reply.Details {
				require.Contains(t, inputNames(), d.Field)
				require.True(t, strings.HasPrefix(d.Message, d.Field), "%q does not begin with the field", d.Message)
			}
		}
		// The database is empty and no statement returns a row, so only the list can succeed.
		require.True(t, status >= 400 || id == "" && (method == http.MethodGet || method == http.MethodHead), "%d", status)
	})
}

// FuzzListQuery checks that the reply to each query is a list or a refusal. A refusal names known
// parameters, each once and in the documented order, and then near misses. The reply to a query
// without known parameters and near misses is the list.
func FuzzListQuery(f *testing.F) {
	for _, query := range []string{
		"", "limit=5", "limit=0", "limit=1&limit=2", "limit=5&cursor=AQ", "cursor=x", "email=a%40x.io", "email=%00", "userId=u&includeDeleted=true", "updatedSince=2026-01-01T00:00:00Z", "updatedSince=9999-12-31T23:59:59-01:00",
		"%zz=1", "limit=%zz", "a;b", "&&&", "=", "limit", "Limit=0", "li%5bm%5dit=5&LIMIT=6", "page=1", "page=2&offset=0&q=x", "email=a+b@x.io", "updatedSince=2026-01-01T00:00:00+02:00", "user_id=&l_______________________________________________________________________imit=1", "limit=5#x", "email=\xff", "userId=%F0%9F%98%80", "includeDeleted=TRUE", "limit=%2B5", "limit=٥", "email=a@x.io&email=", "updatedSince=2026-01-01T00:00:00.123456789%2B01:00",
		"limit=250&cursor=AWNkAAAAAAAAAAAAAAAAB2N1c3RfMTIwMjYtMDEtMDFUMDA6MDA6MDAuMDAwMDAwWg",
	} {
		f.Add(query)
	}
	api := newTestHandler(f)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/customers", nil)
		r.URL.RawQuery = query
		status, reply := ask(t, api, r)
		var named []string // known parameters and near misses
		for _, pair := range strings.Split(query, "&") {
			given, _, _ := strings.Cut(pair, "=")
			if given, err := url.QueryUnescape(given); err == nil {
				for _, name := range append(slices.Collect(maps.Keys(customers.misnomers)), customers.list.names...) {
					if strings.EqualFold(strings.Map(func(c rune) rune {
						if strings.ContainsRune("_-.[]", c) {
							return -1
						}
						return c
					}, given), name) {
						named = append(named, shortName(given))
					}
				}
			}
		}
		if status == http.StatusOK {
			require.NotNil(t, reply.Customers)
			require.Empty(t, *reply.Customers)
			return
		}
		require.Equal(t, http.StatusBadRequest, status)
		require.NotEmpty(t, reply.Details)
		last := -1
		for _, d := range reply.Details {
			require.Contains(t, named, d.Field, "an unknown parameter must be ignored")
			require.True(t, strings.HasPrefix(d.Message, d.Field+" "), "%q does not begin with the field", d.Message)
			at := slices.Index(customers.list.names, d.Field)
			if at < 0 {
				last = len(customers.list.names) // Near misses come last.
				continue
			}
			require.Greater(t, at, last)
			last = at
		}
	})
}
