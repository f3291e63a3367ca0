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
	"lumen/rest"
)

var docs = pages.NewHandler(pages.Options{}, notFound)

// used finds the files that the page names.
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
	require.Contains(t, page, `<meta name="lumen-key" content="">`)
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
		require.Contains(t, name, "-"+hex.EncodeToString(digest[:])[:12]+".", "kept for good, so the name has to follow the content")
	}
	embedded, err := fs.ReadDir(rest.Docs, "docs/site/assets")
	require.NoError(t, err)
	require.Len(t, embedded, len(names), "what is embedded is used")
}

func TestDocsPageNamesTheDemoKey(t *testing.T) {
	t.Parallel()
	response := get(pages.NewHandler(pages.Options{Demo: []pages.Merchant{{APIKey: `demo"><key`}}}, notFound), "GET", "/docs")
	require.Contains(t, response.Body, `<meta name="lumen-key" content="demo&#34;&gt;&lt;key">`)
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
}

func TestDocsServeTheDocument(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../../rest/openapi.yaml")
	require.NoError(t, err)
	yaml := get(docs, "GET", "/openapi.yaml")
	require.Equal(t, string(file), yaml.Body)
	require.Equal(t, "application/yaml", yaml.Header.Get("Content-Type"))

	inJSON := get(docs, "GET", "/openapi.json")
	require.Equal(t, "application/json", inJSON.Header.Get("Content-Type"))
	require.True(t, json.Valid([]byte(inJSON.Body)))
	require.True(t, strings.HasPrefix(inJSON.Body, `{"openapi": "3.1.0"`), "the order of the keys is the document's")

	require.Equal(t, "no-cache", yaml.Header.Get("Cache-Control"))
	again := get(docs, "GET", "/openapi.yaml", "If-None-Match", yaml.Header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Empty(t, again.Body)
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
