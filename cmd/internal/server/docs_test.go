package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDocsAreCompressedAndKept(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(NewHandler(noBackend, Options{Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(server.Close)
	fetch := func(path string) (*http.Response, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		request.Header.Set("Accept-Encoding", "gzip")
		response, err := http.DefaultTransport.RoundTrip(request)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response, string(body)
	}

	request, err := http.Get(server.URL + "/docs")
	require.NoError(t, err)
	page, err := io.ReadAll(request.Body)
	require.NoError(t, err)
	require.NoError(t, request.Body.Close())

	sum := len(page)
	paths := []string{"/openapi.json"}
	for _, match := range regexp.MustCompile(`"(/docs/assets/[^"]+)"`).FindAllStringSubmatch(string(page), -1) {
		paths = append(paths, match[1])
	}
	for _, path := range paths {
		response, body := fetch(path)
		require.Equal(t, http.StatusOK, response.StatusCode, path)
		require.NotEqual(t, "no-store", response.Header.Get("Cache-Control"), path)
		if len(body) > 1024 {
			require.Equal(t, "gzip", response.Header.Get("Content-Encoding"), path)
		}
		sum += len(body)
	}
	require.Greater(t, len(paths), 4)
	require.Less(t, sum, 600<<10, "the reference page is at most 0.6 MiB on the wire")
	t.Logf("%d bytes", sum)

	response, body := fetch("/api/customers")
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"), "replies that belong to a merchant are kept nowhere")
	require.JSONEq(t, `{"error":"Unauthorized"}`, body)
	response, _ = fetch("/docs/")
	require.Equal(t, http.StatusNotFound, response.StatusCode, "no path is redirected")
}

// Replies share the values of some headers. When a handler changes the headers of its own reply,
// the next reply still has the original values. Vary names Accept-Encoding whether or not the
// client sends it.
func TestSharedHeadersDoNotChange(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	change := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"Vary", "Cache-Control", "X-Content-Type-Options"} {
			w.Header().Add(name, "more")
		}
	})
	for _, encoding := range []string{"", "identity", "gzip"} {
		for range 2 {
			r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
			if encoding != "" {
				r.Header.Set("Accept-Encoding", encoding)
			}
			wrapped(change, change, Options{Log: log}).ServeHTTP(w, r)
			require.Equal(t, []string{"Accept-Encoding", "more"}, w.Header()["Vary"], encoding)
			require.Equal(t, []string{"no-store", "more"}, w.Header()["Cache-Control"])
			require.Equal(t, []string{"nosniff", "more"}, w.Header()["X-Content-Type-Options"])
		}
	}
}
