package guard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// plainCosts sets the cost of every field to 1, so that TestCost checks only the sums.
var plainCosts = map[string]int{
	"Query.__schema": 1, "Query.__type": 1, "Query.customer": 1, "Query.node": 1, "Query.nodes": 1, "Query.customers": 1, "Query.merchant": 1, "CustomerConnection.totalCount": 1,
	"Mutation.createCustomer": 1, "Mutation.updateCustomer": 1, "Mutation.deleteCustomer": 1, "Mutation.createAccessToken": 1,
}

func TestCost(t *testing.T) {
	t.Parallel()
	schema := testSchema.Schema
	plain := newTestCosts(t, plainCosts)
	const page = `{edges{cursor node{id}} nodes{id} pageInfo{hasNextPage}}`
	for _, c := range []struct {
		query     string
		variables map[string]any
		want      int
	}{
		{`{merchant{id name}}`, nil, 3},
		{`{customer(id:"x"){id}}`, nil, 2},
		{`{a:customer(id:"x"){...F} b:customer(id:"y"){...F}} fragment F on Customer{id email}`, nil, 6},
		{`{node(id:"x"){...on Customer{id email} ...on Merchant{name}}}`, nil, 4},
		{`{nodes(ids:["x","y","z"]){id}}`, nil, 1 + 3*2},
		{`{nodes(ids:"x"){id}}`, nil, 1 + 2},
		{`query($i:[ID!]!){nodes(ids:$i){id}}`, map[string]any{"i": []any{"x", "y"}}, 1 + 2*2},
		{`query($i:ID!){nodes(ids:[$i,"y"]){id}}`, map[string]any{"i": "x"}, 1 + 2*2},
		// Once: the connection, pageInfo and its field. For each row: an edge with cursor, node and
		// id, and a node with its id.
		{`{customers` + page + `}`, nil, 3 + 50*(4+2)},
		{`{customers(first:10)` + page + `}`, nil, 3 + 10*6},
		{`{customers(last:7)` + page + `}`, nil, 3 + 7*6},
		{`query($n:Int=20){customers(first:$n)` + page + `}`, map[string]any{"n": int64(20)}, 3 + 20*6},
		{`query($n:Int){customers(first:$n)` + page + `}`, map[string]any{"n": nil}, 3 + 50*6},
		{`query($n:Int){customers(first:$n)` + page + `}`, nil, 3 + 50*6},
		{`{customers(first:1000000)` + page + `}`, nil, 3 + 250*6}, // refused later
		{`{customers(first:-5)` + page + `}`, nil, 3 + 1*6},
		{`{customers(first:1,filter:{search:"ab"}){nodes{id}}}`, nil, 1 + searchPrice + 2},
		{`query($s:String){customers(first:1,filter:{search:$s}){nodes{id}}}`, map[string]any{"s": nil}, 3},
		{`query($f:CustomerFilter){customers(first:1,filter:$f){nodes{id}}}`, map[string]any{"f": map[string]any{"search": "ab"}}, 3 + searchPrice},
		// One fragment under pages of different sizes.
		{`{a:customers(first:2){...P} b:customers(first:100){...P ...{...P}}} fragment P on CustomerConnection{nodes{id} totalCount}`, nil, (1 + 1 + 2*2) + (1 + 2*(1+100*2))},
		{`mutation{deleteCustomer(id:"x"){deletedCustomerId userErrors{code message}}}`, nil, 2 + 1 + listLength*3},
		{`{merchant{id @include(if:false)}}`, nil, 2},
		{`{__typename}`, nil, 1},
	} {
		document, refused := NewDocuments(testSchema, DefaultLimits, nil).parse(c.query)
		require.Empty(t, refused, c.query)
		cost, tooMany := plain.of(document.tree.Operations[0], c.variables, 250)
		require.Equal(t, c.want, cost, c.query)
		require.Nil(t, tooMany)
	}

	t.Run("the field with too many ids is returned", func(t *testing.T) {
		t.Parallel()
		document, refused := NewDocuments(testSchema, DefaultLimits, nil).parse(`query($i:[ID!]!){nodes(ids:["x","y"]){id} a:nodes(ids:$i){id}}`)
		require.Empty(t, refused)
		for _, ids := range []any{[]any{"x", "y", "z"}, []string{"x", "y", "z"}} {
			_, tooMany := plain.of(document.tree.Operations[0], map[string]any{"i": ids}, 2)
			require.Equal(t, "a", tooMany.Alias)
		}
		_, tooMany := plain.of(document.tree.Operations[0], map[string]any{"i": []string{"x"}}, 2)
		require.Nil(t, tooMany)
	})
	t.Run("a table overrides the cost of a field", func(t *testing.T) {
		t.Parallel()
		own := newTestCosts(t, map[string]int{"Customer.email": 7, "Query.customer": 20})
		document, refused := NewDocuments(testSchema, DefaultLimits, nil).parse(`{customer(id:"x"){id email}}`)
		require.Empty(t, refused)
		require.Equal(t, 28, own.minCost(document))
		require.NoError(t, CheckFieldCosts(schema, map[string]int{"Customer.email": 0}))
		for _, name := range []string{"Customer.mail", "Nobody.email", "Customer", "", "."} {
			require.Error(t, CheckFieldCosts(schema, map[string]int{name: 1}), name)
		}
		require.Error(t, CheckFieldCosts(schema, map[string]int{"Customer.email": -1}))
	})
	t.Run("the cost of nested fragments is saturated", func(t *testing.T) {
		t.Parallel()
		text := "{...F0}"
		for i := range 60 {
			text += fmt.Sprintf(" fragment F%d on Query{%s}", i, strings.Repeat(fmt.Sprintf("...F%d ", i+1), 4))
		}
		text += " fragment F60 on Query{customers(first:250){nodes{id}}}"
		wide := DefaultLimits
		wide.Depth, wide.Fields, wide.Tokens = saturated, saturated+1, 10_000
		document, refused := NewDocuments(testSchema, wide, nil).parse(text)
		require.Empty(t, refused)
		require.Equal(t, saturated, plain.minCost(document))
	})
	t.Run("lists of introspection have their real lengths", func(t *testing.T) {
		t.Parallel()
		for name := range plain.lengths {
			definition := schema.Types[name[0]]
			require.NotNil(t, definition, name)
			require.NotNil(t, definition.Fields.ForName(name[1]), name)
		}
		for _, owner := range []string{"__Schema", "__Type", "__Field", "__Directive", "__EnumValue", "__InputValue"} {
			for _, field := range schema.Types[owner].Fields {
				if isList := field.Type.Elem != nil; isList {
					require.Contains(t, plain.lengths, [2]string{owner, field.Name})
				}
			}
		}
		document, refused := NewDocuments(testSchema, DefaultLimits, nil).parse(`{__schema{types{name}}}`)
		require.Empty(t, refused)
		require.Equal(t, 2+len(schema.Types), plain.minCost(document))

		// One type counts with the longest lists, because a client may choose that type. In a list
		// of all types, lists count with their average length.
		for query, atLeast := range map[string]int{
			`{__type(name:"Node"){possibleTypes{fields{description}}}}`:                                    2 * len(schema.Types["Customer"].Fields),
			`{__type(name:"CreateCustomerInput"){inputFields{name type{name}}}}`:                           3 * len(schema.Types["CreateCustomerInput"].Fields),
			`{__type(name:"Query"){fields{args{type{name}}}}}`:                                             len(schema.Types["Query"].Fields.ForName("customers").Arguments),
			`{__schema{mutationType{fields{name}}}}`:                                                       len(schema.Types["Mutation"].Fields),
			`{__schema{types{fields{name}}}}`:                                                              100,
			`{...F} fragment F on Query{__type(name:"Customer"){...T}} fragment T on __Type{fields{name}}`: len(schema.Types["Customer"].Fields),
		} {
			document, refused := NewDocuments(testSchema, DefaultLimits, nil).parse(query)
			require.Empty(t, refused, query)
			require.GreaterOrEqual(t, plain.minCost(document), atLeast, query)
			require.Less(t, plain.minCost(document), 1000, query)
		}
	})
}
