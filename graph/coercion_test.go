package graph

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/graph/scalar"
)

// TestEveryScalarCoerces checks that the table of package scalar has every input type of the
// schema. A scalar without a row would refuse all values.
func TestEveryScalarCoerces(t *testing.T) {
	t.Parallel()
	good := map[string]any{
		"String": "text", "ID": "cust_1", "Boolean": true, "Int": int64(5), "DateTime": "2026-01-31T09:30:00Z",
	}
	schema := schema()
	check := func(inputType *ast.Type) {
		definition := schema.Types[inputType.Name()]
		switch definition.Kind {
		case ast.Scalar:
			require.NoError(t, scalar.Coerce(definition, good[definition.Name]), definition.Name)
		case ast.Enum:
			for _, value := range definition.EnumValues {
				require.NoError(t, scalar.Coerce(definition, value.Name))
			}
		}
		for _, wrong := range []any{nil, 1.5, math.Inf(1), []any{"text"}, map[string]any{}} {
			if definition.Kind != ast.InputObject {
				require.Error(t, scalar.Coerce(definition, wrong), "%s: %v", definition.Name, wrong)
			}
		}
	}
	for _, definition := range schema.Types {
		for _, field := range definition.Fields {
			if definition.Kind == ast.InputObject {
				check(field.Type)
			}
			for _, argument := range field.Arguments {
				check(argument.Type)
			}
		}
	}
	for _, directive := range schema.Directives {
		for _, argument := range directive.Arguments {
			check(argument.Type)
		}
	}
}

// TestNullVariables checks null in variables with a default value, whose types accept null. Whether
// null is accepted depends on the uses of the variable, separately in each operation.
func TestNullVariables(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t)
	const refused = `{"errors":[{"message":"variable \"x\" must not be null",` +
		`"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`
	for _, query := range []string{
		`query Q($x:ID="cust_1"){customer(id:$x){id}}`,
		`query Q($x:ID="cust_1"){nodes(ids:[$x]){id}}`,
		`query Q($x:[ID!]=["cust_1"]){nodes(ids:$x){id}}`,
		`query Q($x:ID="cust_1"){node(id:"cust_2"){id} ...F} fragment F on Query{...{customer(id:$x){id}}}`,
		`query Q($x:ID="cust_1"){customer(id:$x)@skip(if:true){id}}`,
		`query Q($x:SortDirection=ASC){customers(sort:{field:NAME,direction:$x}){totalCount}}`,
		`mutation Q($x:String="a@b.io"){createCustomer(input:{email:$x}){customer{id}}}`,
		`mutation Q($x:CreateCustomerInput={email:"a@b.io"}){createCustomer(input:$x){customer{id}}}`,
	} {
		require.JSONEq(t, refused, post(handler, bodyOf(t, query, `{"x":null}`)).Body.String(), query)
		require.Empty(t, decode(t, post(handler, bodyOf(t, query, `{}`))).Errors, query)
	}

	const two = `query A($x:String="x"){customers(filter:{userId:$x}){nodes{id}}} ` +
		`query B($x:String="T"){__type(name:$x){name}}`
	run := func(operation string) string {
		body := strings.Replace(bodyOf(t, two, `{"x":null}`), `{`, `{"operationName":"`+operation+`",`, 1)
		return post(handler, body).Body.String()
	}
	require.Contains(t, run("A"), `"data":{"customers":{"nodes":[]}}`)
	require.JSONEq(t, refused, run("B"))
}

// TestFaultsOfValues checks that a fault names the argument or input field, and that it has the
// place of a literal in the document or the name of a variable.
func TestFaultsOfValues(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t)
	notInt := func(where string) string {
		return `{"message":"expected a value of type Int for \"first\"",` + where +
			`"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}`
	}
	noTime := func(field, where string) string {
		return `{"message":"Invalid request data",` + where + `"extensions":{"code":"INVALID_INPUT","details":[` +
			`{"code":"INVALID_FORMAT","field":"` + field + `","message":"` + field + ` must be an RFC 3339 time, YYYY-MM-DDThh:mm:ssZ"}]}}`
	}
	at := func(line, column int) string {
		return fmt.Sprintf(`"locations":[{"line":%d,"column":%d}],`, line, column)
	}
	long := strings.Repeat("n", 70)
	for _, c := range []struct{ query, variables, want string }{
		{"{\ncustomers(first:9999999999){totalCount}}", ``, notInt(at(2, 17))},
		{`query($n:Int=2147483648){customers(first:$n){totalCount}}`, ``, notInt(at(1, 14))},
		{`query($n:Int){customers(first:$n){totalCount}}`, `{"n":"9"}`, notInt(`"path":["variable","n"],`)},
		{`query($` + long + `:Int){customers(first:$` + long + `){totalCount}}`, `{"` + long + `":"9"}`,
			notInt(`"path":["variable","` + long[:64] + `..."],`)},
		// Two operations spread the fragment, and the fault is one.
		{`query A{...F} query B{...F} fragment F on Query{customers(first:2147483648){totalCount}}`, ``, notInt(at(1, 65))},
		{`{customers(filter:{createdAt:{from:"x"},updatedAt:{before:[5]}}){totalCount}}`, ``,
			noTime("from", at(1, 37)) + `,` + noTime("before", at(1, 59))},
		{`query($d:DateTime="x"){customers(filter:{createdAt:{from:$d}}){totalCount}}`, ``, noTime("from", at(1, 20))},
		{`query($d:DateTime){customers(filter:{createdAt:{from:$d}}){totalCount}}`, `{"d":"x"}`,
			noTime("from", `"path":["variable","d"],`)},
		{`query($f:CustomerFilter){customers(filter:$f){totalCount}}`, `{"f":{"updatedAt":{"before":[]}}}`,
			noTime("before", `"path":["variable","f"],`)},
		{`query($f:CustomerFilter){customers(filter:$f){totalCount}}`, `{"f":{"__typename":"CustomerFilter"}}`,
			`{"message":"unknown field","path":["variable","f"],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}`},
	} {
		w := post(handler, bodyOf(t, c.query, c.variables))
		require.JSONEq(t, `{"errors":[`+c.want+`]}`, w.Body.String(), c.query)
		require.Equal(t, http.StatusOK, w.Code)
	}
}

// TestTrustedLiterals checks that a trusted document with a wrong literal prevents the start.
func TestTrustedLiterals(t *testing.T) {
	t.Parallel()
	_, err := Trust(map[string]string{
		"time":   `{customers(filter:{createdAt:{from:"x"}}){totalCount}}`,
		"number": `{customers(first:2147483648){totalCount}}`,
	}, trusting, false)
	require.EqualError(t, err, `document "number": expected a value of type Int for "first"; `+
		`document "time": from must be an RFC 3339 time, YYYY-MM-DDThh:mm:ssZ`)
}
