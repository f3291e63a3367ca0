package encode

import (
	"context"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/graph/model"
	"lumen/store"
)

// selecting returns the context of a field that selects these fields.
func selecting(fields ...*ast.Field) context.Context {
	var set ast.SelectionSet
	for _, f := range fields {
		set = append(set, f)
	}
	ctx := graphql.WithOperationContext(context.Background(), &graphql.OperationContext{})
	return graphql.WithFieldContext(ctx, &graphql.FieldContext{Field: graphql.CollectedField{Selections: set, Field: &ast.Field{}}})
}

func named(name string, inside ...ast.Selection) *ast.Field {
	return &ast.Field{Name: name, Alias: name, SelectionSet: inside}
}

// TestFieldsWithoutColumnGoToExecutor checks that the encoder leaves a whole selection to the
// executor if the column table lacks one of its fields, such as a field with a resolver.
func TestFieldsWithoutColumnGoToExecutor(t *testing.T) {
	t.Parallel()
	row := &store.Customer{ID: "cust_1"}
	edges := []*model.Edge[store.Customer]{{Cursor: "c", Node: row}}
	for name, c := range map[string]struct {
		ctx      context.Context
		resolved any
		want     any
	}{
		"a column":                    {selecting(named("id")), row, JSON(`{"id":"cust_1"}`)},
		"a column and a resolver":     {selecting(named("id"), named("subscriptions")), row, row},
		"a column of an edge's row":   {selecting(named("node", named("id"))), edges, JSON(`[{"node":{"id":"cust_1"}}]`)},
		"a resolver of an edge's row": {selecting(named("node", named("subscriptions"))), edges, edges},
		"a type without a noun":       {selecting(named("id")), "text", "text"},
		"no row":                      {selecting(named("id")), (*store.Customer)(nil), (*store.Customer)(nil)},
	} {
		encoded, err := NewRows(Of[store.Customer]("Customer")).InterceptField(c.ctx, func(context.Context) (any, error) {
			return c.resolved, nil
		})
		require.NoError(t, err, name)
		require.Equal(t, c.want, encoded, name)
	}
}
