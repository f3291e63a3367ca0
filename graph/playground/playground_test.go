package playground_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"lumen/graph/generated"
	"lumen/graph/playground"
)

func loadSchema(t *testing.T, text string) *ast.Schema {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: text})
	require.NoError(t, err)
	return schema
}

func printed(schema *ast.Schema) string {
	var b strings.Builder
	formatter.NewFormatter(&b).FormatSchema(schema)
	return b.String()
}

// The page documents the schema that the server runs, descriptions and all.
func TestSchemaOfThePage(t *testing.T) {
	t.Parallel()
	sent := string(playground.Schema())
	require.Equal(t, printed(generated.NewExecutableSchema(generated.Config{}).Schema()), printed(loadSchema(t, sent)))
	require.Contains(t, sent, "An individual or organization that the merchant does business with.")
}

func TestPreparedOperationsAreValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../schema.graphql")
	require.NoError(t, err)
	schema := loadSchema(t, string(text))
	files, err := filepath.Glob("web/src/operations/*.graphql")
	require.NoError(t, err)
	require.Len(t, files, 12)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		document, faults := gqlparser.LoadQueryWithRules(schema, string(text), rules.NewDefaultRules())
		require.Empty(t, faults, file)
		require.Len(t, document.Operations, 1)
		require.NotEmpty(t, document.Operations[0].Name, "its tab's title")
	}
}
