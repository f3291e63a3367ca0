package encode_test

import (
	"context"
	"fmt"
	"os"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/graph/encode"
	"lumen/store"
)

// The extension replaces a row by its JSON, with the selected fields under their aliases.
func ExampleRows_InterceptField() {
	selection := ast.SelectionSet{
		&ast.Field{Name: "id", Alias: "id"},
		&ast.Field{Name: "name", Alias: "fullName"},
		&ast.Field{Name: "email", Alias: "email"},
	}
	ctx := graphql.WithOperationContext(context.Background(), &graphql.OperationContext{})
	ctx = graphql.WithFieldContext(ctx, &graphql.FieldContext{
		Field: graphql.CollectedField{Field: new(ast.Field), Selections: selection},
	})
	resolve := func(context.Context) (any, error) {
		return &store.Customer{ID: "cust_1", Email: "jane@example.com"}, nil
	}

	rows := encode.NewRows(encode.Of[store.Customer]("Customer"))
	encoded, err := rows.InterceptField(ctx, resolve)
	if err != nil {
		panic(err)
	}
	encoded.(graphql.Marshaler).MarshalGQL(os.Stdout)
	fmt.Println()
	// Output:
	// {"id":"cust_1","fullName":null,"email":"jane@example.com"}
}
