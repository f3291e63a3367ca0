package graph

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/graph/guard"
)

// TestDefer checks that @defer has no effect: the server sends one reply with all selected fields.
// gqlgen would send null for a deferred field with a resolver. totalCount is the only such field.
func TestDefer(t *testing.T) {
	t.Parallel()
	handlers := newHandlerPair(t)
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
		require.NoError(t, json.Unmarshal([]byte(handlers.sameReply(t, bodyOf(t, deferred, ``))), &got))
		require.NoError(t, json.Unmarshal([]byte(handlers.sameReply(t, bodyOf(t, same, ``))), &wanted))
		require.Empty(t, got.Errors)
		require.JSONEq(t, string(wanted.Data), string(got.Data), deferred)
	}
}

// TestDocumentsWithStringsAreNotCached checks that a document with a string is parsed for each
// request. So the time of a reply does not reveal whether another merchant has sent the document. A
// trusted document is never parsed again.
func TestDocumentsWithStringsAreNotCached(t *testing.T) {
	t.Parallel()
	const trustedText = `{customer(id:"cust_1"){id}}`
	trusted, err := Trust(map[string]string{"one": trustedText}, trusting, false)
	require.NoError(t, err)
	var outcome Outcome
	handler := newTestHandler(t, func(o *Options) {
		o.Trusted, o.Observe = trusted, func(_ context.Context, observed Outcome) { outcome = observed }
	})
	source := func(body string) guard.DocumentSource {
		require.Empty(t, decode(t, post(handler, body)).Errors, body)
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
