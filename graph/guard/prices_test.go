package guard

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// ownFields holds the costs of the root fields of testSchema whose kind is unknown.
var ownFields = map[string]int{"Query.merchant": 1}

// newTestCosts returns the costs of testSchema with these tables.
func newTestCosts(t *testing.T, tables ...map[string]int) *Costs {
	t.Helper()
	costs, err := NewCosts(testSchema.Schema, append([]map[string]int{ownFields}, tables...)...)
	require.NoError(t, err)
	return costs
}

// TestPrices checks the prices above 1. They were measured, and graph/README.md publishes them.
func TestPrices(t *testing.T) {
	t.Parallel()
	dear := make(map[string]int)
	for name, price := range newTestCosts(t).prices {
		if price != 1 {
			dear[name[0]+"."+name[1]] = int(price)
		}
	}
	require.Equal(t, map[string]int{
		"Query.__schema": 2000, "Query.__type": 200,
		"Query.customer": 15, "Query.node": 15, "Query.nodes": 600, "Query.customers": 600,
		"Query.changes": 600, "Customer.history": 600,
		"CustomerConnection.totalCount": 4400,
		"Mutation.createCustomer":       760, "Mutation.updateCustomer": 760, "Mutation.deleteCustomer": 760,
		"Mutation.createAccessToken": 760,
	}, dear)
	require.Equal(t, 4400, searchPrice)

	manual, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	require.Contains(t, strings.Join(strings.Fields(string(manual)), " "),
		"an object by id 15, or 600 as of a time, a list of objects by id 600, a page 600, its total 4400, "+
			"a search in it 4400, a mutation 760, `__schema` 2000, `__type` 200.")
}

// extended returns testSchema with more types and fields.
func extended(t *testing.T, more string) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile("../../schema.graphql")
	require.NoError(t, err)
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: string(text) + more})
	require.NoError(t, err)
	return schema
}

// TestPricesOfANewNoun checks that the fields of a new noun have the prices of their kinds.
func TestPricesOfANewNoun(t *testing.T) {
	t.Parallel()
	costs, err := NewCosts(extended(t, `
		type Note implements Node { id: ID! text: String! customer: Customer notes: NoteConnection! }
		type NoteConnection { edges: [NoteEdge!]! nodes: [Note!]! pageInfo: PageInfo! totalCount: Int! }
		type NoteEdge { cursor: String! node: Note! }
		type NotePayload { note: Note }
		extend type Query {
			note(id: ID!): Note
			notesById(ids: [ID!]!): [Note]!
			notes(first: Int): NoteConnection!
		}
		extend type Mutation { createNote(text: String!): NotePayload }`), ownFields)
	require.NoError(t, err)
	for name, want := range map[[2]string]float64{
		{"Query", "note"}: 15, {"Query", "notesById"}: 600, {"Query", "notes"}: 600,
		{"NoteConnection", "totalCount"}: 4400, {"Mutation", "createNote"}: 760,
		{"Note", "text"}: 1, {"Note", "notes"}: 600, {"NoteEdge", "node"}: 1, {"NoteConnection", "nodes"}: 1,
	} {
		require.InDelta(t, want, costs.prices[name], 0, name)
	}
}

// TestUnknownKindsNeedAPrice checks that a root field of unknown kind is an error until a table
// gives it a price.
func TestUnknownKindsNeedAPrice(t *testing.T) {
	t.Parallel()
	_, err := NewCosts(testSchema.Schema)
	require.EqualError(t, err, "no price is known for Query.merchant")
	for name, more := range map[string]string{
		"Query.count":    `extend type Query { count: Int! }`,
		"Query.settings": `extend type Query { settings: Settings! } type Settings { text: String }`,
		"Query.setting":  `extend type Query { setting(id: ID!): Setting } type Setting { text: String }`,
		"Query.me":       `extend type Query { me: Customer }`,
		"Query.all":      `extend type Query { all: [Customer!]! }`,
		"Query.allOf":    `extend type Query { allOf(id: ID!): [Customer!]! }`,
		"Query.byEmail":  `extend type Query { byEmail(email: String!): Customer }`,
		"Stream.some":    `extend schema { subscription: Stream } type Stream { some(id: ID!): Customer }`,
	} {
		schema := extended(t, more)
		_, err := NewCosts(schema, ownFields)
		require.EqualError(t, err, "no price is known for "+name)
		_, err = NewCosts(schema, ownFields, map[string]int{name: 7})
		require.NoError(t, err, name)
	}
}
