package pages_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/pages"
)

const (
	chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
	firefox  = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
)

func TestBrowsersGetAPageForPathsThatDoNotExist(t *testing.T) {
	t.Parallel()
	h := pages.NotFound(pages.Options{Playground: true}, notFound)
	for _, accept := range []string{
		chromium, firefox, "text/html", "text/html, application/json;q=0.9", "*/*;q=0.1, TEXT/HTML;q=0.2",
	} {
		for _, path := range []string{"/unknown", "/apis", "/playground/x", "/docs/"} {
			w := get(h, "GET", path, "Accept", accept)
			require.Equal(t, http.StatusNotFound, w.Code)
			require.Equal(t, "text/html; charset=utf-8", w.Header.Get("Content-Type"), accept)
			require.Equal(t, landingPolicy, w.Header.Get("Content-Security-Policy"))
			require.Equal(t, "nosniff", w.Header.Get("X-Content-Type-Options"))
			require.Equal(t, "no-referrer", w.Header.Get("Referrer-Policy"))
			require.Contains(t, w.Body, "<h1>Page not found</h1>")
			require.Contains(t, w.Body, `href="/playground"`)
			require.NotContains(t, w.Body, path, "the page repeats nothing of the request")
		}
	}
	w := get(pages.NotFound(pages.Options{}, notFound), "GET", "/unknown", "Accept", chromium)
	require.NotContains(t, w.Body, `href="/playground"`)
	head := get(pages.NotFound(pages.Options{}, notFound), "HEAD", "/unknown", "Accept", chromium)
	require.Equal(t, w.Header, head.Header)
}

func TestProgramsGetJSONForPathsThatDoNotExist(t *testing.T) {
	t.Parallel()
	h := pages.NotFound(pages.Options{}, notFound)
	json := func(method, path, accept string) {
		want := get(notFound, method, path, "Accept", accept)
		require.Equal(t, http.StatusNotFound, want.Code)
		require.Equal(t, want, get(h, method, path, "Accept", accept), "%s %s %s", method, path, accept)
	}
	for _, accept := range []string{
		"", "*/*", "application/json", "text/html, application/json", "text/html, */*", "text/*", ";",
		"text/html;q=0, */*;q=0", "text/html;q=x", "text/html;q=0.5, application/*;q=0.6, */*;q=0.1", "text/html;q=0.5, application/json, */*;q=0.1",
	} {
		json("GET", "/unknown", accept)
	}
	for _, path := range []string{"/api", "/api/", "/api/unknown", "/graphql/x", "/.well-known/unknown"} {
		json("GET", path, chromium)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		json(method, "/unknown", chromium)
	}
}

// Every request for the REST API passes NotFound, which must not read its Accept.
func TestAPIRequestsCostNothingIn404Handler(t *testing.T) {
	h := pages.NotFound(pages.Options{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r, w := httptest.NewRequest(http.MethodGet, "/api/customers", nil), httptest.NewRecorder()
	r.Header.Set("Accept", chromium)
	require.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }))
}
