package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// TestServeLogsAllRequestsBeforeItStops sends SIGTERM after 200 requests. The log must contain a
// line for each, before the lines about the stop. It fails if the server drops lines that it still
// buffers.
func TestServeLogsAllRequestsBeforeItStops(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	m := db.Merchant(t, "Logged")
	for _, format := range []string{"json", "text"} {
		p := harness.Launch(t, func(cmd *exec.Cmd) {
			cmd.Env = harness.Environment("LUMEN_DATABASE_URL="+db.AppURL(), "LUMEN_LOG_FORMAT="+format)
		}, "serve", "--addr", "127.0.0.1:0", "--json")
		at := p.Ready(t).URL
		const requests = 200
		for i := range requests {
			status, _ := harness.Fetch(t, "GET", at+fmt.Sprintf("/api/customers/cust_%d", i), string(m.ReadKey), "")
			require.Equal(t, 404, status)
		}
		require.NoError(t, p.Cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, p.Wait(t))
		log := p.Stderr.String()
		require.Equal(t, requests, strings.Count(log, "getCustomer"), format)
		last := log[strings.LastIndex(strings.TrimSuffix(log, "\n"), "\n")+1:]
		require.Contains(t, last, "stopped")
		require.Greater(t, strings.Index(log, "stopping"), strings.LastIndex(log, "getCustomer"), "lines of requests must precede the stop")
	}
}

// TestServeLogsRequestsWhileItRuns checks that a request's line is written while the server runs,
// although no other request follows. The server buffers lines for 100 ms at most.
func TestServeLogsRequestsWhileItRuns(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	require.Equal(t, 401, d.Send(t, "", "GET", "/api/customers", "").Status)
	require.Eventually(t, func() bool {
		return strings.Contains(d.Log.String(), `"operation":"listCustomers","code":"UNAUTHENTICATED"`)
	}, 5*time.Second, time.Millisecond)
}

// The line of a request has the id of its key, also when it presents a token that this key made,
// and the id of the one customer that it found or wrote. An id that only the client knows is not in
// it: not that of another merchant's customer, nor one of no customer, nor one that is malformed.
func TestLogNamesTheKeyAndTheCustomer(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m, other := d.Merchant(t, "Logged"), d.Merchant(t, "Other")
	one, two := d.Create(t, m, `{"email":"one@example.com"}`), d.Create(t, m, `{"email":"two@example.com"}`)
	foreign := d.Create(t, other, `{"email":"one@example.com"}`)
	token := d.Mint(t, m.WriteKey, `{"access":"write"}`)
	bound := d.Mint(t, m.WriteKey, `{"access":"write","customerId":"`+one+`"}`)
	keyID := func(access string) string {
		return d.Lines(t, "SELECT id FROM api_keys WHERE merchant_id = $1 AND access = $2", m.ID, access)[0]
	}
	write, read := keyID("write"), keyID("read")
	type line struct{ Key, Customer string }
	// logged returns the line of one request.
	logged := func(secret auth.Secret, method, path, body string) line {
		id := rand.Text()
		d.Send(t, secret, method, path, body, header("X-Request-Id", id))
		for text := range strings.Lines(d.Logged()) {
			var l struct {
				RequestID, Msg string
				line
			}
			require.NoError(t, json.Unmarshal([]byte(text), &l))
			if l.RequestID == id && l.Msg == "request" {
				return l.line
			}
		}
		t.Fatalf("no line for %s %s", method, path)
		return line{}
	}

	at := "/api/customers/"
	require.Equal(t, line{write, one}, logged(m.WriteKey, "GET", at+one, ""))
	require.Equal(t, line{read, one}, logged(m.ReadKey, "HEAD", at+one, ""))
	require.Equal(t, line{write, one}, logged(token, "POST", at+one, `{"name":"Ada"}`), "the key made the token")
	require.Equal(t, line{write, one}, logged(bound, "PATCH", at+one, `{"name":"Ada"}`))
	require.Equal(t, line{write, one}, logged(m.WriteKey, "POST", "/api/access-tokens", `{"customerId":"`+one+`"}`))
	require.Equal(t, line{write, ""}, logged(m.WriteKey, "POST", "/api/access-tokens", `{}`))
	require.Equal(t, line{read, ""}, logged(m.ReadKey, "GET", "/api/customers", ""), "a list")
	require.Equal(t, line{read, ""}, logged(m.ReadKey, "DELETE", at+one, ""), "403")
	require.Equal(t, line{write, ""}, logged(m.WriteKey, "POST", at+one, `{"email":"two@example.com"}`), "409")
	require.Equal(t, line{}, logged("", "GET", at+one, ""), "401")
	for _, id := range []string{foreign, "cust_jane_example_com", "jane@example.com"} {
		require.Equal(t, line{write, ""}, logged(m.WriteKey, "GET", at+url.PathEscape(id), ""), id)
		require.Equal(t, line{write, ""}, logged(m.WriteKey, "DELETE", at+url.PathEscape(id), ""), id)
	}
	created := logged(m.WriteKey, "POST", "/api/customers", `{"email":"three@example.com"}`)
	require.Equal(t, d.Lines(t, "SELECT id FROM customers WHERE email = 'three@example.com'"), []string{created.Customer})

	graphQL := func(query string) line {
		return logged(m.WriteKey, "POST", "/graphql", harness.JSON(t, map[string]string{"query": query}))
	}
	for query, customer := range map[string]string{
		`{customer(id:"` + one + `"){id}}`:                                                  one,
		`{node(id:"` + one + `"){id}}`:                                                      one,
		`{a:customer(id:"` + one + `"){id} b:customer(id:"` + one + `"){id}}`:               one,
		`{a:customer(id:"` + one + `"){id} b:customer(id:"` + foreign + `"){id}}`:           one,
		`{a:customer(id:"` + one + `"){id} b:customer(id:"` + two + `"){id}}`:               "",
		`{nodes(ids:["` + one + `","` + two + `"]){id}}`:                                    "",
		`{customers{nodes{id}}}`:                                                            "",
		`{customer(id:"` + foreign + `"){id}}`:                                              "",
		`{customer(id:"cust_jane_example_com"){id}}`:                                        "",
		`{customer(id:"jane@example.com"){id}}`:                                             "",
		`mutation{updateCustomer(id:"` + one + `",input:{name:"A"}){customer{id}}}`:         one,
		`mutation{updateCustomer(id:"` + foreign + `",input:{name:"A"}){customer{id}}}`:     "",
		`mutation{createAccessToken(input:{customerId:"` + one + `"}){accessToken{token}}}`: one,
		`mutation{a:updateCustomer(id:"` + one + `",input:{name:"B"}){customer{id}}
			b:updateCustomer(id:"` + two + `",input:{name:"B"}){customer{id}}
			c:updateCustomer(id:"` + one + `",input:{name:"C"}){customer{id}}}`: "",
	} {
		require.Equal(t, line{write, customer}, graphQL(query), query)
	}
	require.Equal(t, line{write, two}, graphQL(`mutation{deleteCustomer(id:"`+two+`"){deletedCustomerId}}`))
	created = graphQL(`mutation{createCustomer(input:{email:"four@example.com"}){customer{id}}}`)
	require.Equal(t, d.Lines(t, "SELECT id FROM customers WHERE email = 'four@example.com'"), []string{created.Customer})
	require.Equal(t, line{write, one}, logged(m.WriteKey, "DELETE", at+one, ""))
}
