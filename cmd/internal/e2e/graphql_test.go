package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
)

const graphqlType = "application/graphql-response+json"

// TestLookupsByIDAreOneStatement counts the statements of operations that request customers by id
// in every form. Postgres must run one statement for all ids of an operation. It fails if the
// loader does not batch a form, or keeps rows for the next operation.
func TestLookupsByIDAreOneStatement(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Lookups")
	var ids []string
	for i := range 40 {
		ids = append(ids, d.Create(t, m, fmt.Sprintf(`{"email":"c%d@example.com"}`, i)))
	}
	count := countStatements(t, d)
	many := func(n int) string {
		var q strings.Builder
		for i := range n {
			fmt.Fprintf(&q, "a%d:customer(id:%q){email} ", i, ids[i])
		}
		return q.String()
	}
	for _, c := range []struct {
		name, query string
		variables   any
		statements  int64
		emails      int
	}{
		{"one", `{` + many(1) + `}`, nil, 1, 1},
		{"thirty aliases", `{` + many(30) + `}`, nil, 1, 30},
		{"customer, node and nodes", `{` + many(10) + ` n:node(id:"` + ids[11] + `"){...on Customer{email}} ns:nodes(ids:["` + ids[12] + `","` + ids[13] + `"]){...on Customer{email}}}`, nil, 1, 13},
		{"variables, with a default", `query($a:ID!,$b:ID="` + ids[1] + `",$c:[ID!]!){a:customer(id:$a){email} b:customer(id:$b){email} c:nodes(ids:$c){...on Customer{email}}}`, map[string]any{"a": ids[0], "c": ids[2:9]}, 1, 9},
		{"a single value for a list", `{nodes(ids:"` + ids[3] + `"){...on Customer{email}} ` + many(2) + `}`, nil, 1, 3},
		{"a single value for a list that is a variable", `query($x:[ID!]!){a:nodes(ids:$x){...on Customer{email}} b:nodes(ids:$x){...on Customer{email}} c:node(id:"` + ids[4] + `"){...on Customer{email}}}`, map[string]any{"x": ids[3]}, 1, 3},
		{"fragments", `query{...A ...on Query{b:customer(id:"` + ids[1] + `"){email}}} fragment A on Query{a:customer(id:"` + ids[0] + `"){...E} ...B} fragment B on Query{c:node(id:"` + ids[2] + `"){...E}} fragment E on Customer{email}`, nil, 1, 3},
		{"@include and @skip", `query($yes:Boolean!,$no:Boolean!){a:customer(id:"` + ids[0] + `")@include(if:$yes){email} b:customer(id:"` + ids[1] + `")@include(if:$no){email} c:customer(id:"` + ids[2] + `")@skip(if:$yes){email} ...@include(if:$no){d:customer(id:"` + ids[3] + `"){email}}}`, map[string]any{"yes": true, "no": false}, 1, 1},
		{"one of several operations", `query X{` + many(3) + `}`, nil, 1, 3},
		{"absent customers among them", `{` + many(2) + ` x:customer(id:"cust_absent"){email} y:node(id:"` + m.ID + `"){id}}`, nil, 1, 2},
		{"only the merchant", `{merchant{id} node(id:"` + m.ID + `"){id}}`, nil, 0, 0},
		{"250 nodes, some of them twice", `query($ids:[ID!]!){nodes(ids:$ids){...on Customer{email}}}`, map[string]any{"ids": append(append(append(append(append(append([]string{}, ids...), ids...), ids...), ids...), ids...), append(append([]string{}, ids...), ids[:10]...)...)}, 1, 250},
	} {
		r := d.GraphQL(t, m.WriteKey, c.query, c.variables)
		require.Equal(t, 200, r.Status)
		require.NotContains(t, r.Body, "errors", c.name)
		require.Equal(t, c.emails, strings.Count(r.Body, `"email":`), c.name)
		require.Equal(t, c.statements, count(), c.name)
	}
	// The loader keeps no row for the next operation.
	d.GraphQL(t, m.WriteKey, `{`+many(1)+`}`, nil)
	d.GraphQL(t, m.WriteKey, `{`+many(1)+`}`, nil)
	require.Equal(t, int64(2), count())

	t.Run("one statement for a list and one for its total", func(t *testing.T) {
		for query, statements := range map[string]int64{
			`{customers{nodes{id} edges{cursor node{email}} pageInfo{hasNextPage hasPreviousPage startCursor endCursor}}}`: 1,
			`{customers(first:2){nodes{id}}}`:                                1,
			`{customers{totalCount}}`:                                        2,
			`{customers{n:totalCount @skip(if:true) pageInfo{hasNextPage}}}`: 1,
		} {
			require.NotContains(t, d.GraphQL(t, m.WriteKey, query, nil).Body, "errors")
			require.Equal(t, statements, count(), query)
		}
	})
}

// TestUserErrors checks that mutations report input errors in userErrors, each with its code, the
// path of the field, the message and the reason.
func TestUserErrors(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Users")
	id := d.Create(t, m, `{"email":"one@example.com"}`)
	d.Create(t, m, `{"email":"two@example.com"}`)
	const payload = `{customer{id} userErrors{code field message reason}}`
	for mutation, want := range map[string]string{
		`createCustomer(input:{email:" "})` + payload:                                `{"customer":null,"userErrors":[{"code":"EMAIL_REQUIRED","field":["input","email"],"message":"Email is required","reason":null}]}`,
		`createCustomer(input:{email:"ONE@example.com"})` + payload:                  `{"customer":null,"userErrors":[{"code":"EMAIL_TAKEN","field":["input","email"],"message":"A customer with this email already exists","reason":null}]}`,
		`updateCustomer(id:"` + id + `",input:{email:"two@example.com"})` + payload:  `{"customer":null,"userErrors":[{"code":"EMAIL_TAKEN","field":["input","email"],"message":"` + takenByAnother.text + `","reason":null}]}`,
		`updateCustomer(id:"` + id + `",input:{email:null})` + payload:               `{"customer":null,"userErrors":[{"code":"EMAIL_REQUIRED","field":["input","email"],"message":"Email is required","reason":null}]}`,
		`updateCustomer(id:"bad",input:{})` + payload:                                `{"customer":null,"userErrors":[{"code":"INVALID_ID","field":["id"],"message":"Invalid customer ID format","reason":null}]}`,
		`updateCustomer(id:"cust_absent",input:{})` + payload:                        `{"customer":null,"userErrors":[{"code":"NOT_FOUND","field":["id"],"message":"Customer not found or access denied","reason":null}]}`,
		`deleteCustomer(id:"bad"){deletedCustomerId userErrors{code field message}}`: `{"deletedCustomerId":null,"userErrors":[{"code":"INVALID_ID","field":["id"],"message":"Invalid customer ID format"}]}`,
		`createCustomer(input:{email:"x",name:"\u0001",billingCountry:"XX"})` + payload: `{"customer":null,"userErrors":[` +
			`{"code":"INVALID_INPUT","field":["input","email"],"message":"email must be an email address","reason":"INVALID_FORMAT"},` +
			`{"code":"INVALID_INPUT","field":["input","name"],"message":"name must not contain control characters","reason":"FORBIDDEN_CHARACTER"},` +
			`{"code":"INVALID_INPUT","field":["input","billingCountry"],"message":"billingCountry must be an ISO 3166-1 alpha-2 code","reason":"INVALID_FORMAT"}]}`,
		`createCustomer(input:{email:"a@x.io",taxId:"` + x64 + `x"})` + payload: `{"customer":null,"userErrors":[{"code":"INVALID_INPUT","field":["input","taxId"],"message":"taxId must be at most 64 characters","reason":"TOO_LONG"}]}`,
	} {
		require.Equal(t, answer{200, `{"data":{"it":` + want + `}}`}, brief(d.GraphQL(t, m.WriteKey, `mutation{it:`+mutation+`}`, nil)), mutation)
	}
}

// TestFailedMutationKeepsTheOthers checks that a mutation field that fails is null, and that the
// other fields of the operation have committed the rows that they return. It fails if the fields
// share a transaction.
func TestFailedMutationKeepsTheOthers(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Neighbours")
	d.SQL(t, `CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.name = 'boom' THEN RAISE EXCEPTION 'injected fault'; END IF; RETURN NEW; END $$`)
	d.SQL(t, `CREATE TRIGGER fault BEFORE INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION fault()`)
	r := d.GraphQL(t, m.WriteKey, `mutation{
		a:createCustomer(input:{email:"a@x.io"}){customer{email}}
		b:createCustomer(input:{email:"b@x.io",name:"boom"}){customer{email}}
		c:createCustomer(input:{email:"A@x.io"}){customer{email} userErrors{code}}
		d:createCustomer(input:{email:"d@x.io"}){customer{email}}
	}`, nil)
	require.Equal(t, answer{200, `{"errors":[{"message":"Failed to create customer","path":["b"],"extensions":{"code":"INTERNAL","requestId":"REQUEST"}}],` +
		`"data":{"a":{"customer":{"email":"a@x.io"}},"b":null,"c":{"customer":null,"userErrors":[{"code":"EMAIL_TAKEN"}]},"d":{"customer":{"email":"d@x.io"}}}}`}, answer{r.Status, normalized(r.Body)})
	require.Equal(t, []string{"a@x.io", "d@x.io"}, storedRows(t, d, m))

	r = d.GraphQL(t, m.ReadKey, `mutation{a:createCustomer(input:{email:"x@x.io"}){customer{id}} b:deleteCustomer(id:"bad"){deletedCustomerId}}`, nil)
	require.Equal(t, answer{200, `{"errors":[{"message":"This credential may not do that","path":["a"],"extensions":{"code":"FORBIDDEN","count":2}}],` +
		`"data":{"a":null,"b":null}}`}, brief(r))
}

// TestGraphQLOverHTTP checks status, content type and body for both media types, for malformed
// requests and for other methods than POST.
func TestGraphQLOverHTTP(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "HTTP")
	const refused = `{"errors":[{"message":"Cannot query field \"nope\" on type \"Query\".","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`
	for _, c := range []struct {
		name, method, body string
		accept             string
		want               answer
		contentType        string
	}{
		{"data", "POST", `{"query":"{merchant{name}}"}`, "", answer{200, `{"data":{"merchant":{"name":"HTTP"}}}`}, "application/json; charset=utf-8"},
		{"data for the new media type", "POST", `{"query":"{merchant{name}}"}`, graphqlType, answer{200, `{"data":{"merchant":{"name":"HTTP"}}}`}, graphqlType + "; charset=utf-8"},
		{"one of several operations", "POST", `{"query":"query A{merchant{id}} query B{merchant{name}}","operationName":"B","variables":null,"extensions":null}`, "", answer{200, `{"data":{"merchant":{"name":"HTTP"}}}`}, "application/json; charset=utf-8"},
		{"an invalid document", "POST", `{"query":"{nope}"}`, "", answer{200, refused}, "application/json; charset=utf-8"},
		{"an invalid document for the new media type", "POST", `{"query":"{nope}"}`, graphqlType + ", application/json;q=0.9", answer{400, refused}, graphqlType + "; charset=utf-8"},
		{"a field that fails for the new media type", "POST", `{"query":"{customer(id:\"bad\"){id}}"}`, graphqlType, answer{200, `{"errors":[{"message":"Invalid customer ID format","path":["customer"],"extensions":{"code":"INVALID_ID"}}],"data":{"customer":null}}`}, graphqlType + "; charset=utf-8"},
		{"no query", "POST", `{}`, "", answer{400, `{"errors":[{"message":"query must be a string","extensions":{"code":"BAD_REQUEST"}}]}`}, "application/json; charset=utf-8"},
		{"a query that is null", "POST", `{"query":null}`, "", answer{400, `{"errors":[{"message":"query must be a string","extensions":{"code":"BAD_REQUEST"}}]}`}, "application/json; charset=utf-8"},
		{"a batch", "POST", `[{"query":"{merchant{name}}"}]`, graphqlType, answer{400, `{"errors":[{"message":"The request body must be one JSON object","extensions":{"code":"BAD_REQUEST"}}]}`}, graphqlType + "; charset=utf-8"},
		{"a key in another case", "POST", `{"QUERY":"{merchant{name}}"}`, "", answer{400, `{"errors":[{"message":"query must be a string","extensions":{"code":"BAD_REQUEST"}}]}`}, "application/json; charset=utf-8"},
		{"GET", "GET", "", "", answer{405, `{"errors":[{"message":"Method not allowed","extensions":{"code":"METHOD_NOT_ALLOWED"}}]}`}, "application/json; charset=utf-8"},
		{"PUT", "PUT", "{}", "", answer{405, `{"errors":[{"message":"Method not allowed","extensions":{"code":"METHOD_NOT_ALLOWED"}}]}`}, "application/json; charset=utf-8"},
	} {
		path := "/graphql"
		if c.method == "GET" {
			path += "?query={merchant{name}}"
		}
		r := d.Send(t, m.WriteKey, c.method, path, c.body, header("Accept", c.accept))
		require.Equal(t, c.want, brief(r), c.name)
		require.Equal(t, c.contentType, r.Header.Get("Content-Type"), c.name)
		require.Equal(t, c.want.status == 405, r.Header.Get("Allow") == "POST")
	}
	require.Equal(t, answer{405, `{"errors":[{"message":"Method not allowed","extensions":{"code":"METHOD_NOT_ALLOWED"}}]}`}, brief(d.Send(t, "", "GET", "/graphql", "")), "the method is checked before the credential")
	// The server has no persisted queries.
	r := d.Send(t, m.WriteKey, "POST", "/graphql", `{"query":"","extensions":{"persistedQuery":{"version":1,"sha256Hash":"`+strings.Repeat("0", 64)+`"}}}`)
	require.NotContains(t, r.Body, "Persisted")
	require.NotContains(t, r.Body, `"data"`)
}

// errorsOf returns the codes and the messages of a reply's top-level errors.
func errorsOf(t *testing.T, r harness.Reply) (codes, messages []string) {
	t.Helper()
	var body struct {
		Errors []struct {
			Message    string
			Path       []any
			Extensions struct{ Code string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(r.Body), &body), r.Body)
	for _, e := range body.Errors {
		codes, messages = append(codes, e.Extensions.Code), append(messages, e.Message)
		require.NotEmpty(t, e.Message)
		require.LessOrEqual(t, utf8.RuneCountInString(e.Message), 300)
		for _, step := range e.Path {
			if name, ok := step.(string); ok {
				require.LessOrEqual(t, len(name), 67)
			}
		}
	}
	return codes, messages
}

// TestRefusedDocuments sends documents and variables that are refused before they reach the store.
// The errors must have the right code, and contain no suggestion, no value of the request and no
// long name: a suggestion could reveal a hidden field.
func TestRefusedDocuments(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Documents")
	const parse, validation = "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"
	long := strings.Repeat("L", 5000)
	for _, c := range []struct {
		query     string
		variables string
		code      string
	}{
		{`{`, "", parse}, {``, "", validation}, {`{merchant{name}`, "", parse}, {`"` + marker + `"`, "", parse}, {`{a(b:"` + marker + `}`, "", parse}, {`{a(b:"""` + marker + `)}`, "", parse}, {`{a} ` + "\x01" + marker, "", parse},
		{`{a(b:"\x` + marker + `")}`, "", parse}, {`{a(b:"\u12")}`, "", parse}, {`5`, "", parse}, {`{merchant{name} 5}`, "", parse}, {`{ ... on }`, "", parse}, {"{merchant{\u202ename}}", "", parse}, {`mutation{x(a:1.)}`, "", parse}, {`{a(b:00)}`, "", parse},
		{`{nope}`, "", validation}, {`{merchnt{id}}`, "", validation}, {`{merchant{nam}}`, "", validation}, {`{customer(idd:"` + marker + `"){id}}`, "", validation}, {`{customer{id}}`, "", validation}, {`{merchant}`, "", validation}, {`{merchant{id{x}}}`, "", validation},
		{`{merchant{id} ...F}`, "", validation}, {`fragment F on Merchant{id} {merchant{id}}`, "", validation}, {`{...on Custmer{id}}`, "", validation}, {`{merchant{id @nope}}`, "", validation}, {`query($x:Strng){merchant{id}}`, "", validation}, {`{customers(sort:{field:EMIAL,direction:ASC}){totalCount}}`, "", validation},
		{`fragment A on Query{...B} fragment B on Query{...A} {...A}`, "", validation}, {`subscription{customers{id}}`, "", validation}, {`query A{merchant{id}} query A{merchant{id}}`, "", validation}, {`{` + long + `}`, "", validation}, {`{merchant{` + long + `}}`, "", validation}, {`{merchant(` + long + `:1){id}}`, "", validation},
		{`{...` + long + `}`, "", validation}, {`query($` + long + `:Int!){merchant{id}}`, "", validation}, {`{merchant{id @` + long + `}}`, "", validation}, {`query($x:` + long + `){merchant{id}}`, "", validation}, {`{...on ` + long + `{id}}`, "", validation},
		// Literals of the wrong type.
		{`{customer(id:1.5){id}}`, "", validation}, {`{customer(id:{a:"` + marker + `"}){id}}`, "", validation}, {`{customers(first:"` + marker + `"){totalCount}}`, "", validation}, {`{customers(first:1.5){totalCount}}`, "", validation},
		{`{customers(filter:{email:5}){totalCount}}`, "", validation}, {`{customers(filter:"` + marker + `"){totalCount}}`, "", validation}, {`{customers(filter:{nope:"` + marker + `"}){totalCount}}`, "", validation}, {`{customers(filter:{includeDeleted:"` + marker + `"}){totalCount}}`, "", validation},
		{`{customers(sort:{field:` + marker + `,direction:ASC}){totalCount}}`, "", validation}, {`{customers(sort:{field:"EMAIL",direction:ASC}){totalCount}}`, "", validation}, {`{customers(sort:{field:EMAIL}){totalCount}}`, "", validation}, {`{nodes(ids:[null]){id}}`, "", validation},
		{`mutation{createCustomer(input:{email:"n@x.io",name:5}){customer{id}}}`, "", validation}, {`mutation{createCustomer(input:{email:"n@x.io",name:` + marker + `}){customer{id}}}`, "", validation}, {`mutation{createCustomer(input:{email:"n@x.io",name:["` + marker + `"]}){customer{id}}}`, "", validation},
		{`mutation{createCustomer(input:{name:"` + marker + `"}){customer{id}}}`, "", validation}, {`mutation{createCustomer(input:{email:null}){customer{id}}}`, "", validation}, {`mutation{createCustomer(input:{email:"n@x.io",merchantId:"` + marker + `"}){customer{id}}}`, "", validation},
		{`mutation{createCustomer(input:{email:"n@x.io",email:"` + marker + `"}){customer{id}}}`, "", validation}, {`mutation{createCustomer(input:{email:"n@x.io",` + long + `:1}){customer{id}}}`, "", validation}, {`mutation{updateCustomer(id:"cust_1",input:{dangerouslyAllowSameEmailForDifferentCustomers:"` + marker + `"}){customer{id}}}`, "", validation},
		// Variables.
		{operations["create"], `{}`, validation}, {operations["create"], `{"input":null}`, validation}, {operations["create"], `{"input":"` + marker + `"}`, validation}, {operations["create"], `{"input":["` + marker + `"]}`, validation}, {operations["create"], `{"input":{"email":5}}`, validation},
		{operations["create"], `{"input":{"email":"n@x.io","name":5}}`, validation}, {operations["create"], `{"input":{"email":"n@x.io","name":true}}`, validation}, {operations["create"], `{"input":{"email":"n@x.io","name":{"a":"` + marker + `"}}}`, validation}, {operations["create"], `{"input":{"email":"n@x.io","id":"` + marker + `"}}`, validation},
		{operations["create"], `{"input":{"email":"n@x.io","` + long + `":"` + marker + `"}}`, validation}, {operations["update"], `{"id":"cust_1","input":{"` + long + `":{"` + long + `":1}}}`, validation}, {operations["update"], `{"id":true,"input":{}}`, validation},
		{operations["update"], `{"id":"cust_1","input":{"dangerouslyAllowSameEmailForDifferentCustomers":"` + marker + `"}}`, validation}, {operations["update"], `{"id":"cust_1","input":{"dangerouslyAllowSameEmailForDifferentCustomers":1}}`, validation},
		{`query($n:Int){customers(first:$n){totalCount}}`, `{"n":"` + marker + `"}`, validation}, {`query($n:Int){customers(first:$n){totalCount}}`, `{"n":1.5}`, validation}, {`query($n:Int){customers(first:$n){totalCount}}`, `{"n":true}`, validation},
		{`query($s:CustomerSort){customers(sort:$s){totalCount}}`, `{"s":{"field":"` + marker + `","direction":"ASC"}}`, validation}, {`query($s:CustomerSort){customers(sort:$s){totalCount}}`, `{"s":{"field":"` + long + `","direction":"ASC"}}`, validation}, {`query($s:CustomerSort){customers(sort:$s){totalCount}}`, `{"s":{"field":"EMAIL","direction":5}}`, validation},
		{`query($i:[ID!]!){nodes(ids:$i){id}}`, `{"i":[null]}`, validation}, {`query($i:[ID!]!){nodes(ids:$i){id}}`, `{"i":[["` + marker + `"]]}`, validation}, {`query($f:CustomerFilter){customers(filter:$f){totalCount}}`, `{"f":{"` + marker[:2] + `":1}}`, validation}, {`query($b:Boolean!){merchant{id @include(if:$b)}}`, `{"b":"` + marker + `"}`, validation},
	} {
		t.Run(fmt.Sprintf("%.80s %.80s", c.query, c.variables), func(t *testing.T) {
			variables := any(nil)
			if c.variables != "" {
				variables = c.variables
			}
			for _, accept := range []string{"", graphqlType} {
				r := d.GraphQL(t, m.WriteKey, c.query, variables, header("Accept", accept))
				require.Equal(t, map[string]int{"": 200, graphqlType: 400}[accept], r.Status)
				require.NotContains(t, r.Body, `"data"`)
				codes, messages := errorsOf(t, r)
				for i := range codes {
					require.Equal(t, c.code, codes[i], r.Body)
					require.NotContains(t, messages[i], "Did you mean")
					require.NotContains(t, messages[i], strings.Repeat("L", 65))
					require.NotContains(t, messages[i], "json")
				}
				require.NotEmpty(t, codes)
				require.NotContains(t, r.Body, marker)
				require.Less(t, len(r.Body), 4000)
			}
		})
	}
	require.Empty(t, storedRows(t, d, m))
}

// TestInvalidArguments sends valid documents with invalid values of arguments. The errors must be
// INVALID_INPUT with the store's messages. It also checks pages, dates and defaults of valid
// arguments.
func TestInvalidArguments(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m, other := d.Merchant(t, "Arguments"), d.Merchant(t, "Others")
	for i := range 5 {
		for _, merchant := range []auth.Secret{m.WriteKey, other.WriteKey} {
			require.Equal(t, 201, d.Send(t, merchant, "POST", "/api/customers", fmt.Sprintf(`{"email":"c%d@example.com"}`, i)).Status)
		}
		d.SQL(t, "UPDATE customers SET created_at = $1, updated_at = $1 WHERE email = $2", time.Date(2024, 1, 1+i, 0, 0, 0, 0, time.UTC), fmt.Sprintf("c%d@example.com", i))
	}
	cursor := func(key auth.Secret, arguments string) string {
		r := d.GraphQL(t, key, `{customers(first:1`+arguments+`){pageInfo{endCursor}}}`, nil)
		var body struct {
			Data struct {
				Customers struct{ PageInfo struct{ EndCursor string } }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(r.Body), &body))
		require.NotEmpty(t, body.Data.Customers.PageInfo.EndCursor, r.Body)
		return body.Data.Customers.PageInfo.EndCursor
	}
	own, foreign, byName := cursor(m.WriteKey, ""), cursor(other.WriteKey, ""), cursor(m.WriteKey, ",sort:{field:NAME,direction:ASC}")
	ascending := cursor(m.WriteKey, ",sort:{field:CREATED_AT,direction:ASC}")
	fault := func(field, code string) string {
		return fmt.Sprintf(`{"code":%q,"field":%q,"message":"%s %s"}`, code, field, field, expectedMessage(field, code))
	}
	for arguments, want := range map[string]string{
		`first:0`: fault("first", "INVALID_FORMAT"), `first:251`: fault("first", "INVALID_FORMAT"), `first:-1`: fault("first", "INVALID_FORMAT"), `last:0`: fault("last", "INVALID_FORMAT"), `last:251`: fault("last", "INVALID_FORMAT"),
		`first:1,last:1`: `{"code":"INVALID_FORMAT","field":"last","message":"first and last exclude each other"}`,
		`after:""`:       fault("after", "INVALID_FORMAT"), `after:"x"`: fault("after", "INVALID_FORMAT"), `before:"x"`: fault("before", "INVALID_FORMAT"), `after:"` + foreign + `"`: fault("after", "INVALID_FORMAT"), `before:"` + foreign + `"`: fault("before", "INVALID_FORMAT"),
		`after:"` + byName + `"`: fault("after", "INVALID_FORMAT"), `after:"` + ascending + `"`: fault("after", "INVALID_FORMAT"), `after:"` + own + `",sort:{field:EMAIL,direction:DESC}`: fault("after", "INVALID_FORMAT"),
		`after:"` + own[:len(own)-1] + `"`: fault("after", "INVALID_FORMAT"), `after:"` + strings.ToUpper(own) + `"`: fault("after", "INVALID_FORMAT"),
		`after:"x",before:"y"`: fault("after", "INVALID_FORMAT") + "," + fault("before", "INVALID_FORMAT"),
		`filter:{search:"a"}`:  fault("search", "INVALID_FORMAT"), `filter:{search:" a "}`: fault("search", "INVALID_FORMAT"), `filter:{search:"` + x255[:101] + `"}`: fault("search", "TOO_LONG"), `filter:{search:"a\u0000b"}`: fault("search", "FORBIDDEN_CHARACTER"),
		`filter:{email:"nobody"}`: fault("email", "INVALID_FORMAT"), `filter:{billingCountry:"XX"}`: fault("billingCountry", "INVALID_FORMAT"), `filter:{userId:""}`: fault("userId", "INVALID_FORMAT"),
		`filter:{createdAt:{from:"0000-01-01T00:00:00Z"}}`: fault("createdAt", "INVALID_FORMAT"),
	} {
		r := d.GraphQL(t, m.WriteKey, `{customers(`+arguments+`){totalCount}}`, nil)
		require.Equal(t, answer{200, `{"errors":[{"message":"Invalid request data","path":["customers"],"extensions":{"code":"INVALID_INPUT","details":[` + want + `]}}],"data":null}`}, brief(r), arguments)
	}
	for where, r := range map[string]harness.Reply{
		`"locations":[{"line":1,"column":18}]`: d.GraphQL(t, m.WriteKey, `{customers(first:9999999999){totalCount}}`, nil),
		`"path":["variable","n"]`:              d.GraphQL(t, m.WriteKey, `query($n:Int){customers(first:$n){totalCount}}`, `{"n":2147483648}`),
	} {
		require.Equal(t, answer{200, `{"errors":[{"message":"expected a value of type Int for \"first\"",` + where + `,"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`}, brief(r))
	}
	t.Run("dates are RFC 3339 with any offset", func(t *testing.T) {
		ask := func(literal string) (harness.Reply, harness.Reply) {
			return d.GraphQL(t, m.WriteKey, `{customers(filter:{createdAt:{from:`+literal+`}}){totalCount}}`, nil),
				d.GraphQL(t, m.WriteKey, `query($d:DateTime){customers(filter:{createdAt:{from:$d}}){totalCount}}`, `{"d":`+literal+`}`)
		}
		for literal, n := range map[string]int{`"2024-01-03T00:00:00Z"`: 3, `"2024-01-03T01:00:00+01:00"`: 3, `"2024-01-03T00:00:00.000001Z"`: 2, `"2024-01-02T23:59:59.999-00:00"`: 3, `null`: 5} {
			want := answer{200, fmt.Sprintf(`{"data":{"customers":{"totalCount":%d}}}`, n)}
			inDocument, inVariable := ask(literal)
			require.Equal(t, want, brief(inDocument), literal)
			require.Equal(t, want, brief(inVariable), literal)
		}
		for _, literal := range []string{`"2024-01-03"`, `""`, `"yesterday"`, `"2024-01-03 00:00:00Z"`, `"2024-02-30T00:00:00Z"`, `"2024-01-03T00:00:00"`, `5`, `true`, `"2024-01-03T00:00:00Z ` + marker + `"`} {
			inDocument, inVariable := ask(literal)
			for _, r := range []harness.Reply{inDocument, inVariable} {
				codes, messages := errorsOf(t, r)
				require.Equal(t, []string{"INVALID_INPUT"}, codes, "%s: %s", literal, r.Body)
				require.Equal(t, []string{"Invalid request data"}, messages)
				require.NotContains(t, r.Body, marker)
				require.Contains(t, r.Body, `"details":[{"code":"INVALID_FORMAT","field":"from","message":"from must be an RFC 3339 time, YYYY-MM-DDThh:mm:ssZ"}]`)
			}
		}
	})
	t.Run("null means absent", func(t *testing.T) {
		r := d.GraphQL(t, m.WriteKey, `{customers(first:null,after:null,last:null,before:null,sort:null,filter:{email:null,userId:null,billingCountry:null,search:null,createdAt:null,updatedAt:{from:null,before:null},includeDeleted:null}){totalCount nodes{email}}}`, nil)
		require.Equal(t, answer{200, `{"data":{"customers":{"totalCount":5,"nodes":[{"email":"c4@example.com"},{"email":"c3@example.com"},{"email":"c2@example.com"},{"email":"c1@example.com"},{"email":"c0@example.com"}]}}}`}, brief(r))
	})
	t.Run("pages from both ends, with hasNextPage and hasPreviousPage", func(t *testing.T) {
		at := func(i int) string { // the cursor of c<i>; the list is c4 ... c0
			var body struct {
				Data struct {
					Customers struct {
						Edges []struct{ Cursor string }
					}
				}
			}
			require.NoError(t, json.Unmarshal([]byte(d.GraphQL(t, m.WriteKey, `{customers{edges{cursor}}}`, nil).Body), &body))
			return body.Data.Customers.Edges[4-i].Cursor
		}
		for arguments, want := range map[string]string{
			`first:2`: "43 next", `last:2`: "10 previous", `first:5`: "43210", `first:250`: "43210", `last:5`: "43210",
			`first:2,after:"` + at(4) + `"`: "32 previous next", `first:2,after:"` + at(1) + `"`: "0 previous", `first:1,after:"` + at(0) + `"`: " previous",
			`last:2,before:"` + at(0) + `"`: "21 previous next", `last:4,before:"` + at(0) + `"`: "4321 next", `last:1,before:"` + at(4) + `"`: " next",
			`first:2,before:"` + at(1) + `"`: "43 next", `first:3,before:"` + at(1) + `"`: "432 next", `last:2,after:"` + at(3) + `"`: "10 previous", `last:3,after:"` + at(3) + `"`: "210 previous",
			`after:"` + at(4) + `",before:"` + at(0) + `"`: "321 previous next", `after:"` + at(1) + `",before:"` + at(3) + `"`: " previous next",
			`first:2,sort:{field:EMAIL,direction:ASC}`: "01 next", `last:2,sort:{field:EMAIL,direction:ASC}`: "34 previous",
		} {
			r := d.GraphQL(t, m.WriteKey, `{customers(`+arguments+`){nodes{email} edges{cursor} pageInfo{hasNextPage hasPreviousPage startCursor endCursor}}}`, nil)
			var body struct {
				Data struct {
					Customers struct {
						Nodes    []struct{ Email string }
						Edges    []struct{ Cursor string }
						PageInfo struct {
							HasNextPage, HasPreviousPage bool
							StartCursor, EndCursor       *string
						}
					}
				}
			}
			require.NoError(t, json.Unmarshal([]byte(r.Body), &body), r.Body)
			page, got := body.Data.Customers, ""
			for _, c := range page.Nodes {
				got += c.Email[1:2]
			}
			if page.PageInfo.HasPreviousPage {
				got += " previous"
			}
			if page.PageInfo.HasNextPage {
				got += " next"
			}
			require.Equal(t, want, got, "%s: %s", arguments, r.Body)
			if len(page.Edges) == 0 {
				require.Nil(t, page.PageInfo.StartCursor)
				require.Nil(t, page.PageInfo.EndCursor)
				continue
			}
			require.Equal(t, page.Edges[0].Cursor, *page.PageInfo.StartCursor)
			require.Equal(t, page.Edges[len(page.Edges)-1].Cursor, *page.PageInfo.EndCursor)
		}
	})
	t.Run("a page has 50 customers by default, nodes at most 250 ids", func(t *testing.T) {
		insertCustomers(t, d, other, 60)
		r := d.GraphQL(t, other.WriteKey, `{customers{nodes{id} totalCount}}`, nil)
		require.Equal(t, 50, strings.Count(r.Body, `"id"`))
		require.Contains(t, r.Body, `"totalCount":65`)
		r = d.GraphQL(t, other.WriteKey, `query($ids:[ID!]!){nodes(ids:$ids){id}}`, map[string]any{"ids": ids251()})
		require.Equal(t, answer{200, `{"errors":[{"message":"Invalid request data","path":["nodes"],"extensions":{"code":"INVALID_INPUT","details":[` + fault("ids", "TOO_LONG") + `]}}],"extensions":{"cost":{"requested":1102,"limit":25000}}}`}, brief(r))
	})
}

func ids251() []string {
	ids := make([]string, 251)
	for i := range ids {
		ids[i] = fmt.Sprintf("cust_%d", i)
	}
	return ids
}

// TestAbsentNullAndValue updates a customer with fields that are absent, null or set, as literals,
// variables and defaults. An absent field must keep its value, and null must remove it.
func TestAbsentNullAndValue(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Nulls")
	const field = `{customer{name taxId}}`
	for _, c := range []struct{ header, input, variables, want string }{
		{``, `{taxId:"new"}`, `{}`, `{"name":"N","taxId":"new"}`},
		{``, `{name:null}`, `{}`, `{"name":null,"taxId":"T"}`},
		{``, `{name:"M",taxId:null}`, `{}`, `{"name":"M","taxId":null}`},
		{`,$n:String`, `{name:$n}`, `{}`, `{"name":"N","taxId":"T"}`},
		{`,$n:String`, `{name:$n}`, `{"n":null}`, `{"name":null,"taxId":"T"}`},
		{`,$n:String`, `{name:$n}`, `{"n":"M"}`, `{"name":"M","taxId":"T"}`},
		{`,$n:String="D"`, `{name:$n}`, `{}`, `{"name":"D","taxId":"T"}`},
		{`,$n:String="D"`, `{name:$n}`, `{"n":null}`, `{"name":null,"taxId":"T"}`},
		{`,$i:UpdateCustomerInput!`, `$i`, `{"i":{}}`, `{"name":"N","taxId":"T"}`},
		{`,$i:UpdateCustomerInput!`, `$i`, `{"i":{"name":null}}`, `{"name":null,"taxId":"T"}`},
		{`,$i:UpdateCustomerInput!`, `$i`, `{"i":{"name":"M","taxId":""}}`, `{"name":"M","taxId":null}`},
		{`,$i:UpdateCustomerInput={taxId:null}`, `$i`, `{}`, `{"name":"N","taxId":null}`},
	} {
		id := d.Create(t, m, `{"email":"`+harness.FreshEmail()+`","name":"N","taxId":"T"}`)
		var variables map[string]any
		require.NoError(t, json.Unmarshal([]byte(c.variables), &variables))
		variables["id"] = id
		r := d.GraphQL(t, m.WriteKey, `mutation($id:ID!`+c.header+`){updateCustomer(id:$id,input:`+c.input+`)`+field+`}`, variables)
		require.Equal(t, answer{200, `{"data":{"updateCustomer":{"customer":` + c.want + `}}}`}, brief(r), "%+v", c)
	}
}

// TestIntrospectionIsOffByDefault checks that introspection is refused, in every form of a
// document, unless serve has --introspection.
func TestIntrospectionIsOffByDefault(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Curious")
	queries := []string{
		`{__schema{types{name}}}`, `{__type(name:"Customer"){name}}`, `{a:__schema{queryType{name}} merchant{id}}`, `{...F} fragment F on Query{__schema{types{name}}}`,
		`query($x:Boolean=true){...@include(if:$x){__type(name:"Customer"){fields{name}}}}`,
	}
	for _, query := range queries {
		require.Equal(t, answer{200, `{"errors":[{"message":"introspection is not enabled","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`}, brief(d.GraphQL(t, m.WriteKey, query, nil)), query)
	}
	require.Equal(t, answer{200, `{"data":{"__typename":"Query","merchant":{"__typename":"Merchant"}}}`}, brief(d.GraphQL(t, m.WriteKey, `{__typename merchant{__typename}}`, nil)))

	d.URLs = d.Start(t, "--introspection")
	for _, query := range queries {
		r := d.GraphQL(t, m.WriteKey, query, nil)
		require.NotContains(t, r.Body, "errors", query)
		require.Equal(t, 200, r.Status)
	}
	require.Equal(t, 401, d.GraphQL(t, "", queries[0], nil).Status)
}

// TestExpensiveRequests sends documents and variables that are expensive to parse or validate. The
// server must reply within a second, with data or an error.
func TestExpensiveRequests(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Expensive")
	var fan strings.Builder
	for i := range 40 {
		fmt.Fprintf(&fan, "fragment F%d on Query{...F%d ...F%d} ", i, i+1, i+1)
	}
	fan.WriteString("fragment F40 on Query{merchant{id}} {...F0}")
	deep := func(open, inner, close string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(close, n)
	}
	for name, c := range map[string]struct{ query, variables string }{
		"fragments spread 2^40 times": {fan.String(), `{}`},
		"one field 10,000 times":      {`{merchant{` + strings.Repeat("id ", 10000) + `}}`, `{}`},
		"many aliases":                {`{` + strings.Repeat("a:merchant{id} ", 800) + `}`, `{}`},
		"inline fragments":            {`{` + strings.Repeat("...on Query{merchant{id}} ", 500) + `}`, `{}`},
		"directives":                  {`{merchant{id ` + strings.Repeat("@include(if:true) ", 3000) + `}}`, `{}`},
		"unknown directives":          {`{merchant{id ` + strings.Repeat("@x ", 1900) + `}}`, `{}`},
		"a deep selection":            {deep("{merchant", "", "}", 900), `{}`},
		"deep inline fragments":       {`{` + deep("...{", "merchant{id}", "}", 900) + `}`, `{}`},
		"a deep literal":              {`{nodes(ids:` + deep("[", `"x"`, "]", 1900) + `){id}}`, `{}`},
		"a deep type":                 {`query($x:` + deep("[", "Int", "]", 1500) + `){merchant{id}}`, `{}`},
		"9,000 deep lists":            {`query($x:[ID!]!){nodes(ids:$x){id}}`, `{"x":` + deep("[", `"x"`, "]", 9000) + `}`},
		"9,000 deep objects":          {operations["create"], `{"input":` + deep(`{"a":`, "1", "}", 9000) + `}`},
		"9,000 deep, unused":          {`{merchant{id}}`, `{"unused":` + deep("[", "", "]", 9000) + `}`},
		"5,000 variables":             {`{merchant{id}}`, `{` + strings.Join(numbered(5000), ",") + `}`},
		"thousands of nodes":          {`query($x:[ID!]!){nodes(ids:$x){id}}`, `{"x":["` + strings.Join(ids251(), `","`) + `"]}`},
		"a comment":                   {`#` + strings.Repeat("x", 60000) + "\n{merchant{id}}", `{}`},
	} {
		start := time.Now()
		r := d.GraphQL(t, m.WriteKey, c.query, c.variables)
		took := time.Since(start)
		require.Less(t, took, atOnce, name)
		require.Less(t, r.Status, 500, name)
		require.Less(t, len(r.Body), 64<<10, "%s: %.300s", name, r.Body)
		errorsOf(t, r)
		require.NotContains(t, r.Body, "INTERNAL", name)
	}
	require.Equal(t, http.StatusOK, d.GraphQL(t, m.WriteKey, `{merchant{id}}`, nil).Status)
}

func numbered(n int) []string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"v%d":1`, i)
	}
	return members
}
