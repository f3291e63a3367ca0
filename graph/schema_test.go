package graph

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// undescribed returns the types, fields, arguments, enum values and directives of a schema that
// have no description.
func undescribed(t *testing.T, text string) []string {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: text})
	require.NoError(t, err)
	found := []string{}
	describe := func(description, name string) {
		if strings.TrimSpace(description) == "" {
			found = append(found, name)
		}
	}
	arguments := func(list ast.ArgumentDefinitionList, of string) {
		for _, argument := range list {
			describe(argument.Description, of+"("+argument.Name+")")
		}
	}
	describe(schema.Description, "schema")
	for name, definition := range schema.Types {
		if definition.BuiltIn {
			continue
		}
		describe(definition.Description, name)
		for _, value := range definition.EnumValues {
			describe(value.Description, name+"."+value.Name)
		}
		for _, field := range definition.Fields {
			if !strings.HasPrefix(field.Name, "__") {
				describe(field.Description, name+"."+field.Name)
				arguments(field.Arguments, name+"."+field.Name)
			}
		}
	}
	for name, directive := range schema.Directives {
		if !directive.Position.Src.BuiltIn {
			describe(directive.Description, "@"+name)
			arguments(directive.Arguments, "@"+name)
		}
	}
	slices.Sort(found)
	return found
}

func TestSchemaDescribesEverything(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile("../schema.graphql")
	require.NoError(t, err)
	require.Empty(t, undescribed(t, string(schema)))

	t.Run("the check finds each missing description", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []string{"@d", "@d(a)", "E", "E.V", "I", "I.f", "N", "N.id", "Query", "Query.q", "Query.q(a)", "S", "U", "schema"}, undescribed(t, `
			directive @d(a: Int) on FIELD
			scalar S
			enum E { V }
			input I { f: Int }
			interface N { id: ID! }
			union U = Query
			type Query { q(a: I): E }`))
	})
}
