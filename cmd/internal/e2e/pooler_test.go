//go:build pooler

package e2e

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// TestPoolerServe runs serve behind PgBouncer in transaction mode, which has only two connections
// to Postgres. Both APIs must work, and each merchant must see only its own customers.
func TestPoolerServe(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	acme, other := db.Merchant(t, "Acme"), db.Merchant(t, "Acme")
	p := harness.Launch(t, func(cmd *exec.Cmd) {
		cmd.Env = harness.Environment("LUMEN_DATABASE_POOLER=transaction", "LUMEN_DATABASE_URL="+db.PgBouncer(t, 2))
	}, "serve", "--addr", "127.0.0.1:0", "--json")
	urls := p.Ready(t)
	created := map[string]string{}
	for name, m := range map[string]storetest.Merchant{"acme": acme, "other": other} {
		status, body := harness.Fetch(t, "POST", urls.RestURL, string(m.WriteKey), `{"email": "jane@example.com", "name": "Jane", "billingCountry": "us"}`)
		require.Equal(t, 201, status, body)
		var reply struct{ Customer struct{ ID string } }
		require.NoError(t, json.Unmarshal([]byte(body), &reply))
		created[name] = reply.Customer.ID
	}
	status, body := harness.Fetch(t, "POST", urls.RestURL, string(acme.WriteKey), `{"email": "JANE@example.com"}`)
	require.Equal(t, 409, status, body)
	status, body = harness.Fetch(t, "POST", urls.RestURL+"/"+created["acme"], string(acme.WriteKey), `{"name": null, "taxId": "1"}`)
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"name":null`)
	status, body = harness.Fetch(t, "GET", urls.RestURL+"/"+created["other"], string(acme.ReadKey), "")
	require.Equal(t, 404, status, body)
	status, body = harness.Fetch(t, "GET", urls.RestURL, string(acme.ReadKey), "")
	require.Equal(t, 200, status, body)
	require.Contains(t, body, created["acme"])
	require.NotContains(t, body, created["other"])

	graphql := func(query string) string {
		t.Helper()
		asked, err := json.Marshal(map[string]string{"query": query})
		require.NoError(t, err)
		status, body := harness.Fetch(t, "POST", urls.GraphQLURL, string(acme.WriteKey), string(asked))
		require.Equal(t, 200, status, body)
		require.NotContains(t, body, `"errors"`)
		return body
	}
	require.Contains(t, graphql(`mutation { createCustomer(input: {email: "joe@example.com"}) { customer { email } userErrors { code } } }`), `"email":"joe@example.com"`)
	body = graphql(`{ customers(first: 1, filter: {search: "example"}) { totalCount nodes { email } pageInfo { hasNextPage } }
		nodes(ids: ["` + created["acme"] + `", "` + created["other"] + `"]) { id } merchant { id } }`)
	require.Contains(t, body, `"totalCount":2,"nodes":[{"email":"joe@example.com"}],"pageInfo":{"hasNextPage":true}`)
	require.Contains(t, body, `"nodes":[{"id":"`+created["acme"]+`"},null],"merchant":{"id":"`+acme.ID+`"}`)
	status, body = harness.Fetch(t, "DELETE", urls.RestURL+"/"+created["acme"], string(acme.WriteKey), "")
	require.Equal(t, 200, status, body)
	require.NotContains(t, p.Stderr.String(), `"level":"ERROR"`)
}

// TestPoolerWithoutItsSettingIsRefused runs serve behind PgBouncer without --database-pooler. It
// must refuse to start and name the setting, both if PgBouncer rejects Lumen's settings of the
// session and if it ignores them.
func TestPoolerWithoutItsSettingIsRefused(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	line := serveRefusal(t, "LUMEN_DATABASE_URL="+db.PgBouncer(t, 1))
	require.Contains(t, line, "(08P01)")
	require.Contains(t, line, "LUMEN_DATABASE_POOLER=transaction")
	ignoring := db.PgBouncer(t, 1, storetest.SwallowsSettings)
	line = serveRefusal(t, "LUMEN_DATABASE_URL="+ignoring)
	require.Contains(t, line, "lumen: refusing to serve: ")
	require.Contains(t, line, "LUMEN_DATABASE_POOLER=transaction")
}

// TestPoolerHostileSettings is TestHostileSettings behind PgBouncer.
func TestPoolerHostileSettings(t *testing.T) {
	t.Parallel()
	requireRulesUnderHostileSettings(t, func(t *testing.T, db *storetest.Database, login string) []string {
		return []string{"--database-pooler", "transaction", "--database-url", db.PgBouncerFor(t, login, 8)}
	})
}
