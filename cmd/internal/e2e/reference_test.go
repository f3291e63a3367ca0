package e2e

import (
	_ "embed"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/storetest"
)

// customersAPI is the API reference by the product's owner, unchanged.
//
//go:embed testdata/customers-api.txt
var customersAPI string

// reference holds the routes and examples of the API reference.
type reference struct {
	routes []string // "GET /api/customers"
	curls  []curl
	blocks []string // every JSON example without white space, in the order of the text
}

// curl is one of the text's curl commands.
type curl struct{ method, path, contentType, body string }

// The indexes of the JSON examples in reference.blocks.
const (
	listReply = iota
	getReply
	createBody
	createReply
	updateBody
	updateReply
	deleteReply
	emailRequired
	notFound
	takenOnCreate
	takenOnUpdate
	createFailed
	updateFailed
	deleteFailed
	blockCount
)

var (
	routeLine = regexp.MustCompile(`(?m)^(GET|POST|DELETE) (/api/\S+)$`)
	jsonBlock = regexp.MustCompile(`(?ms)^\{$.*?^\}$`)
	curlText  = regexp.MustCompile(`(?ms)^curl -X (\w+) (\S+) \\\n +-H "Content-Type: ([^"]+)"(?: \\\n +-d '(.*?)')?$`)
)

func readReference(t *testing.T) reference {
	t.Helper()
	var r reference
	for _, route := range routeLine.FindAllStringSubmatch(customersAPI, -1) {
		r.routes = append(r.routes, route[1]+" "+route[2])
	}
	for _, c := range curlText.FindAllStringSubmatch(customersAPI, -1) {
		r.curls = append(r.curls, curl{c[1], c[2], c[3], c[4]})
	}
	for _, block := range jsonBlock.FindAllString(customersAPI, -1) {
		r.blocks = append(r.blocks, compact(t, block))
	}
	require.Len(t, r.routes, 5)
	require.Len(t, r.curls, strings.Count(customersAPI, "curl -X"))
	require.Len(t, r.blocks, blockCount)
	return r
}

// referenceMerchant creates a merchant with this id and the customer of the API reference.
func referenceMerchant(t *testing.T, d *harness.Server, text reference, id string) storetest.Merchant {
	t.Helper()
	m := storetest.Merchant{Merchant: store.Merchant{ID: id}, WriteKey: auth.NewSecret()}
	d.SQL(t, "INSERT INTO merchants (id, name) VALUES ($1, 'Reference')", id)
	d.SQL(t, "SELECT lumen_make_head($1)", id)
	_, err := d.Owner(t).Keys.Create(t.Context(), owner.NewKey{MerchantID: id, Access: store.WriteAccess, Secret: m.WriteKey})
	require.NoError(t, err)
	// The customer in the reply of "get" is also the input that creates it: the server ignores the
	// fields that clients cannot set.
	created := d.Create(t, m, strings.TrimSuffix(strings.TrimPrefix(text.blocks[getReply], `{"customer":`), "}"))
	d.SQL(t, `UPDATE customers SET id = 'cust_stable_123', created_at = '2024-01-01T00:00:00Z', updated_at = '2024-01-01T00:00:00Z'
		WHERE merchant_id = $1 AND id = $2`, id, created)
	return m
}

// TestReferenceExamples sends the requests of the API reference and compares the replies with its
// examples, byte for byte. Only times differ, which have three fractional digits, and the id of a
// created customer.
func TestReferenceExamples(t *testing.T) {
	t.Parallel()
	text := readReference(t)
	d := harness.Serve(t)
	m := referenceMerchant(t, d, text, "merchant_123")
	seconds := func(body string) string { return strings.ReplaceAll(body, ".000Z", "Z") }

	for _, route := range text.routes {
		path := strings.ReplaceAll(strings.Fields(route)[1], "{id}", "cust_stable_123")
		switch route {
		case "GET /api/customers":
			r := d.Send(t, m.WriteKey, "GET", path, "")
			require.Equal(t, answer{200, text.blocks[listReply]}, answer{r.Status, seconds(r.Body)})
		case "GET /api/customers/{id}":
			r := d.Send(t, m.WriteKey, "GET", path, "")
			require.Equal(t, answer{200, text.blocks[getReply]}, answer{r.Status, seconds(r.Body)})
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))
		case "POST /api/customers":
			r := d.Send(t, m.WriteKey, "POST", path, text.blocks[createBody])
			require.Equal(t, answer{201, normalized(text.blocks[createReply])}, answer{r.Status, normalized(r.Body)})
			require.Regexp(t, `^/api/customers/cust_[0-9a-z]{26}$`, r.Header.Get("Location"))
		case "POST /api/customers/{id}":
			before := time.Now().Add(-time.Minute)
			r := d.Send(t, m.WriteKey, "POST", path, text.blocks[updateBody])
			// The time of creation is equal as well; the time of the update is now.
			moved := regexp.MustCompile(`"updatedAt":"([^"]+)"`)
			require.Equal(t,
				answer{200, moved.ReplaceAllString(text.blocks[updateReply], `"updatedAt":"NOW"`)},
				answer{r.Status, seconds(moved.ReplaceAllString(r.Body, `"updatedAt":"NOW"`))})
			at, err := time.Parse(time.RFC3339, moved.FindStringSubmatch(r.Body)[1])
			require.NoError(t, err)
			require.True(t, at.After(before), at)
			require.Equal(t, brief(r), brief(d.Send(t, m.WriteKey, "GET", path, "")))
		case "DELETE /api/customers/{id}":
			r := d.Send(t, m.WriteKey, "DELETE", path, "")
			require.Equal(t, answer{200, text.blocks[deleteReply]}, brief(r))
			require.Equal(t, answer{404, text.blocks[notFound]}, brief(d.Send(t, m.WriteKey, "GET", path, "")))
			require.NotContains(t, d.Send(t, m.WriteKey, "GET", "/api/customers", "").Body, "cust_stable_123")
		default:
			require.Fail(t, "the reference has a route that this test does not cover", route)
		}
	}
}

// TestReferenceCurls sends the requests of the curl commands in the API reference and compares the
// replies.
func TestReferenceCurls(t *testing.T) {
	t.Parallel()
	text := readReference(t)
	d := harness.Serve(t)

	customer := func(merchant, id, email, name, userID, line1, line2, taxID string) string {
		return `{"customer":{"id":"` + id + `","email":"` + email + `","name":"` + name + `","userId":"` + userID + `","billingAddressLine1":"` + line1 +
			`","billingAddressLine2":` + line2 + `,"billingCity":"New York","billingPostalCode":"10001","billingCountry":"US","taxId":` + taxID +
			`,"merchantId":"` + merchant + `","createdAt":"TIME","updatedAt":"TIME","deletedAt":null}}`
	}
	example := normalized(text.blocks[getReply])
	want := []func(merchant string) answer{
		func(m string) answer {
			return answer{201, customer(m, "ID", "customer@example.com", "John Doe", "user_123", "123 Main St", "null", "null")}
		},
		func(m string) answer {
			return answer{200, customer(m, "ID", "newemail@example.com", "John Smith", "user_ext_123", "456 Oak Ave", `"Apt 4B"`, `"12-3456789"`)}
		},
		func(m string) answer {
			return answer{200, strings.ReplaceAll(normalized(text.blocks[listReply]), "merchant_123", m)}
		},
		func(m string) answer { return answer{200, strings.ReplaceAll(example, "merchant_123", m)} },
		func(string) answer { return answer{200, `{"success":true}`} },
		func(m string) answer {
			return answer{200, customer(m, "ID", "duplicate@example.com", "John Doe", "user_ext_123", "123 Main St", `"Apt 4B"`, `"12-3456789"`)}
		},
	}
	require.Len(t, text.curls, len(want))
	for i, c := range text.curls {
		merchant := "merchant_curl_" + string(rune('a'+i))
		m := referenceMerchant(t, d, text, merchant)
		switch {
		case c.method == "POST" && c.path == "/api/customers": // the customer of the example has the same address
			require.Equal(t, answer{200, text.blocks[deleteReply]}, brief(d.Send(t, m.WriteKey, "DELETE", "/api/customers/cust_stable_123", "")))
		case strings.Contains(c.body, store.DangerousFlag):
			d.Create(t, m, `{"email":"Duplicate@example.com"}`)
		}
		r := d.Send(t, m.WriteKey, c.method, c.path, c.body, header("Content-Type", c.contentType))
		require.Equal(t, want[i](merchant), answer{r.Status, normalized(r.Body)}, "%+v", c)
	}
}

// TestReferenceErrors provokes every error of the API reference and compares the replies byte for
// byte. A trigger that fails provokes the 500s.
func TestReferenceErrors(t *testing.T) {
	t.Parallel()
	text := readReference(t)
	d := harness.Serve(t)
	m := d.Merchant(t, "Reference")
	one := "/api/customers/" + d.Create(t, m, `{"email":"one@example.com"}`)
	d.Create(t, m, `{"email":"two@example.com"}`)

	for _, e := range []struct {
		method, path, body string
		status, block      int
	}{
		{"POST", "/api/customers", `{"name":"Jane"}`, 400, emailRequired},
		{"POST", "/api/customers", `{"email":null}`, 400, emailRequired},
		{"POST", "/api/customers", `{"email":""}`, 400, emailRequired},
		{"POST", one, `{"email":" "}`, 400, emailRequired},
		{"GET", "/api/customers/cust_unknown", "", 404, notFound},
		{"POST", "/api/customers/cust_unknown", `{"name":"Jane"}`, 404, notFound},
		{"DELETE", "/api/customers/cust_unknown", "", 404, notFound},
		{"POST", "/api/customers", `{"email":"ONE@example.com"}`, 409, takenOnCreate},
		{"POST", one, `{"email":"Two@Example.com"}`, 409, takenOnUpdate},
	} {
		r := d.Send(t, m.WriteKey, e.method, e.path, e.body)
		require.Equal(t, answer{e.status, text.blocks[e.block]}, brief(r), "%+v", e)
		require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	}

	d.SQL(t, `CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'injected fault'; END $$`)
	d.SQL(t, `CREATE TRIGGER fault BEFORE INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION fault()`)
	for _, e := range []struct {
		method, path, body string
		block              int
	}{
		{"POST", "/api/customers", `{"email":"three@example.com"}`, createFailed},
		{"POST", one, `{"name":"Jane"}`, updateFailed},
		{"PATCH", one, `{"name":"Jane"}`, updateFailed},
		{"DELETE", one, "", deleteFailed},
	} {
		require.Equal(t, answer{500, text.blocks[e.block]}, brief(d.Send(t, m.WriteKey, e.method, e.path, e.body)))
	}
	require.Equal(t, 4, strings.Count(d.Logged(), "injected fault"), "the log must contain the causes")
	require.Equal(t, answer{200, normalized(text.blocks[deleteReply])}, func() answer {
		d.SQL(t, "DROP TRIGGER fault ON customers")
		return brief(d.Send(t, m.WriteKey, "DELETE", one, ""))
	}())
}

// TestInternalErrors makes every statement fail. It checks the errors of reads, which the API
// reference does not document, and GraphQL's form of all internal errors with the request id.
func TestInternalErrors(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Faulty")
	id := d.Create(t, m, `{"email":"one@example.com"}`)
	d.SQL(t, `CREATE FUNCTION fault() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'injected fault'; END $$`)
	d.SQL(t, `CREATE POLICY fault ON customers AS RESTRICTIVE TO lumen_app USING (fault()) WITH CHECK (fault())`)

	require.Equal(t, answer{500, `{"error":"Failed to fetch customer"}`}, brief(d.Send(t, m.WriteKey, "GET", "/api/customers/"+id, "")))
	require.Equal(t, answer{500, `{"error":"Failed to fetch customers"}`}, brief(d.Send(t, m.WriteKey, "GET", "/api/customers", "")))
	require.Equal(t, answer{500, `{"error":"Failed to fetch customers"}`}, brief(d.Send(t, m.WriteKey, "GET", "/api/customers?limit=2", "")))
	for query, want := range map[string]string{
		`{merchant{name} customer(id:"` + id + `"){id}}`: `{"errors":[{"message":"Failed to fetch customer","path":["customer"],"extensions":{"code":"INTERNAL","requestId":"REQUEST"}}],` +
			`"data":{"merchant":{"name":"Faulty"},"customer":null}}`,
		`{customers{totalCount}}`: `{"errors":[{"message":"Failed to fetch customers","path":["customers"],"extensions":{"code":"INTERNAL","requestId":"REQUEST"}}],"data":null}`,
		`mutation{createCustomer(input:{email:"b@example.com"}){customer{id}}}`: `{"errors":[{"message":"Failed to create customer","path":["createCustomer"],"extensions":{"code":"INTERNAL","requestId":"REQUEST"}}],` +
			`"data":{"createCustomer":null}}`,
		`mutation{updateCustomer(id:"` + id + `",input:{name:"b"}){customer{id}}}`: `{"errors":[{"message":"Failed to update customer","path":["updateCustomer"],"extensions":{"code":"INTERNAL","requestId":"REQUEST"}}],` +
			`"data":{"updateCustomer":null}}`,
		`mutation{deleteCustomer(id:"` + id + `"){deletedCustomerId}}`: `{"errors":[{"message":"Failed to delete customer","path":["deleteCustomer"],"extensions":{"code":"INTERNAL","requestId":"REQUEST"}}],` +
			`"data":{"deleteCustomer":null}}`,
	} {
		r := d.GraphQL(t, m.WriteKey, query, nil)
		require.Equal(t, answer{200, want}, answer{r.Status, normalized(r.Body)})
		require.Contains(t, r.Body, `"requestId":"`+r.Header.Get("X-Request-Id")+`"`)
		require.Contains(t, d.Logged(), r.Header.Get("X-Request-Id"))
	}
}

// TestBlockedStatementsAreUnavailable holds locks while requests run. Each blocked request must get
// 503, or UNAVAILABLE in GraphQL, after the lock timeout of 2 s.
func TestBlockedStatementsAreUnavailable(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Locked")
	id := d.Create(t, m, `{"email":"one@example.com"}`)
	path := "/api/customers/" + id
	other := "/api/customers/" + d.Create(t, m, `{"email":"other@example.com"}`)
	rest503 := answer{503, `{"error":"Service temporarily unavailable"}`}
	const lockTimeout = 2 * time.Second

	// runLocked sends the requests at the same time while it holds a lock.
	runLocked := func(t *testing.T, lock string, requests ...func() (want answer, got harness.Reply)) {
		t.Helper()
		tx, err := d.Superuser().Begin(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
		_, err = tx.Exec(t.Context(), lock)
		require.NoError(t, err)
		replies := make(chan func(), len(requests))
		for _, request := range requests {
			go func() {
				start := time.Now()
				want, got := request()
				took := time.Since(start)
				replies <- func() {
					require.Equal(t, want, answer{got.Status, normalized(got.Body)})
					if want.status == 503 {
						require.Equal(t, "1", got.Header.Get("Retry-After"))
						require.InDelta(t, lockTimeout.Seconds(), took.Seconds(), 1.5)
					}
				}
			}()
		}
		for range requests {
			(<-replies)()
		}
	}
	rest := func(want answer, method, path, body string) func() (answer, harness.Reply) {
		return func() (answer, harness.Reply) { return want, d.Send(t, m.WriteKey, method, path, body) }
	}
	graphql := func(want answer, query string) func() (answer, harness.Reply) {
		return func() (answer, harness.Reply) { return want, d.GraphQL(t, m.WriteKey, query, nil) }
	}
	unavailable := func(path, data string) string {
		return `{"errors":[{"message":"Service temporarily unavailable",` + path + `"extensions":{"code":"UNAVAILABLE","requestId":"REQUEST"}}]` + data + `}`
	}

	t.Run("a lock on the table", func(t *testing.T) {
		runLocked(t, "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE",
			rest(rest503, "GET", "/api/customers", ""),
			rest(rest503, "GET", "/api/customers?limit=1", ""),
			rest(rest503, "GET", path, ""),
			rest(rest503, "POST", "/api/customers", `{"email":"two@example.com"}`),
			rest(rest503, "POST", path, `{"name":"Jane"}`),
			rest(rest503, "DELETE", path, ""),
			graphql(answer{503, unavailable(`"path":["customers"],`, `,"data":null`)}, `{customers{nodes{id}}}`),
			graphql(answer{200, unavailable(`"path":["customer"],`, `,"data":{"customer":null}`)}, `{customer(id:"`+id+`"){id}}`),
			graphql(answer{200, unavailable(`"path":["deleteCustomer"],`, `,"data":{"deleteCustomer":null}`)}, `mutation{deleteCustomer(id:"`+id+`"){deletedCustomerId}}`),
		)
	})
	// Each request has its own row, since the second request for a row waits for the first one as
	// well.
	t.Run("locks on rows, which can still be read", func(t *testing.T) {
		runLocked(t, "SELECT FROM customers FOR UPDATE",
			rest(rest503, "POST", path, `{"name":"Jane"}`),
			rest(rest503, "DELETE", other, ""),
			func() (answer, harness.Reply) {
				r := d.Send(t, m.WriteKey, "GET", path, "")
				return answer{200, normalized(r.Body)}, r
			},
		)
	})
	t.Run("a lock on the keys blocks the lookup of credentials", func(t *testing.T) {
		unused := d.Merchant(t, "Unused") // its keys are in no cache
		runLocked(t, "LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE",
			func() (answer, harness.Reply) { return rest503, d.Send(t, unused.WriteKey, "GET", path, "") },
			rest(answer{404, `{"error":"Not found"}`}, "GET", "/api", ""),
			func() (answer, harness.Reply) {
				return answer{503, unavailable("", "")}, d.GraphQL(t, unused.ReadKey, `{merchant{id}}`, nil)
			},
		)
	})
	t.Run("the refused requests have changed nothing", func(t *testing.T) {
		r := d.Send(t, m.WriteKey, "GET", "/api/customers", "")
		require.Equal(t, http.StatusOK, r.Status)
		require.Equal(t, 2, strings.Count(r.Body, `"email":`))
		require.Equal(t, 2, strings.Count(r.Body, `"name":null`))
	})
}
