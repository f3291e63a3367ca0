package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// payload is text that would be executed as SQL if a program inserted it into a statement. If it
// has a counterpart, one of the two is true and the other false as a condition. They have the same
// length, since some parameters limit it.
type payload struct{ technique, text, counterpart string }

// payloads combines techniques as attack tools do: each technique with ways to end the literal
// before it, ways to neutralize the text after it, and encodings that disguise it. The out-of-band
// payloads make the database server connect to address.
func payloads(address string) []payload {
	host, port, _ := net.SplitHostPort(address)
	techniques := []payload{
		{"boolean", "AND 1=1", "AND 1=2"}, {"boolean", "OR 'a'='a'", "OR 'a'='b'"}, {"boolean", "OR 5>4", "OR 5>6"},
		{"error", "AND 1=CAST(version() AS int)", ""}, {"error", "OR 1/(SELECT 0)=1", ""}, {"error", "AND (SELECT 1 FROM nosuchtable)=1", ""}, {"error", "AND CAST((SELECT string_agg(id, ',') FROM customers) AS int)=1", ""},
		{"union", "UNION SELECT NULL", ""}, {"union", "UNION ALL SELECT id FROM customers", ""}, {"union", "UNION ALL SELECT id, email, name, user_id FROM customers", ""}, {"union", "UNION SELECT rolname FROM pg_roles", ""},
		{"stacked", "; UPDATE customers SET tax_id = 'pwned'", ""}, {"stacked", "; CREATE TABLE pwned ()", ""}, {"stacked", "; INSERT INTO merchants (id, name) VALUES ('pwned', 'pwned')", ""}, {"stacked", "; SELECT set_config('lumen.merchant_id', 'x', false)", ""},
		{"time", "AND (SELECT pg_sleep(2)) IS NULL", ""}, {"time", "OR 1=(SELECT 1 FROM pg_sleep(2))", ""}, {"time", "; SELECT pg_sleep(2)", ""}, {"time", "|| (SELECT pg_sleep(2))::text", ""},
		{"out of band", "; COPY (SELECT 1) TO PROGRAM 'exec 3<>/dev/tcp/" + host + "/" + port + "'", ""}, {"out of band", "AND (SELECT 1 FROM dblink_connect('host=" + host + " port=" + port + "')) IS NULL", ""},
	}
	opens := []string{"", "'", "\"", "')", "'))", "x') ", "\\'", "$$", "E'\\'"}
	ends := []string{"", " -- ", "--", " #", " /*", " AND '1'='1", " OR ('1'='1", ";"}
	disguises := []func(string) string{
		func(s string) string { return s },
		url.QueryEscape,
		func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
		func(s string) string { return strings.ReplaceAll(s, " ", "/**/") },
		func(s string) string { return strings.NewReplacer("'", "\uff07", "\"", "\uff02").Replace(s) },
		func(s string) string {
			return strings.NewReplacer("SELECT", "sElEcT", "UNION", "UnIoN", "AND", "&&", "OR", "||").Replace(s)
		},
		func(s string) string { return strings.ReplaceAll(s, "'", "''") },
	}
	var all []payload
	for i, technique := range techniques {
		for j, open := range opens {
			// Every pair of a technique and an opening, with four of the ends and disguises.
			for n := range 4 {
				end, disguise := ends[(i+j*3+n*2)%len(ends)], disguises[(i+j+n*3)%len(disguises)]
				if n == 0 {
					disguise = disguises[0]
				}
				if n == 1 {
					disguise, end = disguises[0], "--"
				}
				p := payload{technique.technique, disguise("zq" + open + " " + technique.text + end), ""}
				if technique.counterpart != "" {
					p.counterpart = disguise("zq" + open + " " + technique.counterpart + end)
				}
				all = append(all, p)
			}
		}
	}
	return all
}

// parameter is a place in a request that takes text.
type parameter struct {
	name string
	send func(payload string) harness.Reply
}

// textParameters returns every place that takes text. The requests use this key and update the
// customer target.
func textParameters(t *testing.T, d *harness.Server, key auth.Secret, target string) []parameter {
	t.Helper()
	var all []parameter
	add := func(name string, send func(p string) harness.Reply) { all = append(all, parameter{name, send}) }
	quoted := func(p string) string { return harness.JSON(t, p) }

	for _, method := range []string{"GET", "POST", "DELETE"} {
		body := ""
		if method == "POST" {
			body = `{}`
		}
		add(method+" by id", func(p string) harness.Reply { return d.Send(t, key, method, "/api/customers/"+url.PathEscape(p), body) })
		add(method+" by id, appended to a valid one", func(p string) harness.Reply {
			return d.Send(t, key, method, "/api/customers/cust_1"+url.PathEscape(p), body)
		})
	}
	for _, name := range []string{"limit", "cursor", "email", "userId", "updatedSince", "includeDeleted", "sort", "fields"} {
		more := ""
		if name == "cursor" {
			more = "&limit=5"
		}
		add("?"+name, func(p string) harness.Reply {
			return d.Send(t, key, "GET", "/api/customers?"+name+"="+url.QueryEscape(p)+more, "")
		})
	}
	add("?email, in an address", func(p string) harness.Reply {
		return d.Send(t, key, "GET", "/api/customers?limit=3&email="+url.QueryEscape(p+"@example.com"), "")
	})
	add("a parameter's name", func(p string) harness.Reply {
		return d.Send(t, key, "GET", "/api/customers?limit=3&"+url.QueryEscape(p)+"=1", "")
	})
	for _, name := range []string{"Authorization", "X-Request-Id", "Accept", "Accept-Encoding", "Content-Type", "Origin", "User-Agent", "Referer", "X-Forwarded-For", "Cookie", "If-None-Match", "Traceparent"} {
		add(name, func(p string) harness.Reply {
			if name == "Authorization" {
				return d.Send(t, "", "GET", "/api/customers?limit=3", "", header(name, "Bearer "+p))
			}
			return d.Send(t, key, "POST", "/api/customers/"+target, `{}`, header(name, p))
		})
	}
	add("a key", func(p string) harness.Reply {
		return d.Send(t, "", "POST", "/graphql", `{"query":"{merchant{id}}"}`, header("Authorization", "Bearer lumen_sk_"+p))
	})
	for _, s := range samples {
		inputs, target := append(s.noun.Inputs(), store.InputField{Name: "merchantId"}), s.row(target)
		for _, input := range inputs {
			field := input.Name
			text := func(p string) string {
				if field == "email" {
					p += "@example.com"
				}
				return quoted(p)
			}
			method := "PATCH"
			if field == "email" {
				method = "POST"
			}
			add("REST create "+field, func(p string) harness.Reply { return d.Send(t, key, "POST", s.path, s.creating(field, text(p))) })
			add("REST update "+field, func(p string) harness.Reply {
				return d.Send(t, key, method, s.path+"/"+target, `{"`+field+`":`+text(p)+`}`)
			})
			add("GraphQL create "+field, func(p string) harness.Reply {
				return d.GraphQL(t, key, s.mutation("create"), `{"input":`+s.creating(field, text(p))+`}`)
			})
			add("GraphQL update "+field+", inline", func(p string) harness.Reply {
				return d.GraphQL(t, key, `mutation{it:update`+s.title()+`(id:"`+target+`",input:{`+field+`:`+text(p)+`}){`+s.noun.Name()+s.selection+userErrorFields+`}}`, nil)
			})
		}
	}
	add("a key of a body", func(p string) harness.Reply {
		return d.Send(t, key, "POST", "/api/customers/"+target, `{`+quoted(p)+`:1}`)
	})
	for _, field := range []string{"customerId", "access", "expiresIn"} {
		add("token's "+field, func(p string) harness.Reply {
			return d.Send(t, key, "POST", "/api/access-tokens", `{"`+field+`":`+quoted(p)+`}`)
		})
		add("GraphQL token's "+field, func(p string) harness.Reply {
			return d.GraphQL(t, key, `mutation($input:CreateAccessTokenInput!){it:createAccessToken(input:$input){accessToken{access}`+userErrorFields+`}}`, `{"input":{"`+field+`":`+quoted(p)+`}}`)
		})
	}
	for name, document := range map[string][2]string{
		"customer's id": {operations["get"], `{"id":P}`}, "node's id": {`query($id:ID!){node(id:$id){id}}`, `{"id":P}`}, "nodes' ids": {`query($ids:[ID!]!){nodes(ids:$ids){id}}`, `{"ids":["` + target + `",P]}`},
		"deleted id": {operations["delete"], `{"id":P}`}, "updated id": {operations["update"], `{"id":P,"input":{"name":"n"}}`},
		"after": {`query($a:String){customers(first:3,after:$a){totalCount}}`, `{"a":P}`}, "before": {`query($a:String){customers(last:3,before:$a){totalCount}}`, `{"a":P}`},
		"first": {`query($a:Int){customers(first:$a){totalCount}}`, `{"a":P}`}, "filter": {operations["list"], `{"filter":P}`},
		"filter.email": {operations["list"], `{"filter":{"email":P}}`}, "filter.userId": {operations["list"], `{"filter":{"userId":P}}`}, "filter.billingCountry": {operations["list"], `{"filter":{"billingCountry":P}}`},
		"filter.search": {operations["list"], `{"filter":{"search":P}}`}, "filter.createdAt": {operations["list"], `{"filter":{"createdAt":{"from":P}}}`}, "filter.includeDeleted": {operations["list"], `{"filter":{"includeDeleted":P}}`},
		"filter's key": {operations["list"], `{"filter":{P:1}}`},
		"sort":         {`query($s:CustomerSort){customers(sort:$s){totalCount}}`, `{"s":{"field":P,"direction":"ASC"}}`}, "direction": {`query($s:CustomerSort){customers(sort:$s){totalCount}}`, `{"s":{"field":"NAME","direction":P}}`},
	} {
		add("$"+name, func(p string) harness.Reply {
			return d.GraphQL(t, key, document[0], strings.ReplaceAll(document[1], "P", quoted(p)))
		})
	}
	for name, document := range map[string]string{
		"customer's id": `{customer(id:P){id}}`, "nodes' ids": `{nodes(ids:[P]){id}}`, "after": `{customers(first:3,after:P){totalCount}}`, "search": `{customers(filter:{search:P}){nodes{id}}}`, "email": `{customers(filter:{email:P}){nodes{id}}}`,
		"userId": `{customers(filter:{userId:P}){totalCount}}`, "sort": `{customers(sort:{field:P,direction:ASC}){totalCount}}`, "created name": `mutation{createCustomer(input:{email:"` + "E" + `",name:P}){customer{name}}}`, "deleted id": `mutation{deleteCustomer(id:P){deletedCustomerId}}`,
	} {
		add("inline "+name, func(p string) harness.Reply {
			return d.GraphQL(t, key, strings.NewReplacer("P", quoted(p), `"E"`, quoted(harness.FreshEmail())).Replace(document), nil)
		})
	}
	add("the document", func(p string) harness.Reply { return d.GraphQL(t, key, "{merchant{id}} #"+p, nil) })
	add("operationName", func(p string) harness.Reply {
		return d.Send(t, key, "POST", "/graphql", `{"query":"query A{merchant{id}}","operationName":`+quoted(p)+`}`)
	})
	add("documentId", func(p string) harness.Reply {
		return d.Send(t, key, "POST", "/graphql", `{"documentId":`+quoted(p)+`}`)
	})
	add("sha256Hash", func(p string) harness.Reply {
		return d.Send(t, key, "POST", "/graphql", `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":`+quoted(p)+`}}}`)
	})
	return all
}

var anyFresh = regexp.MustCompile(`[a-z2-7]{30}@example\.com`)

// comparable returns a reply as text without the payload and without values that differ between
// replies.
func comparable(r harness.Reply, p string) string {
	body := normalized(anyFresh.ReplaceAllString(r.Body, "FRESH"))
	for _, form := range []string{p, strings.TrimSpace(p)} {
		escaped, _ := strings.CutSuffix(strings.TrimPrefix(fmt.Sprintf("%q", form), `"`), `"`)
		for _, spelling := range []string{form, escaped, strings.ReplaceAll(strings.ReplaceAll(form, `\`, `\\`), `"`, `\"`)} {
			body = strings.ReplaceAll(body, spelling, "SENT")
		}
	}
	return fmt.Sprint(r.Status, " ", body)
}

// findings sends a payload and returns what could tell an attacker that it was executed: a delay of
// more than slow in each of three tries, an internal error, words of the database, or different
// replies to true and false conditions.
func findings(at parameter, p payload, slow time.Duration) (found []string) {
	suspect := func(why string) {
		found = append(found, fmt.Sprintf("%s: %s by %q: %s", p.technique, at.name, p.text, why))
	}
	timed := func() (harness.Reply, time.Duration) {
		start := time.Now()
		r := at.send(p.text)
		return r, time.Since(start)
	}
	r, took := timed()
	// A busy machine is slow once, a statement that sleeps is slow each time.
	for again := 0; took > slow && again < 2; again++ {
		_, took = timed()
	}
	if took > slow {
		suspect("slow")
	}
	if r.Status >= 500 {
		suspect(fmt.Sprint(r.Status))
	}
	shown := comparable(r, p.text)
	for _, word := range databaseWords {
		if strings.Contains(shown, word) {
			suspect("shows " + word)
		}
	}
	if p.counterpart != "" {
		if other := comparable(at.send(p.counterpart), p.counterpart); shown != other {
			suspect("true and false differ: " + shown + " and " + other)
		}
	}
	return found
}

// databaseState returns all rows, objects and settings of the database as text. It leaves out this
// merchant's customers except for the known ones, the customer target, which the test changes, and
// the times at which keys were used.
func databaseState(t *testing.T, d *harness.Server, merchant, target string, known []string) []string {
	t.Helper()
	all := d.Lines(t, `SELECT to_jsonb(c)::text FROM customers AS c WHERE merchant_id <> $1 OR id = ANY($3) AND id <> $2 ORDER BY merchant_id, id`, merchant, target, known)
	for _, query := range []string{
		`SELECT to_jsonb(m)::text FROM merchants AS m ORDER BY id`, `SELECT (to_jsonb(k) - 'last_used_at')::text FROM api_keys AS k ORDER BY id`, `SELECT to_jsonb(k)::text FROM token_keys AS k ORDER BY id`,
		`SELECT concat_ws(' ', relname, relkind, relrowsecurity, relacl) FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1`,
		`SELECT concat_ws(' ', proname, prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1`, `SELECT to_jsonb(p)::text FROM pg_policies AS p ORDER BY 1`, `SELECT extname::text FROM pg_extension ORDER BY 1`,
		`SELECT COALESCE(array_to_string(setconfig, ','), '') FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1`,
	} {
		all = append(all, d.Lines(t, query)...)
	}
	return all
}

// countConnections listens at an address and counts the connections.
func countConnections(t *testing.T) (address string, connected *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	connected = new(atomic.Int64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connected.Add(1)
			_ = conn.Close()
		}
	}()
	return listener.Addr().String(), connected
}

// TestInjection sends SQL in every place that takes text. It must have no effect but that of text:
// no delay, no database error, no change of other rows or objects, no connection and no other
// merchant's data. The long form sends each payload to each place. The short form sends a part of
// them, so that each place gets each technique.
func TestInjection(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	all := otherMerchants(t, d)
	m := all[1]
	d.Canaries.Note("pwned")
	address, connected := countConnections(t)
	known := d.Lines(t, "SELECT id FROM customers WHERE merchant_id = $1", m.ID)
	before := databaseState(t, d, m.ID, m.twin, known)
	recorded := d.Canaries.Record(m.WriteKey)

	attacks, places, requests := payloads(address), textParameters(t, d, m.WriteKey, m.twin), 0
	require.Greater(t, len(attacks), 500)
	require.Greater(t, len(places), 100)
	for _, p := range attacks {
		require.True(t, p.counterpart == "" || len(p.counterpart) == len(p.text), p)
	}
	for j, place := range places {
		techniques := map[string]bool{}
		for i, p := range attacks {
			if !storetest.Long() && (i+j*11)%47 != 0 {
				continue
			}
			requests++
			techniques[p.technique] = true
			require.Empty(t, findings(place, p, atOnce/2))
		}
		require.Len(t, techniques, 6, "%s must get each technique", place.name)
	}
	t.Run("stored payloads stay text in sorts, cursors and searches", func(t *testing.T) {
		stored := d.Lines(t, "SELECT name FROM customers WHERE merchant_id = $1 AND name LIKE 'zq%' ORDER BY id", m.ID)
		require.Greater(t, len(stored), 30)
		for _, sort := range []string{"NAME", "EMAIL"} {
			seen, after := 0, ""
			for {
				start := time.Now()
				r := d.GraphQL(t, m.ReadKey, `query($a:String){customers(first:100,after:$a,sort:{field:`+sort+`,direction:ASC}){nodes{name} pageInfo{hasNextPage endCursor}}}`, map[string]any{"a": nullIfEmpty(after)})
				require.Less(t, time.Since(start), atOnce)
				require.Equal(t, 200, r.Status)
				require.NotContains(t, r.Body, `"errors"`)
				seen += strings.Count(r.Body, `"name":"zq`)
				if !strings.Contains(r.Body, `"hasNextPage":true`) {
					break
				}
				after = regexp.MustCompile(`"endCursor":"([^"]+)"`).FindStringSubmatch(r.Body)[1]
			}
			require.Equal(t, len(stored), seen)
		}
		for _, name := range stored[:30] {
			r := d.GraphQL(t, m.ReadKey, operations["list"], map[string]any{"filter": map[string]string{"search": name}})
			require.NotContains(t, r.Body, `"errors"`)
			require.Contains(t, r.Body, `"name":`+harness.JSON(t, name))
		}
	})
	require.Equal(t, before, databaseState(t, d, m.ID, m.twin, known))
	require.Zero(t, connected.Load(), "the database server opened a connection")
	require.Empty(t, m.otherMerchantsData(recorded.String()))
	t.Logf("%d payloads, %d places, %d of all pairs", len(attacks), len(places), requests)
}

func nullIfEmpty(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// TestInjectionIsDetected sends the payloads to a vulnerable query, which inserts text into its
// statement. Each technique must be detected; otherwise TestInjection could pass for a vulnerable
// service.
func TestInjectionIsDetected(t *testing.T) {
	t.Parallel()
	d := &harness.Server{Database: storetest.New(t)}
	m := d.Merchant(t, "Injected")
	d.SQL(t, `INSERT INTO customers (merchant_id, id, email, email_key, email_shared, search_key, created_at, updated_at) SELECT $1, 'cust_' || n, n || '@x.io', n || '@x.io', false, '', now(), now() FROM generate_series(1, 3) AS n`, m.ID)
	vulnerable := parameter{"a vulnerable id", func(p string) harness.Reply {
		rows, err := d.Superuser().Query(t.Context(), "SELECT id FROM customers WHERE user_id IS NULL AND id = '"+p+"'", pgx.QueryExecModeSimpleProtocol)
		if err == nil {
			var ids []string
			ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
			if err == nil {
				return harness.Reply{Status: http.StatusOK, Body: strings.Join(ids, ",")}
			}
		}
		return harness.Reply{Status: http.StatusInternalServerError, Body: err.Error()}
	}}
	before := databaseState(t, d, m.ID, "", []string{"cust_1", "cust_2", "cust_3"})
	evidence := map[string]string{"boolean": "true and false differ", "time": "slow", "error": "shows invalid input syntax", "union": "shows syntax error"}
	for _, p := range payloads("127.0.0.1:9") {
		if p.technique == "stacked" {
			vulnerable.send(p.text)
		} else if sought, ok := evidence[p.technique]; ok && strings.Contains(strings.Join(findings(vulnerable, p, atOnce/2), "\n"), sought) {
			delete(evidence, p.technique) // one detection suffices
		}
	}
	require.Empty(t, evidence, "these techniques were not detected")
	require.NotEqual(t, before, databaseState(t, d, m.ID, "", []string{"cust_1", "cust_2", "cust_3"}))
}
