package graph

import (
	"database/sql"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/store"
)

// TestColumnsMatchSchema checks that the column table of each noun and its type in the schema have
// the same fields, besides those with a resolver, which have arguments: the encoder writes these fields
// and no others.
func TestColumnsMatchSchema(t *testing.T) {
	t.Parallel()
	schema := schema()
	for _, noun := range store.Nouns() {
		definition := schema.Types[titleOf(noun)]
		require.NotNil(t, definition, titleOf(noun))
		var fields []string
		for _, field := range definition.Fields {
			if len(field.Arguments) == 0 {
				fields = append(fields, field.Name)
			}
		}
		var columns []string
		for _, column := range noun.Fields() {
			columns = append(columns, column.Name)
		}
		require.ElementsMatch(t, fields, columns)
		// The encoder knows no other interface that fragments could have as type condition.
		require.Equal(t, []string{"Node"}, definition.Interfaces)
		require.Empty(t, schema.Types[titleOf(noun)+"Edge"].Interfaces)
	}
	for _, definition := range schema.Types {
		require.NotEqual(t, ast.Union, definition.Kind, definition.Name)
	}
}

// titleOf returns the type name of a noun in the schema.
func titleOf(noun store.Noun) string { return strings.ToUpper(noun.Name()[:1]) + noun.Name()[1:] }

// scalars holds the type in the schema of each kind of input. Each enum has its own type.
var scalars = map[store.Kind]string{
	store.TextKind: "String", store.NumberKind: "Int", store.TimeKind: "DateTime", store.ReferenceKind: "ID", store.FlagKind: "Boolean",
}

// TestInputsMatchSchema checks that the schema has the inputs of every noun, with the same names,
// types and required fields.
func TestInputsMatchSchema(t *testing.T) {
	t.Parallel()
	types := schema().Types
	inputs := func(name string) map[string]*ast.FieldDefinition {
		require.NotNil(t, types[name], "the schema lacks %s", name)
		fields := make(map[string]*ast.FieldDefinition)
		for _, field := range types[name].Fields {
			fields[field.Name] = field
		}
		return fields
	}
	for _, noun := range store.Nouns() {
		created, changed := inputs("Create"+titleOf(noun)+"Input"), inputs("Update"+titleOf(noun)+"Input")
		require.Len(t, created, len(noun.Inputs()), "the noun has all of %v", slices.Collect(maps.Keys(created)))
		mutable := 0
		for _, input := range noun.Inputs() {
			forms := []map[string]*ast.FieldDefinition{created}
			if !input.Immutable {
				forms = append(forms, changed)
				mutable++
			}
			for i, form := range forms {
				require.Contains(t, form, input.Name)
				of := form[input.Name].Type
				require.Nil(t, of.Elem, input.Name)
				require.Equal(t, i == 0 && input.Required, of.NonNull, input.Name)
				if input.Kind == store.EnumKind {
					require.Equal(t, ast.Enum, types[of.Name()].Kind, input.Name)
				} else {
					require.Equal(t, scalars[input.Kind], of.Name(), input.Name)
				}
			}
		}
		require.Len(t, changed, mutable, "callers may change all of %v", slices.Collect(maps.Keys(changed)))
		require.ElementsMatch(t, noun.Filters(), slices.Collect(maps.Keys(inputs(titleOf(noun)+"Filter"))))
	}
}

// TestLoaderHasEveryNoun checks that the loader reads the rows of every noun. An id of a missing
// noun would be null in node and nodes.
func TestLoaderHasEveryNoun(t *testing.T) {
	t.Parallel()
	db := bun.NewDB(sql.OpenDB(shelf{}), pgdialect.New())
	t.Cleanup(func() { _ = db.Close() })
	var have []string
	for _, of := range sources {
		have = append(have, of(store.New(db, store.Options{})).noun.Name())
	}
	for _, noun := range store.Nouns() {
		require.Contains(t, have, noun.Name())
	}
}
