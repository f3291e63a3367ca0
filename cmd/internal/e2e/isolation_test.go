package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
)

// These tests cover the leaks between merchants that no other test covers. TestLeaks lists all of
// them.

// TestRepliesAreNotCacheable checks that no reply to a request with a credential may be stored by a
// cache between client and server, which could hand it to another client.
func TestRepliesAreNotCacheable(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	all := otherMerchants(t, d)
	for _, key := range []auth.Secret{all[0].WriteKey, all[1].ReadKey, d.Mint(t, all[2].WriteKey, `{}`), "lumen_sk_nobody", ""} {
		for _, c := range calls {
			for _, id := range []string{all[0].twin, "cust_absent", "nonsense"} {
				r := c.send(d, t, key, id)
				require.Equal(t, []string{"no-store"}, r.Header.Values("Cache-Control"), c.name)
				for _, name := range []string{"Last-Modified", "Expires", "Age", "Set-Cookie"} {
					require.Empty(t, r.Header.Values(name), c.name)
				}
			}
		}
	}
}

// TestUniquenessIsPerMerchant creates the same customers, also with the same id, for three
// merchants. No merchant's row may conflict with another's, and a client cannot choose an id. It
// fails if a unique index lacks the merchant.
func TestUniquenessIsPerMerchant(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	all := otherMerchants(t, d)
	const input = `{"email":"same@new.example","name":"Same","userId":"same_id","taxId":"same_tax"}`
	for _, m := range all {
		r := d.Send(t, m.WriteKey, "POST", "/api/customers", input)
		require.Equal(t, 201, r.Status)
		r = d.GraphQL(t, m.WriteKey, operations["create"], `{"input":`+strings.Replace(input, "same@", "again@", 1)+`}`)
		require.Contains(t, r.Body, `"userErrors":[]`)
		r = d.Send(t, m.WriteKey, "POST", "/api/customers", `{"email":"id@new.example","id":"cust_mine"}`)
		require.Equal(t, 201, r.Status)
		require.NotContains(t, r.Body, "cust_mine")
	}
	// Three customers have the same id.
	for i, m := range all {
		others := append(rowsOf(t, d, all[(i+1)%3].ID), rowsOf(t, d, all[(i+2)%3].ID)...)
		read := func() string { return d.Send(t, m.ReadKey, "GET", "/api/customers/"+sharedID, "").Body }
		require.Contains(t, read(), m.canary)
		require.Equal(t, 200, d.Send(t, m.WriteKey, "POST", "/api/customers/"+sharedID, `{"city":"x","taxId":"changed"}`).Status)
		require.Contains(t, d.GraphQL(t, m.WriteKey, operations["update"], `{"id":"`+sharedID+`","input":{"name":"Changed"}}`).Body, `"name":"Changed"`)
		bound := d.Mint(t, m.WriteKey, `{"customerId":"`+sharedID+`"}`)
		require.Contains(t, d.Send(t, bound, "GET", "/api/customers/"+sharedID, "").Body, m.ID)
		require.Equal(t, 200, d.Send(t, m.WriteKey, "DELETE", "/api/customers/"+sharedID, "").Status)
		require.JSONEq(t, restNoCustomer, read())
		require.Equal(t, others, append(rowsOf(t, d, all[(i+1)%3].ID), rowsOf(t, d, all[(i+2)%3].ID)...))
	}
}

// TestConstraintViolationsAreNotShown makes a trigger raise the error of each constraint in
// Postgres's own words. The name of the constraint and the values of the row must appear neither in
// the reply nor in the log.
func TestConstraintViolationsAreNotShown(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Rules")
	id := d.Create(t, m, `{"email":"kept@example.com"}`)
	rules := d.Lines(t, `SELECT conname || ' ' || CASE contype WHEN 'c' THEN '23514' WHEN 'f' THEN '23503' ELSE '23505' END FROM pg_constraint WHERE conrelid = 'customers'::regclass
		UNION SELECT c.relname || ' 23505' FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid WHERE indrelid = 'customers'::regclass AND indisunique
		UNION SELECT attname || ' 23502' FROM pg_attribute WHERE attrelid = 'customers'::regclass AND attnotnull AND attnum > 0
		UNION SELECT 'none ' || code FROM unnest('{22P02,22001,22021,42501,54000,40001,40P01,P0001,XX000}'::text[]) AS code`)
	require.Greater(t, len(rules), 20)
	d.SQL(t, `CREATE TABLE breaks (rule text, code text)`)
	d.SQL(t, `GRANT SELECT ON breaks TO lumen_app`)
	d.SQL(t, `CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE b breaks; BEGIN
		SELECT * INTO b FROM breaks;
		IF b.rule IS NULL THEN RETURN NEW; END IF;
		RAISE EXCEPTION USING ERRCODE = b.code, MESSAGE = 'new row for relation "customers" violates "' || b.rule || '"', CONSTRAINT = b.rule, TABLE = 'customers', SCHEMA = 'public', COLUMN = b.rule,
			DETAIL = 'Key (merchant_id, email_key)=(zebracrossing@example.com) already exists. Failing row contains (zebracrossing).', HINT = 'zebracrossing';
		END $$`)
	d.SQL(t, `CREATE TRIGGER break BEFORE INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION break()`)
	d.Canaries.Note("zebracrossing")
	for i, rule := range rules {
		name, code, _ := strings.Cut(rule, " ")
		d.SQL(t, `DELETE FROM breaks`)
		d.SQL(t, `INSERT INTO breaks VALUES ($1, $2)`, name, code)
		email := fmt.Sprintf("rule%d@example.com", i)
		for _, r := range []harness.Reply{
			d.Send(t, m.WriteKey, "POST", "/api/customers", `{"email":"`+email+`"}`),
			d.Send(t, m.WriteKey, "POST", "/api/customers/"+id, `{"email":"`+email+`"}`),
			d.Send(t, m.WriteKey, "DELETE", "/api/customers/"+id, ""),
			d.GraphQL(t, m.WriteKey, operations["create"], `{"input":{"email":"`+email+`"}}`),
			d.GraphQL(t, m.WriteKey, operations["update"], `{"id":"`+id+`","input":{"email":"`+email+`"}}`),
			d.GraphQL(t, m.WriteKey, operations["delete"], `{"id":"`+id+`"}`),
		} {
			require.Regexp(t, `Failed to (create|update|delete) customer|already exists|another customer|unavailable`, r.Body, rule)
			shown := fmt.Sprint(r.Body, r.Header)
			require.NotContains(t, shown, "zebra", rule)
			if name != "none" && strings.Contains(name, "_") {
				require.NotContains(t, shown, name, rule)
			}
			for _, words := range append(databaseWords, code+" ", code+`"`, "violates", "relation") {
				require.NotContains(t, shown, words, rule)
			}
		}
	}
	require.Len(t, storedRows(t, d, m), 1)
}

// databaseWords occur in messages of Postgres and its driver, and must not occur in a reply.
var databaseWords = []string{"SQLSTATE", "DETAIL", "Key (", "ERROR:", "pgx", "pq:", "pgconn", "syntax error", "unterminated", "customers_", "api_keys", "token_keys", "pg_catalog", "lumen_app", "invalid input syntax", "PostgreSQL"}

// TestOtherMerchantsRowsDoNotChangeCounts repeats one merchant's lists and totals while another
// merchant writes. Every reply must stay the same.
func TestOtherMerchantsRowsDoNotChangeCounts(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	all := otherMerchants(t, d)
	a, b := all[0], all[1]
	const query = `{all:customers(first:50,filter:{includeDeleted:true}){totalCount pageInfo{hasNextPage hasPreviousPage startCursor endCursor} edges{cursor node{id updatedAt}}}
		page:customers(first:4,sort:{field:EMAIL,direction:ASC}){totalCount pageInfo{hasNextPage hasPreviousPage endCursor}}
		last:customers(last:4,sort:{field:NAME,direction:DESC}){pageInfo{hasNextPage hasPreviousPage}}
		found:customers(filter:{search:"twin"}){totalCount} none:customers(filter:{userId:"user_1"}){pageInfo{hasNextPage}}}`
	ask := func() []answer {
		all := []answer{brief(d.GraphQL(t, b.ReadKey, query, nil))}
		for _, path := range []string{"/api/customers", "/api/customers?limit=9", "/api/customers?limit=250&includeDeleted=true", "/api/customers?userId=user_1", "/api/customers?updatedSince=2026-01-01T00:00:00Z"} {
			all = append(all, brief(d.Send(t, b.ReadKey, "GET", path, "")))
		}
		for i := range all {
			all[i].body = syncedUntil.ReplaceAllString(all[i].body, "") // the value changes with the time
		}
		return all
	}
	before := ask()
	require.Contains(t, before[0].body, `"all":{"totalCount":11,`)
	var writing sync.WaitGroup
	writing.Go(func() {
		d.Fill(t, a.Merchant, 1000)
		for i := range 40 {
			d.Send(t, a.WriteKey, "POST", "/api/customers", fmt.Sprintf(`{"email":"twin1%d@example.com","userId":"same_user"}`, i))
		}
		d.Send(t, a.WriteKey, "DELETE", "/api/customers/"+a.twin, "")
	})
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	asked := 0
	for running := true; running; asked++ {
		select {
		case <-done:
			running = false
		default:
		}
		require.Equal(t, before, ask())
	}
	require.Len(t, rowsOf(t, d, a.ID), 1051)
	t.Logf("%d equal replies while another merchant's customers grew to 1,051", asked)
}

var syncedUntil = regexp.MustCompile(`,"syncedUntil":"[^"]*"`)

// TestEveryPathOfTheSchemaIsIsolated follows every field from every root field, with another
// merchant's values in every argument. No reply may contain the other merchant's data. The
// operations are generated from the schema, so the test covers new fields as well.
func TestEveryPathOfTheSchemaIsIsolated(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	all := otherMerchants(t, d)
	a, b := all[0], all[1]
	text, err := os.ReadFile("../../../schema.graphql")
	require.NoError(t, err)
	schema := gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphql", Input: string(text)})
	cursor := lastCursor(t, d.Send(t, a.WriteKey, "GET", "/api/customers?limit=1", "").Body)
	before := append(rowsOf(t, d, a.ID), rowsOf(t, d, all[2].ID)...)
	recorded := d.Canaries.Record(b.WriteKey)

	walked := map[string]bool{}
	var selection func(of *ast.Definition, depth int) string
	selection = func(of *ast.Definition, depth int) string {
		var fields []string
		for _, f := range of.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			inner := schema.Types[f.Type.Name()]
			isLeaf := func(f *ast.FieldDefinition) bool { return schema.Types[f.Type.Name()].IsLeafType() }
			switch {
			case inner.Kind == ast.Scalar || inner.Kind == ast.Enum:
				fields = append(fields, f.Name)
			case depth > 1, depth == 1 && slices.ContainsFunc(inner.Fields, isLeaf):
				fields = append(fields, f.Name+selection(inner, depth-1))
			default:
				continue
			}
			walked[of.Name+"."+f.Name] = true
		}
		for n, possible := range schema.GetPossibleTypes(of) {
			if of.Kind == ast.Interface {
				part := selection(possible, depth)
				// Fields of the same name may have different types in two types, so they get
				// aliases.
				part = regexp.MustCompile(`\bname\b`).ReplaceAllString(part, fmt.Sprintf("name%d:name", n))
				fields = append(fields, "...on "+possible.Name+part)
			}
		}
		return "{" + strings.Join(fields, " ") + "}"
	}

	// Values for each type of argument, those of the other merchant where possible.
	var values func(of *ast.Type, name string) []string
	values = func(of *ast.Type, name string) []string {
		definition := schema.Types[of.Name()]
		switch {
		case of.Elem != nil:
			return []string{"[" + strings.Join(values(of.Elem, name), ",") + "]"}
		case definition.Kind == ast.Enum:
			var all []string
			for _, v := range definition.EnumValues {
				all = append(all, v.Name)
			}
			return all
		case definition.Kind == ast.InputObject:
			required := ""
			for _, f := range definition.Fields {
				if f.Type.NonNull {
					required += f.Name + ":" + values(f.Type, f.Name)[0] + " "
				}
			}
			all := []string{"{" + required + "}"}
			for _, f := range definition.Fields {
				for _, v := range values(f.Type, f.Name) {
					all = append(all, "{"+strings.Replace(required, f.Name+":"+values(f.Type, f.Name)[0]+" ", "", 1)+f.Name+":"+v+"}")
				}
			}
			return all
		case of.Name() == "ID":
			return []string{`"` + a.twin + `"`, `"` + a.marked + `"`, `"` + a.gone + `"`, `"` + a.ID + `"`}
		case of.Name() == "Int":
			return []string{"3", "250"}
		case of.Name() == "Boolean":
			return []string{"true"}
		case of.Name() == "DateTime":
			return []string{`"2026-01-01T00:01:00Z"`}
		case name == "after" || name == "before":
			return []string{`"` + cursor + `"`}
		case name == "email":
			return []string{`"` + a.only + `"`}
		case name == "billingCountry":
			return []string{`"US"`}
		}
		return []string{`"same"`}
	}
	asked := 0
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
		for _, field := range root.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			walked[root.Name+"."+field.Name] = true
			// Each value of each argument once, together with the required arguments.
			sets := []map[string]string{{}}
			for _, argument := range field.Arguments {
				for _, v := range values(argument.Type, argument.Name) {
					set := map[string]string{argument.Name: v}
					sets = append(sets, set)
				}
			}
			for _, set := range sets {
				call := ""
				for _, argument := range field.Arguments {
					if v, ok := set[argument.Name]; ok {
						call += argument.Name + ":" + v + " "
					} else if argument.Type.NonNull {
						call += argument.Name + ":" + values(argument.Type, argument.Name)[0] + " "
					}
				}
				if call != "" {
					call = "(" + call + ")"
				}
				r := d.GraphQL(t, b.WriteKey, strings.ToLower(root.Name)+"{"+field.Name+call+selection(schema.Types[field.Type.Name()], 4)+"}", nil)
				require.NotContains(t, r.Body, "GRAPHQL_", "%s%s: %s", field.Name, call, r.Body)
				asked++
			}
		}
	}
	require.Empty(t, b.otherMerchantsData(recorded.String()))
	require.Equal(t, before, append(rowsOf(t, d, a.ID), rowsOf(t, d, all[2].ID)...))
	for name, definition := range schema.Types {
		if definition.Kind != ast.Object || strings.HasPrefix(name, "__") {
			continue
		}
		for _, f := range definition.Fields {
			if !strings.HasPrefix(f.Name, "__") {
				require.True(t, walked[name+"."+f.Name], "no path reaches %s.%s", name, f.Name)
			}
		}
	}
	t.Logf("%d operations over %d fields", asked, len(walked))
}

// TestRequestsCannotChooseTheMerchant names another merchant in bodies, queries, headers and
// variables. The server must take the merchant from the credential only, and must not let a client
// set internal columns.
func TestRequestsCannotChooseTheMerchant(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	all := otherMerchants(t, d)
	a, b := all[0], all[1]
	before := rowsOf(t, d, a.ID)
	n := 0
	elsewhere := func(key string, n int) func(*http.Request) {
		return []func(*http.Request){
			func(r *http.Request) { r.URL.RawQuery = key + "=" + a.ID }, header("X-Merchant-Id", a.ID), header("Merchant-Id", a.ID), header("Cookie", key+"="+a.ID), header("Forwarded", "for="+a.ID),
		}[n%5]
	}
	for _, key := range []string{"merchantId", "merchant_id", "MerchantID", "merchant", "tenant", "id", "createdAt", "updatedAt", "deletedAt", "emailShared", "email_key", "search_key", "__proto__", "constructor"} {
		for _, value := range []string{`"` + a.ID + `"`, `["` + a.ID + `"]`, `{"id":"` + a.ID + `"}`, `null`, `true`} {
			n++
			input := fmt.Sprintf(`{"email":"mass%d@example.com",%q:%s}`, n, key, value)
			for _, r := range []harness.Reply{
				d.Send(t, b.WriteKey, "POST", "/api/customers", strings.Replace(input, "mass", "rest", 1), elsewhere(key, n)),
				d.Send(t, b.WriteKey, "POST", "/api/customers/"+b.twin, `{"`+key+`":`+value+`}`, elsewhere(key, n+1)),
				d.GraphQL(t, b.WriteKey, operations["create"], `{"input":`+input+`}`, elsewhere(key, n)),
				d.GraphQL(t, b.WriteKey, operations["update"], `{"id":"`+b.twin+`","input":{"`+key+`":`+value+`}}`, elsewhere(key, n+1)),
				d.GraphQL(t, b.WriteKey, `{merchant{id}}`, `{"`+key+`":`+value+`}`, elsewhere(key, n+2)),
			} {
				require.Less(t, r.Status, 500)
				require.NotContains(t, r.Body, a.ID, "%s %s", key, value)
			}
		}
	}
	require.Equal(t, before, rowsOf(t, d, a.ID))
	require.Len(t, d.Lines(t, `SELECT id FROM customers WHERE merchant_id = $1 AND email LIKE 'rest%'`, b.ID), n, "REST ignores such keys")
	require.Empty(t, d.Lines(t, `SELECT id FROM customers WHERE email LIKE 'mass%'`), "GraphQL refuses them")
	require.Equal(t, []string{"2026-01-01"}, d.Lines(t, `SELECT created_at::date::text FROM customers WHERE id = $1 AND deleted_at IS NULL AND NOT email_shared`, b.twin))
}

// TestSubscriptionsAreRefused requests events over HTTP and WebSocket. The server has none and must
// refuse each request and leave no connection open.
func TestSubscriptionsAreRefused(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Events")
	for _, query := range []string{`subscription{customers{id}}`, `subscription{customerCreated{id}}`, `subscription S{__typename}`} {
		for _, change := range []func(*http.Request){func(*http.Request) {}, header("Accept", "text/event-stream"), header("Accept", "multipart/mixed; subscriptionSpec=1.0")} {
			r := d.GraphQL(t, m.WriteKey, query, nil, change)
			require.Contains(t, r.Body, "GRAPHQL_VALIDATION_FAILED")
			require.NotContains(t, r.Body, `"data"`)
			require.NotContains(t, r.Header.Get("Content-Type"), "event-stream")
		}
	}
	for _, protocol := range []string{"graphql-transport-ws", "graphql-ws"} {
		r := d.Send(t, m.WriteKey, "GET", "/graphql", "", header("Connection", "Upgrade"), header("Upgrade", "websocket"), header("Sec-Websocket-Version", "13"), header("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), header("Sec-Websocket-Protocol", protocol))
		require.Equal(t, 405, r.Status)
		require.Empty(t, r.Header.Get("Upgrade"))
	}
	// The server does not read a message after the handshake.
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.URL, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = fmt.Fprintf(conn, "GET /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x05hello", m.WriteKey)
	require.NoError(t, err)
	all, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Regexp(t, `^HTTP/1.1 405 `, string(all))
}

// TestClientsCannotRegisterDocuments sends a document together with its hash. Afterwards the hash
// alone must be refused for every merchant, including the sender, so that a merchant cannot learn
// from a hash which documents others send.
func TestClientsCannotRegisterDocuments(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	all := otherMerchants(t, d)
	const query, hash = `{merchant{name}}`, "4d5da2df6ed5ee0cbb4bbab0ae87a95bd3a1ae6ec4ae3d9aa7f8d1b5a1a0ee1c"
	byHash := `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + hash + `"}}}`
	before := d.Send(t, all[1].WriteKey, "POST", "/graphql", byHash)
	require.Contains(t, before.Body, "PERSISTED_QUERY_NOT_SUPPORTED")
	for _, m := range all[:2] {
		for range 3 {
			d.Send(t, m.WriteKey, "POST", "/graphql", `{"query":`+harness.JSON(t, query)+`,"extensions":{"persistedQuery":{"version":1,"sha256Hash":"`+hash+`"}}}`)
			require.Equal(t, 200, d.GraphQL(t, m.WriteKey, query, nil).Status)
		}
	}
	for _, m := range all {
		after := d.Send(t, m.WriteKey, "POST", "/graphql", byHash)
		require.Equal(t, brief(before), brief(after))
		require.Equal(t, stable(before.Header), stable(after.Header))
	}
	var reply struct{ Errors []json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(before.Body), &reply))
	require.Len(t, reply.Errors, 1)
}
