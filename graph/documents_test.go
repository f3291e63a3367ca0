package graph

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/graph/guard"
)

// @defer is no more than a remark: there is one reply, and all that was asked for is in it. gqlgen leaves out what has a
// resolver of its own, which of all that can be deferred the total alone has, and says null in its place.
func TestDefer(t *testing.T) {
	t.Parallel()
	doors := newBothDoors(t)
	for deferred, same := range map[string]string{
		`{customers(first:1){nodes{id} ...@defer{totalCount}}}`: `{customers(first:1){nodes{id} totalCount}}`,
		`{customers{...T@defer(label:"x") ...on CustomerConnection@defer{...{totalCount}}}} fragment T on CustomerConnection{t:totalCount ...@defer{u:totalCount}}`: `{customers{t:totalCount u:totalCount totalCount}}`,
		`query($x:Boolean=true){customers{...@defer(if:$x)@include(if:$x){totalCount}}}`:                                                                            `{customers{totalCount}}`,
		`{customer(id:"cust_1"){id ...@defer{email}}}`:                                                                                                              `{customer(id:"cust_1"){id email}}`,
		`{customers{edges{...E @defer(label:"x")}}} fragment E on CustomerEdge{node{...@defer(if:true){email}}}`:                                                    `{customers{edges{node{email}}}}`,
		`{...@defer{merchant{name ...on Merchant@defer{id}}} ...Q@defer} fragment Q on Query{node(id:"cust_1"){...N@defer}} fragment N on Node{id}`:                 `{merchant{name id} node(id:"cust_1"){id}}`,
		`mutation{updateCustomer(id:"cust_1",input:{name:"x"}){userErrors{code} ...@defer{customer{id}}}}`:                                                          `mutation{updateCustomer(id:"cust_1",input:{name:"x"}){userErrors{code} customer{id}}}`,
		`query($x:Boolean){merchant{id ...@defer(if:$x){name}}}`:                                                                                                    `{merchant{id name}}`,
	} {
		var got, wanted answered
		require.NoError(t, json.Unmarshal([]byte(doors.alike(t, bodyOf(t, deferred, ``))), &got))
		require.NoError(t, json.Unmarshal([]byte(doors.alike(t, bodyOf(t, same, ``))), &wanted))
		require.Empty(t, got.Errors)
		require.JSONEq(t, string(wanted.Data), string(got.Data), deferred)
	}
}

// A document with a string is parsed for each request, so that its time tells nobody who has sent it
// before. A trusted document never is.
func TestDocumentsWithStringsAreNotKept(t *testing.T) {
	t.Parallel()
	const trustedText = `{customer(id:"cust_1"){id}}`
	trusted, err := Trust(map[string]string{"one": trustedText}, trusting, false)
	require.NoError(t, err)
	var outcome Outcome
	door := newDoor(t, func(o *Options) {
		o.Trusted, o.Observe = trusted, func(_ context.Context, told Outcome) { outcome = told }
	})
	source := func(body string) guard.DocumentSource {
		require.Empty(t, decode(t, ask(door, body)).Errors, body)
		return outcome.Document
	}
	for _, query := range []string{
		trustedText, `{customer(id:"""cust_1"""){id}}`, `{nodes(ids:["cust_1"]){id}}`, `{nodes(ids:""){id}}`,
		`{customers(filter:{email:"a@b.io"}){nodes{id}}}`, `query($x:ID="cust_1"){customer(id:$x){id}}`,
		`{merchant{...@defer(label:"x"){id}}}`, `{...F} fragment F on Query{customer(id:"cust_1"){id}}`,
		`"description" query Q{merchant{id}}`, "{merchant{id}} # \"comment\"",
	} {
		require.Equal(t, guard.ParsedDocument, source(bodyOf(t, query, ``)), query)
		require.Equal(t, guard.ParsedDocument, source(bodyOf(t, query, ``)), query)
	}
	for query, variables := range map[string]string{
		`query($x:ID!){customer(id:$x){id}}`: `{"x":"cust_1"}`,
		`{customers(first:5,filter:{includeDeleted:true},sort:{field:NAME,direction:ASC}){nodes{id}}} # comment`: ``,
	} {
		require.Equal(t, guard.ParsedDocument, source(bodyOf(t, query, variables)), query)
		require.Equal(t, guard.KeptDocument, source(bodyOf(t, query, variables)), query)
	}
	require.Equal(t, guard.TrustedDocument, source(`{"documentId":"one"}`))
	require.Equal(t, guard.TrustedDocument, source(`{"documentId":"one"}`))
}
