package pages_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/pages"
	"lumen/graph/playground"
	"lumen/rest"
)

var docs = pages.NewHandler(pages.Options{}, notFound)

// used matches the files that the page names.
var used = regexp.MustCompile(`(?:src|href)="/docs/assets/([^"]+)"`)

func TestDocsPage(t *testing.T) {
	t.Parallel()
	response := get(docs, "GET", "/docs")
	require.Equal(t, http.StatusOK, response.Code)
	require.Equal(t, "text/html; charset=utf-8", response.Header.Get("Content-Type"))
	require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; "+
		"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'", response.Header.Get("Content-Security-Policy"))
	require.Equal(t, "no-cache", response.Header.Get("Cache-Control"))
	page := response.Body
	require.Contains(t, page, "choose <b>Authorize</b>")
	require.NotContains(t, page, "Signed in as")
	require.NotRegexp(t, `<style|<script>|<script [^>]*>[^<]| on\w+=| style=|://`, page, "nothing inline, nothing from elsewhere")

	mediaTypes := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	names := map[string]bool{}
	for _, match := range used.FindAllStringSubmatch(page, -1) {
		name := match[1]
		names[name] = true
		asset := get(docs, "GET", "/docs/assets/"+name)
		require.Equal(t, http.StatusOK, asset.Code, name)
		require.Equal(t, "public, max-age=31536000, immutable", asset.Header.Get("Cache-Control"))
		require.Equal(t, mediaTypes[path.Ext(name)], asset.Header.Get("Content-Type"))
		require.Equal(t, "nosniff", asset.Header.Get("X-Content-Type-Options"))
		digest := sha256.Sum256([]byte(asset.Body))
		require.Contains(t, name, "-"+hex.EncodeToString(digest[:])[:12]+".", "browsers never ask for the file again, so its name follows its content")
	}
	embedded, err := fs.ReadDir(rest.Docs, "docs/site/assets")
	require.NoError(t, err)
	require.Len(t, embedded, len(names), "the page uses every embedded file")
}

func TestDocsPageHasTheDemoKeys(t *testing.T) {
	t.Parallel()
	response := get(pages.NewHandler(pages.Options{Demo: []pages.Merchant{
		{ID: "merchant_1", Name: "Demo Shop", APIKey: `demo"><key`}, {ID: "merchant_2", Name: "Other <Shop>", APIKey: "other"},
	}}, notFound), "GET", "/docs")
	require.Contains(t, response.Body, `<option value="merchant_1" data-key="demo&#34;&gt;&lt;key">Demo Shop</option>`)
	require.Contains(t, response.Body, `<option value="merchant_2" data-key="other">Other &lt;Shop&gt;</option>`)
	require.NotContains(t, response.Body, "choose <b>Authorize</b>")
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
}

func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../../rest/openapi.yaml")
	require.NoError(t, err)
	yaml := get(docs, "GET", "/openapi.yaml")
	require.Equal(t, string(file), yaml.Body)
	require.Equal(t, "application/yaml", yaml.Header.Get("Content-Type"))

	inJSON := get(docs, "GET", "/openapi.json")
	require.Equal(t, "application/json", inJSON.Header.Get("Content-Type"))
	require.True(t, json.Valid([]byte(inJSON.Body)))
	require.True(t, strings.HasPrefix(inJSON.Body, `{"openapi": "3.1.0"`), "the keys keep the order of the document")

	require.Equal(t, "no-cache", yaml.Header.Get("Cache-Control"))
	again := get(docs, "GET", "/openapi.yaml", "If-None-Match", yaml.Header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Empty(t, again.Body)
	require.Equal(t, "*", yaml.Header.Get("Access-Control-Allow-Origin"))
	require.Empty(t, get(docs, "GET", "/docs").Header.Values("Access-Control-Allow-Origin"))
}

// The operator publishes the schema by turning the playground or introspection on.
func TestSchemaHasAnAddress(t *testing.T) {
	t.Parallel()
	for _, options := range []pages.Options{{Playground: true}, {Introspection: true, BasePath: "/lumen"}} {
		h := pages.NewHandler(options, notFound)
		schema := get(h, "GET", "/schema.graphql")
		require.Equal(t, http.StatusOK, schema.Code)
		require.Equal(t, string(playground.Schema()), schema.Body)
		require.Equal(t, "text/plain; charset=utf-8", schema.Header.Get("Content-Type"))
		require.Equal(t, "no-cache", schema.Header.Get("Cache-Control"))
		require.Equal(t, "*", schema.Header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "nosniff", schema.Header.Get("X-Content-Type-Options"))
		again := get(h, "GET", "/schema.graphql", "If-None-Match", schema.Header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, again.Code)
		require.Empty(t, again.Body)
		require.Empty(t, get(h, "HEAD", "/schema.graphql").Body)
		require.Equal(t, http.StatusMethodNotAllowed, get(h, "POST", "/schema.graphql").Code)
	}
	require.Equal(t, http.StatusNotFound, get(docs, "GET", "/schema.graphql").Code)
}

func TestDocsRefuseEverythingElse(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/docs/assets/none.js", "/docs/assets", "/docs/index.html", "/docs/assets/..%2findex.html", "/openapi.yml"} {
		response := get(docs, "GET", target)
		require.Equal(t, http.StatusNotFound, response.Code, target)
		require.JSONEq(t, `{"error":"Not found"}`, response.Body)
	}
	for _, target := range []string{"/docs", "/openapi.yaml", "/openapi.json"} {
		response := get(docs, "POST", target)
		require.Equal(t, http.StatusMethodNotAllowed, response.Code, target)
		require.Equal(t, "GET, HEAD", response.Header.Get("Allow"))
		require.JSONEq(t, `{"error":"Method not allowed"}`, response.Body)
		head := get(docs, "HEAD", target)
		require.Equal(t, http.StatusOK, head.Code, target)
		require.Empty(t, head.Body)
	}
}
