package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/pages"
	"lumen/graph"
	"lumen/graph/guard"
)

// open sends a GET from an address and returns the reply.
func open(options Options, from, host, path string) *httptest.ResponseRecorder {
	options.Log = slog.New(slog.DiscardHandler)
	r := httptest.NewRequest(http.MethodGet, "http://"+host+path, nil)
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	NewHandler(noBackend, options).ServeHTTP(w, r)
	return w
}

const (
	here  = "127.0.0.1:50000"
	there = "192.0.2.7:50000"
)

func TestPlaygroundIsOffByDefault(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/playground", "/playground/", "/playground/config.json", "/playground/assets/x.js"} {
		w := open(Options{}, here, "localhost", path)
		require.Equal(t, http.StatusNotFound, w.Code, path)
		require.JSONEq(t, `{"error":"Not found"}`, w.Body.String(), path)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), path)
	}
	require.Equal(t, http.StatusOK, open(Options{}, there, "lumen.example", "/").Code)

	trusted, err := graph.Trust(map[string]string{"a": "{merchant{id}}"}, graph.Options{Limits: guard.DefaultLimits}, true)
	require.NoError(t, err)
	require.Contains(t, open(Options{}, there, "lumen.example", "/").Body.String(), "GraphQL command")
	require.NotContains(t, open(Options{GraphQL: graph.Options{Trusted: trusted}}, there, "lumen.example", "/").Body.String(), "GraphQL command")

	on := Options{Playground: true}
	require.Equal(t, http.StatusOK, open(on, there, "lumen.example", "/playground").Code)
	require.Equal(t, http.StatusNotFound, open(on, here, "localhost", "/playground/config.json").Code)
}

func TestDemoKeysStayOnThisMachine(t *testing.T) {
	t.Parallel()
	development := Options{
		Demo: []pages.Merchant{
			{Name: "Demo Shop", ID: "merchant_1", APIKey: "lumen_sk_demo_x"},
			{Name: "Other Shop", ID: "merchant_2", APIKey: "lumen_sk_demo_y"},
		},
		Playground: true, LoopbackOnly: true,
	}
	for _, path := range []string{"/", "/docs", "/playground/config.json"} {
		for _, from := range []string{here, "[::1]:50000", "[::ffff:127.0.0.1]:50000"} {
			w := open(development, from, "localhost:8080", path)
			require.Equal(t, http.StatusOK, w.Code)
			require.Contains(t, w.Body.String(), "lumen_sk_demo_x")
			require.Contains(t, w.Body.String(), "lumen_sk_demo_y")
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
		// A page elsewhere whose own name resolves to this machine.
		w := open(development, here, "evil.example", path)
		require.Equal(t, http.StatusForbidden, w.Code)
		require.NotContains(t, w.Body.String(), "lumen_sk_demo_")
		// Another machine that claims a local Host.
		w = open(development, there, "localhost:8080", path)
		require.NotContains(t, w.Body.String(), "lumen_sk_demo_")
	}
}

// Readers elsewhere cannot reach the private listener, and a public page names no address of it.
func TestMetricsAreLinkedOnThisMachineOnly(t *testing.T) {
	t.Parallel()
	options := Options{MetricsURL: "http://127.0.0.1:9090/metrics"}
	require.Contains(t, open(options, here, "localhost:8080", "/").Body.String(), `href="http://127.0.0.1:9090/metrics"`)
	require.NotContains(t, open(Options{}, here, "localhost:8080", "/").Body.String(), "Metrics")
	for _, r := range [][2]string{{there, "localhost:8080"}, {there, "lumen.example"}, {here, "lumen.example"}} {
		require.NotContains(t, open(options, r[0], r[1], "/").Body.String(), "9090", r)
	}
}

// The page for people is in front of every 404 outside of the APIs, also of paths that are not clean.
func TestBrowsersGetThe404Page(t *testing.T) {
	t.Parallel()
	handler := NewHandler(noBackend, Options{
		Log: slog.New(slog.DiscardHandler), Demo: []pages.Merchant{{ID: "merchant_1", APIKey: "lumen_sk_demo_x"}},
	})
	send := func(path, accept string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
		r.Header.Set("Accept", accept)
		handler.ServeHTTP(w, r)
		require.Equal(t, http.StatusNotFound, w.Code, path)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), path)
		require.NotContains(t, w.Body.String(), "lumen_sk_demo_", "the page is the same for everybody")
		return w
	}
	for _, path := range []string{
		"/unknown", "/unknown/", "//docs", "/docs/none", "/assets/none.css", "/playground", "/schema.graphql",
	} {
		require.Contains(t, send(path, "text/html, */*;q=0.8").Body.String(), "<h1>Page not found</h1>", path)
		require.Equal(t, `{"error":"Not found"}`, send(path, "*/*").Body.String(), path)
	}
	for _, path := range []string{
		"/api/unknown", "/api/customers/", "/api//customers", "/graphql/", "/.well-known/unknown", "/.well-known/jwks.json/",
	} {
		require.Equal(t, `{"error":"Not found"}`, send(path, "text/html").Body.String(), path)
	}
}
