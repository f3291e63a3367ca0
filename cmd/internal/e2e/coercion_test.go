package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/cmd/internal/e2e/harness"
)

// coercionCase is a request with one wrong value.
type coercionCase struct {
	name, query, variables, operationName string
	code, field                           string
}

func (c coercionCase) body(t testing.TB) string {
	const body = `{"query":%s,"variables":{%s},"operationName":%q}`
	return fmt.Sprintf(body, harness.JSON(t, c.query), c.variables, c.operationName)
}

// cases returns the requests that send a wrong value at a position. A mutation creates a customer
// before the field with the value, so that the test notices a request that was executed in part.
func (s inputSchema) cases(p inputPosition, wrong inputValue) (all []coercionCase) {
	operation, root, first := "query", "Query", ""
	if !p.isQuery {
		operation, root = "mutation", "Mutation"
		first = `first:createCustomer(input:{email:"p@example.com"}){customer{id}} `
	}
	code := "GRAPHQL_VALIDATION_FAILED"
	if p.inputType.Name() == "DateTime" && wrong != same("null") {
		code = "INVALID_INPUT"
	}
	add := func(how, query, variables, operationName string) {
		name := fmt.Sprintf("%s: %s as %s", p.name, wrong, how)
		all = append(all, coercionCase{name, query, variables, operationName, code, p.field})
	}
	document := func(header, selection string) string { return operation + header + "{" + first + selection + "}" }
	declares := func(inputType *ast.Type, value string) string { return "($v:" + inputType.String() + value + ")" }
	skipped := func(use string) string { return "...@skip(if:true){" + use + "}" }
	fragment := func(use string) string { return " fragment F on " + root + "{...on " + root + "{" + use + "}}" }

	placed := p.within(wrong)
	whole, inside := p.use("$v"), p.use(p.within(same("$v")).literal)
	if wrong.literal != "" {
		use := p.use(placed.literal)
		add("a literal", document("", use), "", "")
		add("a literal in a skipped field", document("", skipped(use)), "", "")
		add("a literal in a fragment", document("", "...F")+fragment(use), "", "")
		add("a literal of another operation", document(" Run", "__typename")+operation+" Other{"+use+"}", "", "Run")
		add("a variable's default", document(declares(p.argument, "="+placed.literal), whole), "", "")
		add("a default of a variable inside the argument", document(declares(p.inputType, "="+wrong.literal), inside), "", "")
	}
	if wrong.json != "" {
		header, value := declares(p.inputType, ""), `"v":`+wrong.json
		add("a variable", document(declares(p.argument, ""), whole), `"v":`+placed.json, "")
		add("a variable inside the argument", document(header, inside), value, "")
		add("a variable in a skipped field", document(header, skipped(inside)), value, "")
		add("a variable in a fragment", document(header, "...F")+fragment(inside), value, "")
	}
	if wrong == same("null") {
		nullable := *p.inputType
		nullable.NonNull = false
		header := declares(&nullable, "="+s.good(p.inputType).literal)
		add("null for a variable with a default", document(header, inside), `"v":null`, "")
	}
	return all
}

// TestWrongValuesExecuteNoField sends a wrong value at every input position of the schema, as a
// literal, a default and a variable. The server must execute no field of the request: the reply has
// no data, and a mutation that precedes the value in the document has changed nothing.
func TestWrongValuesExecuteNoField(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Coercion")
	d.Create(t, m, `{"email":"one@example.com"}`)
	before := allRows(t, d)
	schema := loadInputSchema(t)
	count := 0
	for _, p := range schema.positions() {
		for _, wrong := range schema.wrong(p.inputType) {
			for _, c := range schema.cases(p, wrong) {
				accept, status := "application/json", 200
				if count++; count%2 == 0 {
					accept, status = graphqlType, 400
				}
				r := d.Send(t, m.WriteKey, "POST", "/graphql", c.body(t), header("Accept", accept))
				c.requireRefused(t, r)
				require.Equal(t, status, r.Status, c.name)
			}
			require.Equal(t, before, allRows(t, d), "%v of %v", wrong, p)
		}
	}
	t.Logf("%d requests with a wrong value", count)
	require.GreaterOrEqual(t, count, 300)
}

// requireRefused requires that a reply refuses the request because of its wrong value.
func (c coercionCase) requireRefused(t testing.TB, r harness.Reply) {
	t.Helper()
	var body map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(r.Body), &body), "%s: %s", c.name, r.Body)
	require.NotContains(t, body, "data", "%s: %s", c.name, c.query)
	var faults []struct {
		Extensions struct {
			Code    string
			Details []struct{ Field string }
		}
	}
	require.NoError(t, json.Unmarshal(body["errors"], &faults))
	require.NotEmpty(t, faults, c.name)
	for _, fault := range faults {
		require.Equal(t, c.code, fault.Extensions.Code, "%s: %s %s\n%s", c.name, c.query, c.variables, r.Body)
		if c.code == "INVALID_INPUT" {
			require.Len(t, fault.Extensions.Details, 1, c.name)
			require.Equal(t, c.field, fault.Extensions.Details[0].Field, c.name)
		}
	}
}

// validValues are requests with each coercion that the specification allows, and their results. ID0
// and ID1 are the ids of customers. `by email` is the sort order that puts these two first.
var validValues = []struct{ query, variables, want string }{
	// Int, also from a float without a fraction.
	{`{customers(first:2,by email){nodes{id}}}`, `{}`, `{"customers":{"nodes":[{"id":"ID0"},{"id":"ID1"}]}}`},
	{`query($n:Int){customers(first:$n,by email){nodes{id}}}`, `{"n":1}`, `{"customers":{"nodes":[{"id":"ID0"}]}}`},
	{`query($n:Int){customers(first:$n,by email){nodes{id}}}`, `{"n":1.0}`, `{"customers":{"nodes":[{"id":"ID0"}]}}`},
	{`query($n:Int!){customers(first:$n,by email){nodes{id}}}`, `{"n":0.1e1}`, `{"customers":{"nodes":[{"id":"ID0"}]}}`},
	{`query($n:Int=1){customers(first:$n,by email){nodes{id}}}`, `{}`, `{"customers":{"nodes":[{"id":"ID0"}]}}`},
	{`query($n:Int=1){customers(first:$n){totalCount}}`, `{"n":null}`, `{"customers":{"totalCount":3}}`},
	// ID, also from an integer. The integers are in lists because customer(id:5) is an error of the
	// store.
	{`{nodes(ids:["ID0",5,"""ID1"""]){id}}`, `{}`, `{"nodes":[{"id":"ID0"},null,{"id":"ID1"}]}`},
	{`query($i:[ID!]!){nodes(ids:$i){id}}`, `{"i":["ID0",5,5.0]}`, `{"nodes":[{"id":"ID0"},null,null]}`},
	{`query($i:ID="ID0"){customer(id:$i){id}}`, `{}`, `{"customer":{"id":"ID0"}}`},
	{`query($i:ID="ID0"){customer(id:$i){id}}`, `{"i":"ID1"}`, `{"customer":{"id":"ID1"}}`},
	// A list, also from a single value.
	{`{nodes(ids:[]){id}}`, `{}`, `{"nodes":[]}`},
	{`{nodes(ids:"ID0"){id}}`, `{}`, `{"nodes":[{"id":"ID0"}]}`},
	{`{nodes(ids:5){id}}`, `{}`, `{"nodes":[null]}`},
	{`query($i:[ID!]!){nodes(ids:$i){id}}`, `{"i":"ID0"}`, `{"nodes":[{"id":"ID0"}]}`},
	{`query($i:[ID!]!){nodes(ids:$i){id}}`, `{"i":5}`, `{"nodes":[null]}`},
	{`query($i:[ID!]="ID0"){nodes(ids:$i){id}}`, `{}`, `{"nodes":[{"id":"ID0"}]}`},
	{`query($a:ID!,$b:ID="ID1"){nodes(ids:[$a,$b]){id}}`, `{"a":"ID0"}`, `{"nodes":[{"id":"ID0"},{"id":"ID1"}]}`},
	// Boolean, also in @skip and @include.
	{`query($b:Boolean!,$c:Boolean=true){merchant{name@skip(if:$b) n:name@include(if:$c)}}`, `{"b":true}`,
		`{"merchant":{"n":"Coercion"}}`},
	{`query($b:Boolean){customers(filter:{includeDeleted:$b}){totalCount}}`, `{"b":true}`,
		`{"customers":{"totalCount":3}}`},
	{`query($b:Boolean){customers(filter:{includeDeleted:$b}){totalCount}}`, `{}`, `{"customers":{"totalCount":3}}`},
	// String, also one of digits.
	{`query($u:String){customers(filter:{userId:$u}){totalCount}}`, `{"u":"5"}`, `{"customers":{"totalCount":3}}`},
	// DateTime with any offset.
	{`{customers(filter:{createdAt:{before:"2024-01-31T09:30:00+02:00"}}){totalCount}}`, `{}`,
		`{"customers":{"totalCount":0}}`},
	{`query($d:DateTime="2024-01-31t09:30:00.5z"){customers(filter:{createdAt:{from:$d,before:null}}){totalCount}}`, `{}`,
		`{"customers":{"totalCount":3}}`},
	// Enums, and input objects without their optional fields.
	{`query($s:CustomerSort){customers(first:1,sort:$s){nodes{id}}}`, `{"s":{"field":"EMAIL","direction":"ASC"}}`,
		`{"customers":{"nodes":[{"id":"ID0"}]}}`},
	{`query($f:CustomerSortField!,$d:SortDirection=ASC){customers(first:1,sort:{field:$f,direction:$d}){nodes{id}}}`,
		`{"f":"EMAIL"}`, `{"customers":{"nodes":[{"id":"ID0"}]}}`},
	{`query($f:CustomerFilter={userId:"5"}){customers(filter:$f){totalCount}}`, `{}`, `{"customers":{"totalCount":3}}`},
	{`query($f:CustomerFilter){customers(filter:$f){totalCount}}`, `{"f":{"createdAt":{},"updatedAt":null,"email":null}}`,
		`{"customers":{"totalCount":3}}`},
	{`mutation($i:UpdateCustomerInput!){updateCustomer(id:"ID1",input:$i){customer{name userId taxId}}}`,
		`{"i":{"name":null,"taxId":"T","dangerouslyAllowSameEmailForDifferentCustomers":null}}`,
		`{"updateCustomer":{"customer":{"name":null,"userId":"5","taxId":"T"}}}`},
	{`mutation($e:Int){createAccessToken(input:{expiresIn:$e,access:null}){userErrors{code}}}`, `{"e":900.0}`,
		`{"createAccessToken":{"userErrors":[]}}`},
	// A value for an undeclared variable is ignored.
	{`{merchant{name}}`, `{"x":1e400,"y":{"z":[]}}`, `{"merchant":{"name":"Coercion"}}`},
}

// TestValidValuesAreCoerced sends every form of value that the specification allows and requires
// its result. It fails if the strict scalars refuse a valid form.
func TestValidValuesAreCoerced(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Coercion")
	var ids []string
	for i := range 3 {
		ids = append(ids, d.Create(t, m, fmt.Sprintf(`{"email":"c%d@example.com","userId":"5","name":"N"}`, i)))
	}
	names := strings.NewReplacer("ID0", ids[0], "ID1", ids[1], "by email", "sort:{field:EMAIL,direction:ASC}")
	for _, c := range validValues {
		r := d.GraphQL(t, m.WriteKey, names.Replace(c.query), names.Replace(c.variables))
		require.Equal(t, answer{200, `{"data":` + names.Replace(c.want) + `}`}, brief(r), "%s %s", c.query, c.variables)
	}

	// A value that only the store refuses is an error of its field, and the other fields have data.
	for _, c := range []struct{ query, variables string }{
		{`{merchant{name} customer(id:5){id}}`, `{}`},
		{`query($i:ID!){merchant{name} customer(id:$i){id}}`, `{"i":5.0}`},
	} {
		require.Equal(t, answer{200, `{"errors":[{"message":"Invalid customer ID format","path":["customer"],` +
			`"extensions":{"code":"INVALID_ID"}}],"data":{"merchant":{"name":"Coercion"},"customer":null}}`},
			brief(d.GraphQL(t, m.WriteKey, c.query, c.variables)))
	}
	r := d.GraphQL(t, m.WriteKey, `query($n:Int){customers(first:$n){totalCount}}`, `{"n":-2147483648}`)
	require.Contains(t, r.Body, `"path":["customers"]`)
	require.Contains(t, r.Body, `"data":null`)
}
