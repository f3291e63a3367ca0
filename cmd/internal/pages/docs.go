package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"sync"
	"time"

	"lumen/graph/playground"
	"lumen/rest"
	"lumen/store"
)

// docsPolicy lets the page load this server's files and send requests to this server only.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// addDocs serves the REST reference, its files and the OpenAPI document.
func addDocs(mux *http.ServeMux, options Options) {
	s := site{ServeMux: mux, policy: docsPolicy}
	index := page(rest.Docs, "docs/site/index.html")(map[string]any{
		"BasePath": options.BasePath, "Demo": options.Demo, "Playground": options.Playground,
	})
	inYAML := rest.OpenAPI(options.BasePath)
	inJSON := sync.OnceValue(func() []byte { return rest.OpenAPIJSON(options.BasePath) })
	s.document("/docs", options.cachePage(), func() []byte { return index })
	s.contract("/openapi.yaml", func() []byte { return inYAML })
	s.contract("/openapi.json", inJSON)
	for _, file := range must(fs.Glob(rest.Docs, "docs/site/assets/*")) {
		s.document("/docs/assets/"+path.Base(file), immutable, func() []byte { return must(rest.Docs.ReadFile(file)) })
	}
}

// addSchema serves the GraphQL schema in SDL, at an address that code generators can be given.
func addSchema(mux *http.ServeMux) {
	s := site{ServeMux: mux, policy: docsPolicy}
	schema := playground.Schema()
	s.contract("/schema.graphql", func() []byte { return schema })
}

// contract serves the document of an API. Tools that run in a page of another origin may read it,
// because it is the same for everybody and needs no credential.
func (s site) contract(path string, content func() []byte) {
	s.anyOrigin = true
	s.document(path, revalidate, content)
}

// document answers GET and HEAD requests for a path with content that never changes; its ETag is a
// digest. Other methods get a 405.
func (s site) document(path, cacheControl string, content func() []byte) {
	s.get(path, cacheControl, func(w http.ResponseWriter, r *http.Request) {
		body := content()
		digest := sha256.Sum256(body)
		w.Header().Set("ETag", `W/"`+base64.RawURLEncoding.EncodeToString(digest[:12])+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
	s.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, HEAD")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusMethodNotAllowed)
		_, _ = fmt.Fprintf(w, `{"error":%q}`, store.NewError(store.MethodNotAllowed).Message)
	})
}
