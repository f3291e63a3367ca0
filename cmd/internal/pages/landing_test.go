package pages_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/pages"
)

func TestLandingOfADevelopmentServer(t *testing.T) {
	t.Parallel()
	h := pages.NewHandler(pages.Options{
		Demo:       []pages.Merchant{{Name: "Demo <Shop>", ID: "merchant_1", APIKey: "lumen_sk_demo_x"}},
		Playground: true, Introspection: true,
	}, notFound)
	w := get(h, "GET", "/")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "no-store", w.Header.Get("Cache-Control"), "the key is on it")
	page := w.Body
	for _, has := range []string{
		"Demo &lt;Shop&gt;", "merchant_1", `href="/playground"`, `href="/docs"`, `href="/openapi.yaml"`, `href="/openapi.json"`,
		"curl 'http://lumen.example:8080/api/customers?limit=3' \\\n  -H 'Authorization: Bearer lumen_sk_demo_x'</pre>",
		"curl 'http://lumen.example:8080/graphql' \\\n", "go1.",
	} {
		require.Contains(t, page, has)
	}
	require.NotContains(t, page, "LUMEN_PLAYGROUND")
}

func TestLandingOfAService(t *testing.T) {
	t.Parallel()
	w := get(pages.NewHandler(pages.Options{}, notFound), "GET", "/")
	require.Equal(t, "no-cache", w.Header.Get("Cache-Control"))
	page := w.Body
	require.Contains(t, page, `"Authorization: Bearer $KEY"`)
	require.Contains(t, page, "LUMEN_PLAYGROUND=true")
	require.Contains(t, page, "LUMEN_INTROSPECTION=true")
	require.NotContains(t, page, `href="/playground"`)
	require.NotContains(t, page, "development server")

	page = get(pages.NewHandler(pages.Options{Playground: true, Introspection: true}, notFound), "GET", "/").Body
	require.Contains(t, page, `href="/playground"`)
	require.NotContains(t, page, "turn it on")
	require.Contains(t, page, "Two commands to paste")

	page = get(pages.NewHandler(pages.Options{TrustedOnly: true}, notFound), "GET", "/").Body
	require.NotContains(t, page, "/graphql' \\", "a command that would be refused")
	require.Contains(t, page, "A command to paste")
}

func TestLandingPolicyAndCaching(t *testing.T) {
	t.Parallel()
	h := pages.NewHandler(pages.Options{}, notFound)
	w := get(h, "GET", "/")
	policy := w.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "script-src")
	require.NotContains(t, policy, "unsafe")
	require.NotContains(t, w.Body, "<script")
	require.NotContains(t, w.Body, "style=")

	assets := regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllStringSubmatch(w.Body, -1)
	require.NotEmpty(t, assets)
	for _, match := range assets {
		asset := get(h, "GET", match[1])
		require.Equal(t, http.StatusOK, asset.Code)
		require.Equal(t, "public, max-age=31536000, immutable", asset.Header.Get("Cache-Control"))
	}
}

func TestLandingHasOnlyWhatIsThere(t *testing.T) {
	t.Parallel()
	h := pages.NewHandler(pages.Options{}, notFound)
	require.Equal(t, http.StatusOK, get(h, "HEAD", "/").Code)
	require.Equal(t, http.StatusNotFound, get(h, "POST", "/").Code)
	require.Equal(t, http.StatusNotFound, get(h, "GET", "/assets/landing.css").Code)
	require.Equal(t, http.StatusNotFound, get(h, "GET", "/index.html").Code)
}

// One look: the pages are built apart and have to say the same.
func TestLookIsThePlaygrounds(t *testing.T) {
	t.Parallel()
	words := func(file string) string {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		from := strings.Index(string(text), ":root {")
		return string(text[from : from+strings.Index(string(text[from:]), "}")])
	}
	require.Equal(t, words("../../../graph/playground/web/src/look.css"), words("landing/landing.css"))
	ours, err := os.ReadFile("landing/icon.svg")
	require.NoError(t, err)
	theirs, err := os.ReadFile("../../../graph/playground/web/src/icon.svg")
	require.NoError(t, err)
	require.Equal(t, string(theirs), string(ours))
}
