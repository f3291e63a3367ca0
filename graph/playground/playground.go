// Package playground holds GraphiQL, embedded: it works with no internet. The page needs no
// credential; the requests that it sends do. The script build makes dist from web.
package playground

import (
	"bytes"
	"embed"

	"github.com/vektah/gqlparser/v2/formatter"

	"lumen/graph/generated"
)

// Files are dist/index.html, a template of the page, and dist/assets, each file compressed with
// both gzip and brotli. The template is given BasePath, which stands before all paths, and Schema and
// Config, the paths of the schema and of the JSON with the key to sign in with. Without Config the page asks for a key.
//
//go:embed dist
var Files embed.FS

// Path is where the page must be served: the built files name paths below it.
const Path = "/playground"

// Schema returns the server's schema in SDL. With it the page needs neither introspection nor a key
// to show its documentation.
func Schema() []byte {
	var text bytes.Buffer
	formatter.NewFormatter(&text).FormatSchema(generated.NewExecutableSchema(generated.Config{}).Schema())
	return text.Bytes()
}
