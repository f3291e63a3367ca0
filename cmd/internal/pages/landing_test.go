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
		Demo: []pages.Merchant{
			{Name: "Demo <Shop>", ID: "merchant_1", APIKey: "lumen_sk_demo_x"},
			{Name: "Other Shop", ID: "merchant_2", APIKey: "lumen_sk_demo_y"},
		},
		Playground: true, Introspection: true,
	}, notFound)
	w := get(h, "GET", "/")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "no-store", w.Header.Get("Cache-Control"), "the page holds keys")
	for _, has := range []string{
		firstSentence, `<option value="merchant_1" data-key="lumen_sk_demo_x">Demo &lt;Shop&gt;</option>`,
		`<option value="merchant_2" data-key="lumen_sk_demo_y">Other Shop</option>`,
		`href="/playground"`, `href="/docs"`, `href="/openapi.yaml"`, `href="/openapi.json"`, `href="/schema.graphql"`,
		`>export LUMEN_KEY=<span id="key">lumen_sk_demo_x</span></pre>`,
		"curl 'http://lumen.example:8080/api/customers?limit=3' \\\n  -H \"Authorization: Bearer $LUMEN_KEY\"</pre>",
		"curl 'http://lumen.example:8080/graphql' \\\n", "go1.",
	} {
		require.Contains(t, w.Body, has)
	}
	require.NotContains(t, w.Body, "LUMEN_PLAYGROUND")
	require.NotContains(t, w.Body, "Metrics")
}

const firstSentence = `<p class="lead">Lumen is a multi-tenant customer-records service: GraphQL for frontends, ` +
	`REST for existing clients, on Postgres.</p>`

func TestLandingOfAService(t *testing.T) {
	t.Parallel()
	w := get(pages.NewHandler(pages.Options{}, notFound), "GET", "/")
	require.Equal(t, "no-cache", w.Header.Get("Cache-Control"))
	page := w.Body
	require.Contains(t, page, firstSentence)
	require.Contains(t, page, "export LUMEN_KEY=<em>lumen_sk_…</em></pre>")
	require.Contains(t, page, `"Authorization: Bearer $LUMEN_KEY"`)
	require.Contains(t, page, "LUMEN_PLAYGROUND=true")
	require.Contains(t, page, "LUMEN_INTROSPECTION=true")
	require.NotContains(t, page, `href="/playground"`)
	require.NotContains(t, page, `href="/schema.graphql"`)
	require.NotContains(t, page, "development server")
	require.NotContains(t, page, "<select")

	page = get(pages.NewHandler(pages.Options{Playground: true, Introspection: true}, notFound), "GET", "/").Body
	require.Contains(t, page, `href="/playground"`)
	require.NotContains(t, page, "Turn it on")
	require.Contains(t, page, "/graphql' \\")

	page = get(pages.NewHandler(pages.Options{TrustedOnly: true}, notFound), "GET", "/").Body
	require.NotContains(t, page, "/graphql' \\", "the server would refuse the command")

	page = get(pages.NewHandler(pages.Options{MetricsURL: "http://127.0.0.1:9090/metrics"}, notFound), "GET", "/").Body
	require.Contains(t, page, `<a href="http://127.0.0.1:9090/metrics">Metrics</a>`)
}

func TestLandingPolicyAndCaching(t *testing.T) {
	t.Parallel()
	h := pages.NewHandler(pages.Options{}, notFound)
	w := get(h, "GET", "/")
	require.Equal(t, landingPolicy, w.Header.Get("Content-Security-Policy"))
	require.NotRegexp(t, `<style|<script>|<script [^>]*>[^<]| on\w+=| style=`, w.Body, "nothing inline")

	assets := regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllStringSubmatch(w.Body, -1)
	require.NotEmpty(t, assets)
	for _, match := range assets {
		asset := get(h, "GET", match[1])
		require.Equal(t, http.StatusOK, asset.Code)
		require.Equal(t, "public, max-age=31536000, immutable", asset.Header.Get("Cache-Control"))
	}
}

const landingPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

func TestLandingServesItsFilesOnly(t *testing.T) {
	t.Parallel()
	h := pages.NewHandler(pages.Options{}, notFound)
	require.Equal(t, http.StatusOK, get(h, "HEAD", "/").Code)
	require.Equal(t, http.StatusNotFound, get(h, "POST", "/").Code)
	require.Equal(t, http.StatusNotFound, get(h, "GET", "/assets/landing.css").Code)
	require.Equal(t, http.StatusNotFound, get(h, "GET", "/index.html").Code)
}

// The landing page and the playground are built separately and must look the same.
func TestPlaygroundLooksLikeTheLandingPage(t *testing.T) {
	t.Parallel()
	variables := func(file string) string {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		from := strings.Index(string(text), ":root {")
		return string(text[from : from+strings.Index(string(text[from:]), "}")])
	}
	require.Equal(t, variables("../../../graph/playground/web/src/look.css"), variables("landing/landing.css"))
	ours, err := os.ReadFile("landing/icon.svg")
	require.NoError(t, err)
	theirs, err := os.ReadFile("../../../graph/playground/web/src/icon.svg")
	require.NoError(t, err)
	require.Equal(t, string(theirs), string(ours))
}
