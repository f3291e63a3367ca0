package guard_test

import (
	"fmt"
	"os"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/graph/guard"
)

func loadSchema() guard.Schema {
	text, err := os.ReadFile("../../schema.graphql")
	if err != nil {
		panic(err)
	}
	return guard.Schema{
		Schema: gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphql", Input: string(text)}),
		Coerce: func(*ast.Definition, any) error { return nil },
	}
}

// Documents without strings are cached. Documents with strings are parsed for each request.
func ExampleDocuments_Find() {
	documents := guard.NewDocuments(loadSchema(), guard.DefaultLimits, nil)
	find := func(query string) {
		_, source, errs := documents.Find(&guard.Request{Query: &query})
		fmt.Println(source, len(errs))
	}
	find(`query ($id: ID!) { customer(id: $id) { email } }`)
	find(`query ($id: ID!) { customer(id: $id) { email } }`)
	find(`{ customer(id: "cust_1") { email } }`)
	find(`{ customer(id: "cust_1") { email } }`)

	_, _, errs := documents.Find(&guard.Request{DocumentID: "unknown"})
	fmt.Println(errs[0].Message)
	// Output:
	// parsed 0
	// kept 0
	// parsed 0
	// parsed 0
	// PersistedQueryNotSupported
}

// A manifest with a document that the schema refuses prevents the start of the server.
func ExampleTrust() {
	manifest, err := guard.ReadManifest([]byte(`{
		"sha256:1f0a": "{ merchant { name } }",
		"sha256:2b3c": "{ merchant { phone } }"
	}`))
	if err != nil {
		panic(err)
	}
	schema := loadSchema()
	costs, err := guard.NewCosts(schema.Schema, map[string]int{"Query.merchant": 1})
	if err != nil {
		panic(err)
	}
	_, err = guard.Trust(schema, manifest, guard.DefaultLimits, costs, true)
	fmt.Println(err)
	// Output:
	// document "2b3c": Cannot query field "phone" on type "Merchant".
}

// The operator sets the costs of fields by their types and names.
func ExampleCheckFieldCosts() {
	schema := loadSchema().Schema
	fmt.Println(guard.CheckFieldCosts(schema, map[string]int{"Query.customers": 1200}))
	fmt.Println(guard.CheckFieldCosts(schema, map[string]int{"Query.customer_list": 1200}))
	// Output:
	// <nil>
	// there is no field "Query.customer_list"; one looks like Query.customers
}
