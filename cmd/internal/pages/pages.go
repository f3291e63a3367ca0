// Package pages serves the pages for people: the landing page, the GraphQL playground and the REST
// reference with its OpenAPI document. None of them needs a credential.
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
	// Demo lists the merchants of a development server. The pages show and send their keys, at first
	// those of the first one. In production it is empty.
	Demo []Merchant
	// Playground and Introspection tell whether they are on, TrustedOnly whether GraphQL executes
	// trusted documents alone.
	Playground, Introspection, TrustedOnly bool
	// BasePath is what stands before all paths in the pages, "" or as in "/lumen".
	BasePath string
}

// Merchant is a merchant that a development server made.
type Merchant struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	APIKey string `json:"apiKey"`
}

// Paths are the patterns of what NewHandler serves.
var Paths = []string{
	"/", "/assets/{name}", playground.Path, playground.Path + "/{file}",
	"/docs", "/docs/assets/{name}", "/openapi.yaml", "/openapi.json",
}

// NewHandler returns the handler of Paths. Requests for anything else go to notFound.
func NewHandler(options Options, notFound http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", notFound)
	addLanding(mux, options)
	addDocs(mux, options)
	if options.Playground {
		addPlayground(mux, options, notFound)
	}
	return mux
}

// Values of Cache-Control.
const (
	immutable  = "public, max-age=31536000, immutable" // the name changes with the content
	revalidate = "no-cache"
	noStore    = "no-store" // the reply holds the demo merchant's key
)

// cachePage is the Cache-Control of pages that show a demo merchant's key.
func (o Options) cachePage() string {
	if len(o.Demo) > 0 {
		return noStore
	}
	return revalidate
}

// demoKey is the key of the first demo merchant, "" in production.
func (o Options) demoKey() string {
	if len(o.Demo) == 0 {
		return ""
	}
	return o.Demo[0].APIKey
}

// mediaTypes go by the extension of the path; a path without one is a page. The system's table
// differs from machine to machine.
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
		next(w, r)
	}
}

// get has write answer GET and HEAD requests for a path.
func (s site) get(route, cacheControl string, write http.HandlerFunc) {
	s.HandleFunc("GET "+route, s.secure(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", mediaTypes[path.Ext(route)])
		w.Header().Set("Cache-Control", cacheControl)
		write(w, r)
	}))
}

// hashed returns the name with a hash of the content before its extension, so that browsers can
// keep the file for good.
func hashed(name string, content []byte) string {
	sum, ext := sha256.Sum256(content), path.Ext(name)
	return strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:4]) + ext
}

// page returns the function that renders a template.
func page(files fs.FS, name string) func(data any) []byte {
	t := template.Must(template.ParseFS(files, name))
	return func(data any) []byte {
		var text bytes.Buffer
		if err := t.Execute(&text, data); err != nil {
			panic(err) // the template and the type of its data are constant
		}
		return text.Bytes()
	}
}

// must returns what was read from embedded files, which cannot fail.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
