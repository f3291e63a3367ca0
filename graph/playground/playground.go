// Package playground embeds GraphiQL, so that it works without the internet. The page needs no
// credential; the requests that it sends do. The script build makes dist from web.
package playground

import (
	"bytes"
	"embed"

	"github.com/vektah/gqlparser/v2/formatter"

	"lumen/graph/generated"
)

// Files holds dist/index.html, a template of the page, and dist/assets, each file compressed with
// both gzip and brotli. The template is given BasePath, which precedes all paths, and Schema and
// Config, the paths of the schema and of JSON with the demo merchants and their keys. Without Config
// the page asks for a key.
//
//go:embed dist
var Files embed.FS

// Path is the path of the page. The built files name paths below it.
const Path = "/playground"

// Schema returns the server's schema in SDL.
func Schema() []byte {
	var text bytes.Buffer
	formatter.NewFormatter(&text).FormatSchema(generated.NewExecutableSchema(generated.Config{}).Schema())
	return text.Bytes()
}
