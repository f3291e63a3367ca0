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

// selecting returns the context of a field with this selection of fields without arguments.
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

// A field that the column table lacks, such as one with a resolver, is the executor's, with all that is
// selected beside it.
func TestFieldsWithoutAColumnAreTheExecutors(t *testing.T) {
	t.Parallel()
	row := &store.Customer{ID: "cust_1"}
	edges := []*model.Edge[store.Customer]{{Cursor: "c", Node: row}}
	for what, c := range map[string]struct {
		ctx      context.Context
		resolved any
		want     any
	}{
		"a column":                    {selecting(named("id")), row, JSON(`{"id":"cust_1"}`)},
		"no column beside one":        {selecting(named("id"), named("subscriptions")), row, row},
		"a column of an edge's row":   {selecting(named("node", named("id"))), edges, JSON(`[{"node":{"id":"cust_1"}}]`)},
		"no column of an edge's row":  {selecting(named("node", named("subscriptions"))), edges, edges},
		"a type that is not a noun's": {selecting(named("id")), "text", "text"},
		"no row":                      {selecting(named("id")), (*store.Customer)(nil), (*store.Customer)(nil)},
	} {
		encoded, err := NewRows(Of[store.Customer]("Customer")).InterceptField(c.ctx, func(context.Context) (any, error) {
			return c.resolved, nil
		})
		require.NoError(t, err, what)
		require.Equal(t, c.want, encoded, what)
	}
}
