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

// open sends the GET of a browser at this address and returns the reply.
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

func TestDemoKeyStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	development := Options{
		Demo:       []pages.Merchant{{Name: "Demo Shop", ID: "merchant_1", APIKey: "lumen_sk_demo_x"}},
		Playground: true, LoopbackOnly: true,
	}
	for _, path := range []string{"/", "/playground/config.json"} {
		for _, from := range []string{here, "[::1]:50000", "[::ffff:127.0.0.1]:50000"} {
			w := open(development, from, "localhost:8080", path)
			require.Equal(t, http.StatusOK, w.Code)
			require.Contains(t, w.Body.String(), "lumen_sk_demo_x")
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
		// A page elsewhere whose own name leads to this machine (DNS rebinding).
		w := open(development, here, "evil.example", path)
		require.Equal(t, http.StatusForbidden, w.Code)
		require.NotContains(t, w.Body.String(), "lumen_sk_demo_x")
		// Another machine that sends a loopback Host.
		w = open(development, there, "localhost:8080", path)
		require.NotContains(t, w.Body.String(), "lumen_sk_demo_x")
	}
}
