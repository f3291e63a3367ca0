package guard

import (
	"os"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// testSchema is schema.graphql with scalars that accept every value. The tests of package graph
// check the coercion of literals and variables.
var testSchema = func() Schema {
	text, err := os.ReadFile("../../schema.graphql")
	if err != nil {
		panic(err)
	}
	return Schema{
		Schema: gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphql", Input: string(text)}),
		Coerce: func(*ast.Definition, any) error { return nil },
	}
}()
