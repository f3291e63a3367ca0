// Package pages serves the landing page, the GraphQL playground, the REST reference, and the two
// APIs' documents: openapi.yaml, openapi.json and schema.graphql. No page needs a credential.
package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"lumen/graph/playground"
)

// Options say what the pages show.
type Options struct {
	// Demo lists the merchants of a development server. The pages show and send the key of one of
	// them, at first the first one's, and let the reader switch. In production it is empty.
	Demo []Merchant
	// Playground and Introspection tell whether they are on. TrustedOnly tells whether GraphQL
	// executes trusted documents only.
	Playground, Introspection, TrustedOnly bool
	// MetricsURL is the address of the metrics, "" when the reader cannot reach them.
	MetricsURL string
	// BasePath precedes all paths in the pages. It is "" or as in "/lumen".
	BasePath string
}

// Merchant is a merchant that a development server created.
type Merchant struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	APIKey string `json:"apiKey"`
}

// Paths are the patterns of the paths that NewHandler serves.
var Paths = []string{
	"/", "/assets/{name}", playground.Path, playground.Path + "/{file}",
	"/docs", "/docs/assets/{name}", "/openapi.yaml", "/openapi.json", "/schema.graphql",
}

// NewHandler returns the handler of Paths. Requests for anything else go to notFound.
func NewHandler(options Options, notFound http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", notFound)
	addLanding(mux, options)
	addDocs(mux, options)
	if options.HasSchema() {
		addSchema(mux)
	}
	if options.Playground {
		addPlayground(mux, options, notFound)
	}
	return mux
}

// Values of Cache-Control.
const (
	immutable  = "public, max-age=31536000, immutable" // the name changes with the content
	revalidate = "no-cache"
	noStore    = "no-store" // the reply holds the demo merchants' keys
)

// cachePage returns the Cache-Control of pages that hold the keys of the demo merchants, if any.
func (o Options) cachePage() string {
	if len(o.Demo) > 0 {
		return noStore
	}
	return revalidate
}

// HasSchema reports whether schema.graphql is served. Neither introspection nor the playground, which
// shows the schema too, is on where the operator keeps the schema private.
func (o Options) HasSchema() bool { return o.Playground || o.Introspection }

// mediaTypes maps the extension of a path to its media type; a path without an extension is a page.
// The system's table differs between machines.
var mediaTypes = map[string]string{
	"":         "text/html; charset=utf-8",
	".css":     "text/css; charset=utf-8",
	".graphql": "text/plain; charset=utf-8",
	".js":      "text/javascript; charset=utf-8",
	".json":    "application/json",
	".svg":     "image/svg+xml",
	".txt":     "text/plain; charset=utf-8",
	".yaml":    "application/yaml",
}

// site is a group of paths with the same security headers.
type site struct {
	*http.ServeMux
	policy     string // the Content-Security-Policy
	sameOrigin bool   // pages of other origins may not embed the files
	anyOrigin  bool   // pages of other origins may read the replies
}

// secure adds the security headers to the replies of next.
func (s site) secure(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", s.policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		if s.sameOrigin {
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
		}
		if s.anyOrigin {
			h.Set("Access-Control-Allow-Origin", "*")
		}
		next(w, r)
	}
}

// get registers write for GET and HEAD requests for a path.
func (s site) get(route, cacheControl string, write http.HandlerFunc) {
	s.HandleFunc("GET "+route, s.secure(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", mediaTypes[path.Ext(route)])
		w.Header().Set("Cache-Control", cacheControl)
		write(w, r)
	}))
}

// hashed returns the name with a hash of the content before its extension, so that browsers can
// cache the file without revalidation.
func hashed(name string, content []byte) string {
	sum, ext := sha256.Sum256(content), path.Ext(name)
	return strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:4]) + ext
}

// page returns a function that renders the first of the template files.
func page(files fs.FS, names ...string) func(data any) []byte {
	t := template.Must(template.ParseFS(files, names...))
	return func(data any) []byte {
		var text bytes.Buffer
		if err := t.Execute(&text, data); err != nil {
			panic(err) // the template and the type of its data are constant
		}
		return text.Bytes()
	}
}

// must returns the value of a read from embedded files, which cannot fail.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
