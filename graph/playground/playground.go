// Package playground is GraphiQL, embedded: it works with no internet. Its pages need no credential; the requests that
// they send do. The files in dist are made from those in web by the script build.
package playground

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"html/template"
	"net/http"

	"github.com/vektah/gqlparser/v2/formatter"

	"lumen/graph/generated"
)

//go:embed dist
var dist embed.FS

// Options configure the playground.
type Options struct {
	// DemoKey is the key with which the page signs in by itself, for development. "" has it ask for one.
	DemoKey string
}

// Path is where the page is; everything else of the playground is below it.
const Path = "/playground"

const (
	assetsPath = Path + "/assets/"
	configPath = Path + "/config.json"
)

// policy lets the page load its own files and ask its own server, and nothing else. Monaco, the editor, sets styles on
// elements that it makes, and has its icons and squiggles in its style sheet.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; " +
	"connect-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// NewHandler returns the handler of Path and what is below it. What is not there goes to notFound.
func NewHandler(options Options, notFound http.Handler) http.Handler {
	files, err := loadAssets()
	if err != nil {
		panic(err) // the embedded files are those that were built
	}
	schema := files.addText("schema", ".graphql", schemaText())
	config := ""
	if options.DemoKey != "" {
		config = configPath
	}
	page, err := renderPage(schema, config)
	if err != nil {
		panic(err)
	}

	mux := http.NewServeMux()
	mux.Handle("/", notFound)
	mux.HandleFunc("GET "+Path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(page)
	})
	if config != "" {
		mux.HandleFunc("GET "+configPath, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			_ = json.NewEncoder(w).Encode(map[string]string{"apiKey": options.DemoKey})
		})
	}
	mux.HandleFunc("GET "+assetsPath+"{name}", func(w http.ResponseWriter, r *http.Request) {
		file, found := files[r.PathValue("name")]
		if !found {
			notFound.ServeHTTP(w, r)
			return
		}
		file.serve(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

func renderPage(schema, config string) ([]byte, error) {
	t, err := template.ParseFS(dist, "dist/index.html")
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	err = t.Execute(&page, map[string]string{"Schema": assetsPath + schema, "Config": config})
	return page.Bytes(), err
}

// schemaText is the schema for the page, which so needs neither introspection nor a key for its documentation.
func schemaText() []byte {
	var text bytes.Buffer
	formatter.NewFormatter(&text).FormatSchema(generated.NewExecutableSchema(generated.Config{}).Schema())
	return text.Bytes()
}

// hashed returns a name that holds a hash of the content, so that the file can be cached for good.
func hashed(name, ext string, content []byte) string {
	sum := sha256.Sum256(content)
	return name + "-" + hex.EncodeToString(sum[:4]) + ext
}
