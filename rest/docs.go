package rest

import (
	"bytes"
	"embed"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the OpenAPI document of the routes, in YAML.
func OpenAPI() []byte { return bytes.Clone(openAPI) }

// OpenAPIJSON returns the document in JSON, its keys in the same order.
func OpenAPIJSON() []byte { return bytes.Clone(openAPIJSON()) }

var openAPIJSON = sync.OnceValue(func() []byte {
	converted, err := yaml.YAMLToJSON(openAPI)
	if err != nil {
		panic(err) // the document is embedded
	}
	return converted
})

// Docs are the files of the reference page, which docs/build makes: docs/site/index.html, a
// template, and docs/site/assets, whose names change with their content. The template is given
// APIKey and Playground. APIKey is sent with what the page tries out, and shown to everyone who
// opens it: only for development servers. Without one the page asks for a key, which it keeps in
// memory. Playground has the page link to the playground.
//
//go:embed docs/site/index.html docs/site/assets
var Docs embed.FS
