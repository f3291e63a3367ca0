package pages_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/pages"
	"lumen/graph/playground"
)

// referenced returns the paths in a page that the browser or the page's script fetches.
func referenced(page string) (paths []string) {
	for _, match := range regexp.MustCompile(`(?:src|href|content)="(/(?:playground/|schema)[^"]*)"`).FindAllStringSubmatch(page, -1) {
		paths = append(paths, match[1])
	}
	return paths
}

func TestPlaygroundPage(t *testing.T) {
	t.Parallel()
	h := pages.NewHandler(pages.Options{Playground: true}, notFound)
	page := get(h, "GET", "/playground")
	require.Equal(t, http.StatusOK, page.Code)
	require.Equal(t, "no-cache", page.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", page.Header.Get("X-Content-Type-Options"))

	policy := page.Header.Get("Content-Security-Policy")
	for _, directive := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "worker-src 'self'",
		"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		require.Contains(t, strings.Split(policy, "; "), directive)
	}
	require.NotContains(t, policy, "unsafe-eval")
	require.NotContains(t, policy, "http")

	html := page.Body
	require.NotRegexp(t, `<script[^>]*>[^<]`, html, "no inline script")
	require.NotRegexp(t, `(?i) on[a-z]+=`, html)
	require.NotContains(t, html, "//", "nothing from elsewhere")
	paths := referenced(html)
	require.GreaterOrEqual(t, len(paths), 6)
	for _, path := range paths {
		require.Equal(t, http.StatusOK, get(h, "GET", path).Code, path)
	}
}

func TestPlaygroundAssetsAreImmutableAndCompressed(t *testing.T) {
	t.Parallel()
	h := pages.NewHandler(pages.Options{Playground: true}, notFound)
	built, err := filepath.Glob("../../../graph/playground/dist/assets/*.gz")
	require.NoError(t, err)
	require.Greater(t, len(built), 10)
	total := map[string]int{}
	for _, file := range built {
		path := "/playground/assets/" + strings.TrimSuffix(filepath.Base(file), ".gz")
		require.Regexp(t, `-([0-9A-Z]{8}|[0-9a-f]{8})\.\w+$`, path)
		plain := get(h, "GET", path).Body
		for asked, sent := range map[string]string{
			"gzip, deflate, br, zstd": "br", "gzip": "gzip", "br;q=0, gzip;q=0.5": "gzip", "": "", "gzip;q=0": "",
		} {
			r := get(h, "GET", path, "Accept-Encoding", asked)
			require.Equal(t, http.StatusOK, r.Code)
			require.Equal(t, sent, r.Header.Get("Content-Encoding"), asked)
			require.Equal(t, "public, max-age=31536000, immutable", r.Header.Get("Cache-Control"))
			require.Equal(t, "Accept-Encoding", r.Header.Get("Vary"))
			require.NotEmpty(t, r.Header.Get("Content-Type"))
			require.Contains(t, r.Header.Get("Content-Security-Policy"), "default-src 'none'") // a worker is under the policy of its script
			body := r.Body
			total[sent] += len(body)
			if sent == "gzip" {
				unpacked, err := gzip.NewReader(strings.NewReader(body))
				require.NoError(t, err)
				content, err := io.ReadAll(unpacked)
				require.NoError(t, err)
				require.Equal(t, plain, string(content))
			}
		}
	}
	require.Less(t, total["br"], 5<<19, "bytes of all files, which bounds the first load")
	t.Logf("brotli %d, gzip %d", total["br"], total["gzip"]/2)
}

func TestPlaygroundServesItsFilesOnly(t *testing.T) {
	t.Parallel()
	h := pages.NewHandler(pages.Options{Playground: true, Demo: []pages.Merchant{{APIKey: "lumen_sk_demo_x"}}}, notFound)
	for _, path := range []string{"/playground/", "/playground/assets/", "/playground/assets/none.js", "/playground/index.html", "/playground/assets/index.html"} {
		require.Equal(t, http.StatusNotFound, get(h, "GET", path).Code, path)
	}
	require.Equal(t, http.StatusNotFound, get(h, "POST", "/playground").Code)
	require.Equal(t, http.StatusOK, get(h, "HEAD", "/playground").Code)
}

func TestOnlyDevelopmentServersGiveKeysToThePlayground(t *testing.T) {
	t.Parallel()
	const config = "/playground/config.json"
	production := pages.NewHandler(pages.Options{Playground: true}, notFound)
	require.Equal(t, http.StatusNotFound, get(production, "GET", config).Code)
	require.NotContains(t, get(production, "GET", "/playground").Body, config)

	development := pages.NewHandler(pages.Options{Playground: true, Demo: []pages.Merchant{
		{ID: "merchant_1", Name: "Demo Shop", APIKey: "lumen_sk_demo_x"},
		{ID: "merchant_2", Name: "Other Shop", APIKey: "lumen_sk_demo_y"},
	}}, notFound)
	page := get(development, "GET", "/playground").Body
	require.Contains(t, page, config)
	require.NotContains(t, page, "lumen_sk_demo_x")
	r := get(development, "GET", config)
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	require.Equal(t, "same-origin", r.Header.Get("Cross-Origin-Resource-Policy"))
	require.JSONEq(t, `{"merchants":[{"id":"merchant_1","name":"Demo Shop","apiKey":"lumen_sk_demo_x"},
		{"id":"merchant_2","name":"Other Shop","apiKey":"lumen_sk_demo_y"}]}`, r.Body)
}

func TestPlaygroundHasTheSchema(t *testing.T) {
	t.Parallel()
	h := pages.NewHandler(pages.Options{Playground: true}, notFound)
	page := get(h, "GET", "/playground").Body
	require.Contains(t, page, `<meta name="lumen-schema" content="/schema.graphql">`)
	require.Equal(t, string(playground.Schema()), get(h, "GET", "/schema.graphql").Body)
}
