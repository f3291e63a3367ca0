package rest

import (
	"bytes"
	"embed"

	"github.com/goccy/go-yaml"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the OpenAPI document of the API, in YAML. Its server URL is the base path, such as
// "/lumen", or "/" if the base path is "".
func OpenAPI(basePath string) []byte {
	if basePath == "" {
		return bytes.Clone(openAPI)
	}
	return bytes.Replace(openAPI, []byte("\n  - url: /\n"), []byte("\n  - url: "+basePath+"\n"), 1)
}

// OpenAPIJSON returns the same document in JSON, with its keys in the same order.
func OpenAPIJSON(basePath string) []byte {
	converted, err := yaml.YAMLToJSON(OpenAPI(basePath))
	if err != nil {
		panic(err) // The document is embedded and tested.
	}
	return converted
}

// Docs holds the files of the reference page, which docs/build makes: docs/site/index.html, a
// template, and docs/site/assets, whose names change with their content. The template is given
// BasePath, Demo and Playground. BasePath precedes all paths. Demo lists merchants with the fields
// ID, Name and APIKey. The page signs in with the key of one of them and shows it to everybody who
// opens the page, so only development servers may list any. Without them the page asks for a key,
// which it keeps in memory. Playground adds a link to the playground.
//
//go:embed docs/site/index.html docs/site/assets
var Docs embed.FS
