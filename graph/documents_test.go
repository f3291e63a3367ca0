package graph

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHalvesOfSurrogatePairs(t *testing.T) {
	t.Parallel()
	for document, refused := range map[string]bool{
		`{a(b:"\ud83d\ude00")}`:              false,
		`{a(b:"\ud83d")}`:                    true,
		`{a(b:"\ude00\ud83d")}`:              true,
		`{a(b:"\uD83Dx\uDE00")}`:             true,
		`{a(b:"\u{D83D}")}`:                  true,
		`{a(b:"\u{1F600}")}`:                 false,
		`{a(b:"\\ud83d")}`:                   false,
		`{a(b:"x\\\ud83d")}`:                 true,
		`{a(b:"\"\ud83d")}`:                  true,
		`{a(b:"""\ud83d""")}`:                false,
		`{a(b:"""x \""" " \ud83d""" c:"y")}`: false,
		`{a(b:"""x""" c:"\ud83d")}`:          true,
		"{a # \\ud83d\n}":                    false,
		"{a # \"\n(b:\"\\ud83d\")}":          true,
		`{a(b:"#" c:"\ud83d")}`:              true,
		`{a(b:"" c:"\ud83d")}`:               true,
	} {
		require.Equal(t, refused, hasHalfPair(document), document)
	}
}

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
