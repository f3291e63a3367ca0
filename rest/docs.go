package rest

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"lumen/store"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the OpenAPI document of the routes, in YAML.
func OpenAPI() []byte { return bytes.Clone(openAPI) }

// openAPIJSON is the document in JSON, its keys in the same order.
var openAPIJSON = sync.OnceValue(func() []byte {
	converted, err := yaml.YAMLToJSON(openAPI)
	if err != nil {
		panic(err) // the document is embedded
	}
	return converted
})

// site is what docs/build makes.
//
//go:embed docs/site/index.html docs/site/assets
var site embed.FS

// docsPolicy lets the page run and reach nothing but this server's own files and routes.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; " +
	"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// The ways in which replies are kept by a browser.
const (
	keptForGood = "public, max-age=31536000, immutable" // the name changes with the content
	askedAgain  = "no-cache"
	neverKept   = "no-store"
)

// DocsOptions configure the reference page.
type DocsOptions struct {
	// APIKey is sent with what the page tries out, and shown to whoever opens it: only for development servers. Without
	// one the page asks for a key, which it keeps in memory.
	APIKey string
	// Playground has the page link to the playground, which is served at /playground.
	Playground bool
}

// NewDocs returns the handler of the reference page at /docs, its files below /docs/assets/, and the OpenAPI document at
// /openapi.yaml and /openapi.json. It answers everything else with 404. Nothing of it needs a credential.
func NewDocs(options DocsOptions) http.Handler {
	page := template.Must(template.ParseFS(site, "docs/site/index.html"))
	var index bytes.Buffer
	if err := page.Execute(&index, options); err != nil {
		panic(err) // the page is embedded
	}
	assets, err := fs.Sub(site, "docs/site/assets")
	if err != nil {
		panic(err)
	}
	keepPage := askedAgain
	if options.APIKey != "" {
		keepPage = neverKept
	}

	pages := http.NewServeMux()
	pages.Handle("/docs", document("text/html; charset=utf-8", keepPage, index.Bytes))
	pages.Handle("/openapi.yaml", document("application/yaml", askedAgain, OpenAPI))
	pages.Handle("/openapi.json", document("application/json", askedAgain, openAPIJSON))
	pages.HandleFunc("/docs/assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		content, err := fs.ReadFile(assets, name)
		if err != nil {
			refuse(w, store.RouteNotFound)
			return
		}
		document(assetTypes[path.Ext(name)], keptForGood, func() []byte { return content }).ServeHTTP(w, r)
	})
	pages.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, store.RouteNotFound) })
	return pages
}

// assetTypes spare the system's table of media types, which differs from machine to machine.
var assetTypes = map[string]string{
	".js":  "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
}

// document answers GET and HEAD with content, which is fixed and known by its digest.
func document(mediaType, keep string, content func() []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, store.MethodNotAllowed)
			return
		}
		body := content()
		digest := sha256.Sum256(body)
		h := w.Header()
		h.Set("Content-Security-Policy", docsPolicy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Type", mediaType)
		h.Set("Cache-Control", keep)
		h.Set("ETag", `W/"`+base64.RawURLEncoding.EncodeToString(digest[:12])+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

func refuse(w http.ResponseWriter, code store.Code) {
	err := store.NewError(code)
	writeJSON(w, err.Status(), "application/json", errorBody{Error: err.Message})
}
