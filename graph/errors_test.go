package graph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMessagesRepeatNoValues checks that a refusal has the message of the library, without values
// and with long names cut.
func TestMessagesRepeatNoValues(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t)
	long, cut := strings.Repeat("n", 65), strings.Repeat("n", 64)+"..."
	const (
		order = `query($x:CustomerSort){customers(sort:$x){totalCount}}`
		byID  = `query($x:ID!){customer(id:$x){id}}`
	)
	for _, c := range []struct{ query, variables, want string }{
		// Tokens.
		{`{`, ``, `Expected Name`},
		{`{a(b:"SECRET`, ``, `Unexpected <Invalid>`},
		{`{a(b:01)}`, ``, `Unexpected <Invalid>`},
		{`{}`, ``, `expected at least one definition`},
		{`query Q "SECRET, found it"`, ``, `Expected {`},
		{`fragment F SECRET Query{a}`, ``, `Expected "on"`},
		{`"SECRET, found it" {merchant{id}}`, ``, `Unexpected String`},
		{`"""SECRET""" {merchant{id}}`, ``, `Unexpected BlockString`},
		{`{merchant{id}} 12345678`, ``, `Unexpected Int`},
		{`{merchant{id}} 1.2345`, ``, `Unexpected Float`},
		{`type X{a:Int}`, ``, `Unexpected Name "type"`},
		{long, ``, `Unexpected Name "` + cut + `"`},
		// Literals.
		{`{customer(id:{a:"SECRET: it"}){id}}`, ``, `Field "a" is not defined by type "ID".`},
		{`{customer(id:["SECRET"]){id}}`, ``, `ID cannot represent a non-string and non-integer value`},
		{`{customer(id:SECRET){id}}`, ``, `ID cannot represent a non-string and non-integer value`},
		{`{customer(id:null){id}}`, ``, `Expected value of type "ID!"`},
		{`{customers(first:"SECRET, found: it"){totalCount}}`, ``, `Int cannot represent non-integer value`},
		{`{customers(first:99999999999999999999){totalCount}}`, ``,
			`Int cannot represent non 32-bit signed integer value`},
		{`{customers(filter:{email:["SECRET"]}){totalCount}}`, ``, `String cannot represent a non string value`},
		{`{customers(filter:"SECRET, found: it"){totalCount}}`, ``, `Expected value of type "CustomerFilter"`},
		{`{customers(filter:{` + long + `:"SECRET"}){totalCount}}`, ``,
			`Field "` + cut + `" is not defined by type "CustomerFilter".`},
		{`{customers(sort:{field:SECRET,direction:ASC}){totalCount}}`, ``,
			`Value does not exist in "CustomerSortField!" enum.`},
		{`{customers(sort:{field:"SECRET, found: it",direction:ASC}){totalCount}}`, ``,
			`Enum "CustomerSortField!" cannot represent non-enum value`},
		{`mutation{createCustomer(input:{name:"SECRET"}){customer{id}}}`, ``,
			`Field "CreateCustomerInput.email" of required type "String!" was not provided.`},
		// Names, without suggestions.
		{`{merchat{id}}`, ``, `Cannot query field "merchat" on type "Query".`},
		{`{` + long + `}`, ``, `Cannot query field "` + cut + `" on type "Query".`},
		{`{customer(idd:"SECRET"){id}}`, ``, `Unknown argument "idd" on field "Query.customer".`},
		{`{...on Custmer{id}}`, ``, `Unknown type "Custmer".`},
		{`{merchant}`, ``, `Field "merchant" of type "Merchant!" must have a selection of subfields.`},
		// Variables.
		{byID, `{}`, `must be defined`},
		{byID, `{"x":null}`, `cannot be null`},
		{byID, `{"x":1.2345}`, `cannot be used as ID`},
		{byID, `{"x":12345678901234567890}`, `cannot be used as ID`},
		{`query($x:Int){customers(first:$x){totalCount}}`, `{"x":"SECRET"}`, `cannot be used as Int`},
		{order, `{"x":{"SECRET":1}}`, `unknown field`},
		{order, `{"x":{"field":"SECRET","direction":"ASC"}}`, `not a valid CustomerSortField`},
		{order, `{"x":{"field":"SECRET, found it","direction":"ASC"}}`, `not a valid CustomerSortField`},
		{order, `{"x":{"field":"SECRET is not a valid A","direction":"ASC"}}`, `not a valid CustomerSortField`},
		{order, `{"x":{"field":"cannot use SECRET as A","direction":"ASC"}}`, `not a valid CustomerSortField`},
		{order, `{"x":{"field":true,"direction":"ASC"}}`, `enums must be ints or strings`},
	} {
		reply := decode(t, post(handler, bodyOf(t, c.query, c.variables)))
		require.NotEmpty(t, reply.Errors, c.query)
		var messages []string
		for _, refused := range reply.Errors {
			messages = append(messages, refused.Message)
			require.NotContains(t, refused.Message, "SECRET", c.query)
		}
		require.Contains(t, messages, c.want, c.query)
	}

	// The message about a cycle of fragments has all of their names, so it is cut as a whole.
	const fragments = 10
	name := strings.Repeat("F", 60)
	circle := "{..." + name + "0}"
	for i := range fragments {
		circle += fmt.Sprintf(" fragment %s%d on Query{...%[1]s%[3]d}", name, i, (i+1)%fragments)
	}
	reply := decode(t, post(handler, bodyOf(t, circle, ``)))
	require.Len(t, reply.Errors[0].Message, maxMessage)
	require.Regexp(t, `^Cannot spread fragment "F+0" within itself via "F+1", .*\.\.\.$`, reply.Errors[0].Message)
}
