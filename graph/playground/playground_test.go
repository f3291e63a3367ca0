package playground_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"lumen/graph/generated"
	"lumen/graph/playground"
)

// elsewhere answers what the playground does not.
var elsewhere = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })

func get(t *testing.T, h http.Handler, method, path, encoding string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(body)
}

// referenced are the addresses in a page that the browser or the page's script fetches.
func referenced(page string) (paths []string) {
	for _, match := range regexp.MustCompile(`(?:src|href|content)="(/playground/[^"]*)"`).FindAllStringSubmatch(page, -1) {
		paths = append(paths, match[1])
	}
	return paths
}

func TestPage(t *testing.T) {
	t.Parallel()
	h := playground.NewHandler(playground.Options{}, elsewhere)
	page := get(t, h, "GET", "/playground", "")
	require.Equal(t, http.StatusOK, page.StatusCode)
	require.Equal(t, "no-cache", page.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", page.Header.Get("X-Content-Type-Options"))

	policy := page.Header.Get("Content-Security-Policy")
	for _, directive := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "worker-src 'self'",
		"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		require.Contains(t, strings.Split(policy, "; "), directive)
	}
	require.NotContains(t, policy, "unsafe-eval")
	require.NotContains(t, policy, "http")

	html := text(t, page)
	require.NotRegexp(t, `<script[^>]*>[^<]`, html, "no inline script")
	require.NotRegexp(t, `(?i) on[a-z]+=`, html)
	require.NotContains(t, html, "//", "nothing from elsewhere")
	paths := referenced(html)
	require.GreaterOrEqual(t, len(paths), 6)
	for _, path := range paths {
		require.Equal(t, http.StatusOK, get(t, h, "GET", path, "").StatusCode, path)
	}
}

func TestAssetsAreKeptForGoodAndSentCompressed(t *testing.T) {
	t.Parallel()
	h := playground.NewHandler(playground.Options{}, elsewhere)
	built, err := filepath.Glob("dist/assets/*.gz")
	require.NoError(t, err)
	require.Greater(t, len(built), 10)
	total := map[string]int{}
	for _, file := range built {
		path := "/playground/assets/" + strings.TrimSuffix(filepath.Base(file), ".gz")
		require.Regexp(t, `-([0-9A-Z]{8}|[0-9a-f]{8})\.\w+$`, path)
		plain := text(t, get(t, h, "GET", path, ""))
		for asked, sent := range map[string]string{
			"gzip, deflate, br, zstd": "br", "gzip": "gzip", "br;q=0, gzip;q=0.5": "gzip", "": "", "gzip;q=0": "",
		} {
			r := get(t, h, "GET", path, asked)
			require.Equal(t, http.StatusOK, r.StatusCode)
			require.Equal(t, sent, r.Header.Get("Content-Encoding"), asked)
			require.Equal(t, "public, max-age=31536000, immutable", r.Header.Get("Cache-Control"))
			require.Equal(t, "Accept-Encoding", r.Header.Get("Vary"))
			require.NotEmpty(t, r.Header.Get("Content-Type"))
			require.Contains(t, r.Header.Get("Content-Security-Policy"), "default-src 'none'") // a worker has its script's
			body := text(t, r)
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
	require.Less(t, total["br"], 5<<19, "all that there is, and so any first load, in bytes")
	t.Logf("brotli %d, gzip %d", total["br"], total["gzip"]/2)
}

func TestOnlyWhatIsThere(t *testing.T) {
	t.Parallel()
	h := playground.NewHandler(playground.Options{DemoKey: "lumen_sk_demo_x"}, elsewhere)
	for _, path := range []string{"/playground/", "/playground/assets/", "/playground/assets/none.js", "/playground/index.html", "/playground/assets/index.html"} {
		require.Equal(t, http.StatusNotFound, get(t, h, "GET", path, "").StatusCode, path)
	}
	require.Equal(t, http.StatusNotFound, get(t, h, "POST", "/playground", "").StatusCode)
	require.Equal(t, http.StatusOK, get(t, h, "HEAD", "/playground", "").StatusCode)
}

func TestKeyIsGivenToDevelopmentsPageAlone(t *testing.T) {
	t.Parallel()
	const config = "/playground/config.json"
	production := playground.NewHandler(playground.Options{}, elsewhere)
	require.Equal(t, http.StatusNotFound, get(t, production, "GET", config, "").StatusCode)
	require.NotContains(t, text(t, get(t, production, "GET", "/playground", "")), config)

	development := playground.NewHandler(playground.Options{DemoKey: "lumen_sk_demo_x"}, elsewhere)
	page := text(t, get(t, development, "GET", "/playground", ""))
	require.Contains(t, page, config)
	require.NotContains(t, page, "lumen_sk_demo_x")
	r := get(t, development, "GET", config, "")
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	require.Equal(t, "same-origin", r.Header.Get("Cross-Origin-Resource-Policy"))
	require.JSONEq(t, `{"apiKey":"lumen_sk_demo_x"}`, text(t, r))
}

func loadSchema(t *testing.T, text string) *ast.Schema {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: text})
	require.NoError(t, err)
	return schema
}

func printed(schema *ast.Schema) string {
	var b strings.Builder
	formatter.NewFormatter(&b).FormatSchema(schema)
	return b.String()
}

// The page documents the schema that the server runs, descriptions and all.
func TestSchemaOfThePage(t *testing.T) {
	t.Parallel()
	h := playground.NewHandler(playground.Options{}, elsewhere)
	for _, path := range referenced(text(t, get(t, h, "GET", "/playground", ""))) {
		if strings.HasSuffix(path, ".graphql") {
			sent := text(t, get(t, h, "GET", path, ""))
			require.Equal(t, printed(generated.NewExecutableSchema(generated.Config{}).Schema()), printed(loadSchema(t, sent)))
			require.Contains(t, sent, "An individual or organization that the merchant does business with.")
			return
		}
	}
	t.Fatal("the page names no schema")
}

func TestPreparedOperationsAreValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../schema.graphql")
	require.NoError(t, err)
	schema := loadSchema(t, string(text))
	files, err := filepath.Glob("web/src/operations/*.graphql")
	require.NoError(t, err)
	require.Len(t, files, 10)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		document, faults := gqlparser.LoadQueryWithRules(schema, string(text), rules.NewDefaultRules())
		require.Empty(t, faults, file)
		require.Len(t, document.Operations, 1)
		require.NotEmpty(t, document.Operations[0].Name, "its tab's title")
	}
}
