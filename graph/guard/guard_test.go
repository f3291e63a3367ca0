package guard

import (
	"os"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// testSchema is the graph's own schema. Its scalars accept everything here: the tests of package
// graph hold how literals and variables are coerced.
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
