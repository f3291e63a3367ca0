package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/cmd/internal/e2e/harness"
	"lumen/rest"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/storetest"
)

// call is one operation of REST or GraphQL. If it takes an id, it is sent with that of a customer,
// or of the row of another noun that stands for that customer.
type call struct {
	sample                    // of the noun; the customer's if the call is on no noun
	name      string          // "GET /api/customers/{id}" or "Query.customer"
	operation store.Operation // "" if every credential may do it, or if it is on no noun
	write     bool
	byID      bool
	send      func(d *harness.Server, t testing.TB, key auth.Secret, id string) harness.Reply
	// expected bodies for a caller with read access only, and for an id that the merchant does not
	// have
	forbidden, absent string
}

func restCall(method, path, body string, write bool) call {
	c := call{sample: samples[0], name: method + " " + path, write: write, byID: strings.Contains(path+body, "{id}"), absent: restNoCustomer, forbidden: restForbidden}
	if method == "HEAD" {
		c.absent, c.forbidden = "", ""
	}
	c.send = func(d *harness.Server, t testing.TB, key auth.Secret, id string) harness.Reply {
		return d.Send(t, key, method, strings.Replace(path, "{id}", id, 1), strings.NewReplacer("{id}", id, "{new}", harness.FreshEmail()).Replace(body))
	}
	return c
}

// graphqlCall returns the call of a field of Query or Mutation. absent is the field's value for a
// customer that does not exist.
func graphqlCall(field, arguments, selection, absent string) call {
	kind, name, _ := strings.Cut(field, ".")
	c := call{sample: samples[0], name: field, write: kind == "Mutation", byID: strings.Contains(arguments, "{id}")}
	c.absent = `{"data":{"` + name + `":` + absent + `}}`
	c.forbidden = `{"errors":[{"message":"This credential may not do that","path":["` + name + `"],"extensions":{"code":"FORBIDDEN"}}],"data":{"` + name + `":null}}`
	isList := slices.ContainsFunc(store.Nouns(), func(n store.Noun) bool { return n.Plural() == name }) || name == "changes"
	if isList { // lists are never null
		c.forbidden = strings.Replace(c.forbidden, `{"`+name+`":null}`, "null", 1)
	}
	c.send = func(d *harness.Server, t testing.TB, key auth.Secret, id string) harness.Reply {
		call := strings.NewReplacer("{id}", id, "{new}", harness.FreshEmail()).Replace(arguments)
		return d.GraphQL(t, key, strings.ToLower(kind)+"{"+name+call+selection+"}", nil)
	}
	return c
}

const notFoundPayload = `"userErrors":[{"code":"NOT_FOUND","field":["id"],"message":"Customer not found or access denied","reason":null}]}`

// changeFields selects all fields of a change.
const changeFields = `{sequence version type at customerId actor{kind id name} requestId reason customer` + allFields + ` fields{field from to}}`

// tokenOperations are the two calls that create an access token.
var tokenOperations = []string{"POST /api/access-tokens", "Mutation.createAccessToken"}

// calls are all operations of both APIs. TestEveryOperationIsInTheMatrix checks that none is
// missing.
var calls = func() []call {
	following := func(c call) call { c.operation = store.ToFollow; return c }
	all := []call{
		following(restCall("GET", "/api/changes?limit=250", "", false)), following(restCall("HEAD", "/api/changes", "", false)),
		following(graphqlCall("Query.changes", `(first:250)`, `{nodes`+changeFields+` pageInfo{hasNextPage endCursor}}`, ``)),
		restCall("POST", "/api/access-tokens", `{"customerId":"{id}","access":"write"}`, true),
		graphqlCall("Query.node", `(id:"{id}")`, `{id ...on Customer`+allFields+` ...on Merchant{called:name}}`, `null`),
		graphqlCall("Query.nodes", `(ids:["{id}","{id}"])`, `{id ...on Customer`+allFields+` ...on Merchant{called:name}}`, `[null,null]`),
		graphqlCall("Query.merchant", ``, `{id name}`, ``),
		graphqlCall("Mutation.createAccessToken", `(input:{customerId:"{id}",access:WRITE})`, `{accessToken{token access customerId expiresAt}`+userErrorFields+`}`,
			`{"accessToken":null,`+strings.Replace(notFoundPayload, `["id"]`, `["input","customerId"]`, 1)),
	}
	for _, s := range samples {
		all = append(all, s.calls()...)
	}
	return all
}()

// calls returns the calls on the noun. The names of its routes and root fields follow the
// conventions.
func (s sample) calls() []call {
	name, each := s.noun.Name(), s.path+"/{id}"
	row := `{` + name + s.selection + userErrorFields + `}`
	all := []call{
		restCall("GET", s.path, "", false).of(s, store.ToList),
		restCall("HEAD", s.path, "", false).of(s, store.ToList),
		restCall("POST", s.path, s.create, true).of(s, store.ToCreate),
		restCall("GET", each, "", false).of(s, ""),
		restCall("HEAD", each, "", false).of(s, ""),
		restCall("GET", each+"/history", "", false).of(s, store.ToFollow),
		restCall("HEAD", each+"/history", "", false).of(s, store.ToFollow),
		restCall("POST", each, s.change, true).of(s, store.ToUpdate),
		restCall("PATCH", each, s.change, true).of(s, store.ToUpdate),
		restCall("DELETE", each, "", true).of(s, store.ToDelete),
		graphqlCall("Query."+name, `(id:"{id}")`, s.selection, `null`).of(s, ""),
		graphqlCall("Query."+s.noun.Plural(), `(first:250,filter:{includeDeleted:true})`,
			`{totalCount pageInfo{hasNextPage hasPreviousPage startCursor endCursor} edges{cursor node`+s.selection+`} nodes{id}}`, ``).of(s, store.ToList),
		graphqlCall("Mutation.create"+s.title(), `(input:`+literal(s.create)+`)`, row, ``).of(s, store.ToCreate),
		graphqlCall("Mutation.update"+s.title(), `(id:"{id}",input:`+literal(s.change)+`)`, row, `{"`+name+`":null,`+notFoundPayload).of(s, store.ToUpdate),
		graphqlCall("Mutation.delete"+s.title(), `(id:"{id}")`, `{deleted`+s.title()+`Id`+userErrorFields+`}`,
			`{"deleted`+s.title()+`Id":null,`+notFoundPayload).of(s, store.ToDelete),
	}
	return all
}

// of returns the call as a call on a noun, with the ids of the rows that stand for customers.
func (c call) of(s sample, operation store.Operation) call {
	send := c.send
	c.sample, c.operation = s, operation
	c.absent = strings.Replace(c.absent, samples[0].noun.NewError(store.NotFound).Message, s.noun.NewError(store.NotFound).Message, 1)
	c.send = func(d *harness.Server, t testing.TB, key auth.Secret, id string) harness.Reply {
		if c.byID {
			id = s.row(id)
		}
		return send(d, t, key, id)
	}
	return c
}

// TestEveryOperationIsInTheMatrix compares calls with the root fields of the schema and the routes
// of REST. It fails if an operation is added without a call, so that TestActors would not cover it.
func TestEveryOperationIsInTheMatrix(t *testing.T) {
	t.Parallel()
	var want []string

	text, err := os.ReadFile("../../../schema.graphql")
	require.NoError(t, err)
	schema := gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphql", Input: string(text)})
	require.Nil(t, schema.Subscription)
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
		for _, field := range root.Fields {
			if !strings.HasPrefix(field.Name, "__") {
				want = append(want, root.Name+"."+field.Name)
			}
		}
	}

	for _, route := range rest.Routes() {
		want = append(want, route.Method+" "+route.Pattern)
		if route.Method == "GET" {
			want = append(want, "HEAD "+route.Pattern)
		}
	}

	var have []string
	for _, c := range calls {
		name, _, _ := strings.Cut(c.name, "?")
		have = append(have, name)
	}
	slices.Sort(want)
	slices.Sort(have)
	require.Equal(t, want, have)
}

// tenant is a merchant whose customers differ from those of the other tenants only in their ids and
// a canary text.
type tenant struct {
	storetest.Merchant
	canary        string
	live, gone    string   // ids of a customer and of a deleted one
	othersSecrets []string // texts that no reply to this tenant may contain
}

func tenants(t *testing.T, d *harness.Server) [3]tenant {
	t.Helper()
	prepareSamples(t, d)
	var all [3]tenant
	for i := range all {
		m := &all[i]
		m.Merchant, m.canary = d.Merchant(t, fmt.Sprintf("Canary%cMerchant", 'A'+i)), fmt.Sprintf("Canary%c", 'A'+i)
		customer := func(email string) string {
			return d.Create(t, m.Merchant, fmt.Sprintf(`{"email":%q,"name":"%s Name","userId":"user_1","billingAddressLine1":"%s","billingCity":"%s","billingCountry":"US","taxId":"%s"}`, email, m.canary, m.canary, m.canary, m.canary))
		}
		m.live, m.gone = customer("live@example.com"), customer("gone@example.com")
		require.Equal(t, 200, d.Send(t, m.WriteKey, "DELETE", "/api/customers/"+m.gone, "").Status)
	}
	for i := range all {
		for j := range all {
			if i != j {
				all[i].othersSecrets = append(all[i].othersSecrets, all[j].canary, all[j].live, all[j].gone, all[j].ID, string(all[j].WriteKey))
			}
		}
	}
	return all
}

// TestActors sends every operation as every kind of caller: without a valid credential, with a
// read-only key, as another merchant, and as the owner. It requires the exact refusal, and that no
// reply contains another merchant's data. It fails if a predicate, a check of the credential or a
// row-level policy is missing.
func TestActors(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	all := tenants(t, d)
	a, b := all[0], all[1]
	disabled := d.Merchant(t, "Disabled")
	operator := d.Owner(t)
	_, err := operator.Merchants.Disable(t.Context(), disabled.ID)
	require.NoError(t, err)
	key := func(secret auth.Secret, change func(owner.Key)) auth.Secret {
		created, err := operator.Keys.Create(t.Context(), owner.NewKey{MerchantID: a.ID, Access: store.WriteAccess, Secret: secret})
		require.NoError(t, err)
		change(created)
		return secret
	}
	before := allRows(t, d)
	customersOfA := func() int { return len(storedRows(t, d, a.Merchant)) }

	requireNoSecrets := func(t *testing.T, reader *tenant, r harness.Reply) harness.Reply {
		t.Helper()
		secrets := reader.othersSecrets
		for _, text := range append(secrets, "SQLSTATE", "pq:", "customers_", "DETAIL") {
			require.NotContains(t, r.Body, text)
			require.NotContains(t, fmt.Sprint(r.Header), text)
		}
		return r
	}

	// No byte of the replies to unauthenticated callers depends on the credential, on whether the
	// customer exists, or on the reason for the refusal.
	unauthenticated := map[string]auth.Secret{
		"no credential": "",
		"unknown key":   auth.NewSecret(),
		"malformed key": "lumen_sk_1",
		"revoked key": key(auth.NewSecret(), func(k owner.Key) {
			_, err := operator.Keys.Revoke(t.Context(), k.ID)
			require.NoError(t, err)
		}),
		"expired key": key(auth.NewSecret(), func(k owner.Key) {
			d.SQL(t, "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = $1", k.ID)
		}),
		"disabled merchant's key": disabled.WriteKey,
		"demo key":                key(auth.NewDemoSecret(), func(owner.Key) {}),
	}
	for _, alg := range algorithms {
		for name, token := range forgeries(t, d, a.Merchant, b.Merchant, alg) {
			unauthenticated[string(alg)+": "+name] = token
		}
	}
	for name, secret := range unauthenticated {
		t.Run(name, func(t *testing.T) {
			for _, c := range calls {
				want := answer{401, restNoAccess}
				switch {
				case strings.Contains(c.name, "."):
					want.body = `{"errors":[{"message":"Unauthorized","extensions":{"code":"UNAUTHENTICATED"}}]}`
				case strings.HasPrefix(c.name, "HEAD"):
					want.body = ""
				}
				anonymous := &tenant{othersSecrets: append(slices.Clone(a.othersSecrets), b.othersSecrets...)}
				present, absent := requireNoSecrets(t, anonymous, c.send(d, t, secret, a.live)), c.send(d, t, secret, "cust_absent")
				require.Equal(t, want, brief(present), c.name)
				require.Equal(t, stable(present.Header), stable(absent.Header), c.name)
				require.Equal(t, brief(present), brief(absent), c.name)
				require.Equal(t, "Bearer", present.Header.Get("WWW-Authenticate"))
			}
		})
	}
	t.Run("read-only key", func(t *testing.T) {
		for _, c := range calls {
			r := requireNoSecrets(t, &a, c.send(d, t, a.ReadKey, a.live))
			switch {
			case c.write && strings.HasPrefix(c.name, "Mutation"):
				require.Equal(t, answer{200, c.forbidden}, brief(r), c.name)
			case c.write:
				require.Equal(t, answer{403, c.forbidden}, brief(r), c.name)
			default:
				require.Equal(t, 200, r.Status, c.name)
				require.Equal(t, strings.HasPrefix(c.name, "HEAD"), !strings.Contains(r.Body, a.canary), "%s %s", c.name, r.Body)
				require.NotContains(t, r.Body, "errors")
			}
		}
	})
	require.Equal(t, before, allRows(t, d), "refused and read-only calls must not write")

	t.Run("another merchant: same reply for foreign, deleted and absent ids", func(t *testing.T) {
		for _, c := range calls {
			if !c.byID {
				continue
			}
			for _, secret := range []auth.Secret{b.WriteKey, b.ReadKey} {
				if c.write && secret == b.ReadKey {
					continue
				}
				absent := requireNoSecrets(t, &b, c.send(d, t, secret, "cust_01hzzzzzzzzzzzzzzzzzzzzzzz"))
				want := answer{200, c.absent}
				if !strings.Contains(c.name, ".") {
					want.status = 404
				}
				require.Equal(t, want, brief(absent), c.name)
				ids := []string{a.live, a.gone, all[2].live, b.gone}
				if c.operation == store.ToFollow {
					ids = ids[:3] // the history of a deleted row stays
				}
				for _, id := range ids {
					r := requireNoSecrets(t, &b, c.send(d, t, secret, id))
					require.Equal(t, brief(absent), brief(r), c.name)
					require.Equal(t, stable(absent.Header), stable(r.Header), c.name)
				}
			}
		}
		// A merchant is not a node for another merchant either.
		r := d.GraphQL(t, b.WriteKey, `query($ids:[ID!]!){nodes(ids:$ids){id} node(id:"`+a.ID+`"){id}}`, map[string]any{"ids": []string{a.ID, b.ID, a.live}})
		require.Equal(t, answer{200, `{"data":{"nodes":[null,{"id":"` + b.ID + `"},null],"node":null}}`}, brief(r))
	})
	require.Equal(t, before, allRows(t, d), "calls with another merchant's id must not write")

	t.Run("another merchant: lists and creates its own customers", func(t *testing.T) {
		rows := customersOfA()
		for _, c := range calls {
			if c.byID {
				continue
			}
			r := requireNoSecrets(t, &b, c.send(d, t, b.WriteKey, ""))
			require.Less(t, r.Status, 300, c.name)
			require.NotContains(t, r.Body, "errors")
		}
		// A's customers have both addresses. Only B's own live customer conflicts, and totals count
		// only B's.
		require.Equal(t, 409, d.Send(t, b.WriteKey, "POST", "/api/customers", `{"email":"live@example.com"}`).Status)
		require.Equal(t, 201, d.Send(t, b.WriteKey, "POST", "/api/customers", `{"email":"gone@example.com"}`).Status)
		require.Equal(t, `{"data":{"customers":{"totalCount":1}}}`, d.GraphQL(t, b.WriteKey, `{customers(filter:{email:"live@example.com"}){totalCount}}`, nil).Body)
		require.Equal(t, rows, customersOfA())
	})
	t.Run("owner", func(t *testing.T) {
		for _, c := range calls {
			id := a.live
			if c.write && c.byID {
				id = d.Create(t, a.Merchant, `{"email":"`+harness.FreshEmail()+`","name":"`+a.canary+`"}`)
			}
			r := requireNoSecrets(t, &a, c.send(d, t, a.WriteKey, id))
			require.Less(t, r.Status, 300, "%s: %s", c.name, r.Body)
			require.NotContains(t, r.Body, `"errors"`)
			if strings.HasPrefix(c.name, "Mutation") {
				require.Contains(t, r.Body, `"userErrors":[]`)
			}
			switch {
			case c.operation == store.ToDelete:
				require.Equal(t, 404, d.Send(t, a.WriteKey, "GET", c.path+"/"+c.row(id), "").Status)
			case slices.Contains(tokenOperations, c.name):
				require.Contains(t, r.Body, `"customerId":"`+id+`"`)
			case c.write && c.byID:
				require.Contains(t, d.Send(t, a.WriteKey, "GET", c.path+"/"+c.row(id), "").Body, c.changed)
			}
		}
	})
	t.Run("a key works only while it is not revoked and its merchant is enabled", func(t *testing.T) {
		secret := auth.NewSecret()
		created, err := operator.Keys.Create(t.Context(), owner.NewKey{MerchantID: a.ID, Access: store.ReadAccess, Secret: secret})
		require.NoError(t, err)
		status := func() int { return d.Send(t, secret, "GET", "/api/customers/"+a.live, "").Status }
		requireStopsWithMerchantAndKey(t, operator, created, status)
	})

	// The log has ids but no other data, and a customer's id only in lines of its merchant.
	for line := range strings.Lines(d.Logged()) {
		for _, m := range all {
			require.NotContains(t, line, m.canary)
			require.NotContains(t, line, "user_1")
			if strings.Contains(line, m.live) || strings.Contains(line, m.gone) {
				require.Contains(t, line, `"merchant":"`+m.ID+`"`)
			}
		}
	}
}

// TestMerchantsInterleaved sends the same requests of three merchants at the same time through one
// process and one connection pool. It fails if a reply contains another merchant's rows, for
// example because a loader or a connection's settings are shared.
func TestMerchantsInterleaved(t *testing.T) {
	t.Parallel()
	runInterleaved(t, 60, 20*time.Second)
}

// runInterleaved runs twelve concurrent clients of three merchants. Each client sends one GraphQL
// and one REST request a round, for the given number of rounds or until the time is over.
func runInterleaved(t *testing.T, rounds int, within time.Duration) {
	d := harness.Serve(t)
	all := tenants(t, d)
	query := `query($ids:[ID!]!){merchant{id} nodes(ids:$ids){id} customers{totalCount nodes{name}}}`
	ids := []string{all[0].live, all[1].live, all[2].live, all[0].ID, all[1].ID, all[2].ID}
	deadline := time.Now().Add(within)
	done := make(chan string, 12)
	var asked atomic.Int64
	for worker := range 12 {
		go func() {
			m := all[worker%3]
			own := func(id string) string {
				if id == m.live || id == m.ID {
					return `{"id":"` + id + `"}`
				}
				return "null"
			}
			var nodes []string
			for _, id := range ids {
				nodes = append(nodes, own(id))
			}
			want := `{"data":{"merchant":{"id":"` + m.ID + `"},"nodes":[` + strings.Join(nodes, ",") + `],"customers":{"totalCount":1,"nodes":[{"name":"` + m.canary + ` Name"}]}}}`
			for i := 0; i < rounds && time.Now().Before(deadline); i++ {
				asked.Add(1)
				if got := d.GraphQL(t, m.WriteKey, query, map[string]any{"ids": ids}).Body; got != want {
					done <- got
					return
				}
				if got := d.Send(t, m.ReadKey, "GET", "/api/customers", "").Body; strings.Count(got, m.live) != 1 || strings.Count(got, `"id"`) != 1 {
					done <- got
					return
				}
			}
			done <- ""
		}()
	}
	for range 12 {
		if mixedUp := <-done; mixedUp != "" {
			t.Error(mixedUp) // not Fatal, so that the other clients end before the server stops
		}
	}
	t.Logf("%d rounds", asked.Load())
	require.GreaterOrEqual(t, int(asked.Load()), rounds, "too few of the 12 clients' rounds finished in time")
}
