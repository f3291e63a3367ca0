package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBasePaths(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"/lumen", "/shop/lumen", "/a/b/c", "/v1.2", "/~a", "/api/lumen", "/docs2", "/API"} {
		require.NoError(t, CheckBasePath(good), good)
	}
	const form = "must be / and segments of letters, digits and -._~ without a trailing slash, " +
		"such as /lumen or /shop/lumen"
	for _, bad := range []string{
		"", "/", "lumen", "/lumen/", "//lumen", "/lumen//x", "/..", "/lumen/..", "/./lumen", "/a b", "/a%2fb",
		"/a?b", "/a#b", "/ä", "/{id}", "/a\n", "https://lumen.example/lumen", `/"><`, " /lumen",
	} {
		require.EqualError(t, CheckBasePath(bad), form, bad)
	}
	// With one of these as the base path, the path of a request could have two meanings: with the
	// base path and without.
	for _, own := range []string{
		"/api", "/api/customers", "/api/customers/lumen", "/graphql", "/docs", "/docs/assets", "/docs/assets/x",
		"/playground", "/playground/x", "/assets", "/openapi.json", "/schema.graphql", "/.well-known", "/.well-known/jwks.json",
		"/healthz", "/readyz",
	} {
		require.ErrorContains(t, CheckBasePath(own), "must not begin one of Lumen's own paths, as it would with /", own)
	}
}

func TestCutBasePath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ base, sent, path, escaped string }{
		{"", "/lumen", "/lumen", "/lumen"},
		{"/lumen", "/lumen", "/", "/"},
		{"/lumen", "/lumen/", "/", "/"},
		{"/lumen", "/", "/", "/"},
		{"/lumen", "/api/customers?limit=1", "/api/customers", "/api/customers"},
		{"/lumen", "/lumen/api/customers?limit=1", "/api/customers", "/api/customers"},
		{"/lumen", "/lumen/lumen/docs", "/lumen/docs", "/lumen/docs"}, // once
		{"/lumen", "/lumenx", "/lumenx", "/lumenx"},
		{"/lumen", "/lumenx/docs", "/lumenx/docs", "/lumenx/docs"},
		{"/lumen", "/LUMEN/docs", "/LUMEN/docs", "/LUMEN/docs"},
		{"/lumen", "/x/lumen/docs", "/x/lumen/docs", "/x/lumen/docs"},
		{"/lumen", "//lumen/docs", "//lumen/docs", "//lumen/docs"},
		{"/lumen", "/lumen//docs", "//docs", "//docs"},
		{"/lumen", "/lumen/../docs", "/../docs", "/../docs"},
		{"/lumen", "/lumen/..", "/..", "/.."},
		{"/lumen", "/lumen%2fdocs", "/lumen/docs", "/lumen%2fdocs"}, // one segment
		{"/lumen", "/lumen%2Fdocs/x", "/lumen/docs/x", "/lumen%2Fdocs/x"},
		{"/lumen", "/lumen/api%2fcustomers", "/api/customers", "/api%2fcustomers"},
		{"/lumen", "/lumen/api/customers/%63ust_1", "/api/customers/cust_1", "/api/customers/%63ust_1"},
		{"/lumen", "/%6cumen/docs", "/docs", "/docs"}, // the same path, RFC 3986
		{"/lumen", "/lumen%", "", ""},
		{"/shop/lumen", "/shop/lumen/docs", "/docs", "/docs"},
		{"/shop/lumen", "/shop/lumen", "/", "/"},
		{"/shop/lumen", "/shop%2flumen/docs", "/shop/lumen/docs", "/shop%2flumen/docs"},
		{"/shop/lumen", "/shop", "/shop", "/shop"},
		{"/shop/lumen", "/lumen/docs", "/lumen/docs", "/lumen/docs"},
	} {
		server := httptest.NewServer(cutBasePath(c.base, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.URL.Path+" "+r.URL.EscapedPath()+" "+r.URL.RawQuery)
		})))
		status, body, _ := ask(t, server.Listener.Addr().String(), c.sent)
		server.Close()
		_, query, _ := strings.Cut(c.sent, "?")
		if c.path == "" {
			require.Equal(t, http.StatusBadRequest, status)
			continue
		}
		require.Equal(t, c.path+" "+c.escaped+" "+query, body, "%s of %s", c.sent, c.base)
	}
}
