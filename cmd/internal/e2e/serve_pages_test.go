package e2e

import (
	"net/http"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// TestServePlaygroundAndIntrospectionAreOffByDefault checks that serve offers neither, and logs how
// to turn each on, unless its variable is set.
func TestServePlaygroundAndIntrospectionAreOffByDefault(t *testing.T) {
	t.Parallel()
	const introspection = `{"query":"{ __schema { queryType { name } } }"}`
	db := storetest.New(t)
	key := string(db.Merchant(t, "Acme").ReadKey)
	serve := func(env ...string) (*harness.Process, harness.Ready) {
		p := harness.Launch(t, func(cmd *exec.Cmd) {
			cmd.Env = harness.Environment(append(env, "LUMEN_DATABASE_URL="+db.AppURL())...)
		}, "serve", "--addr", "127.0.0.1:0", "--json")
		return p, p.Ready(t)
	}

	p, r := serve()
	status, _ := harness.Fetch(t, "GET", r.URL+"/playground", "", "")
	require.Equal(t, http.StatusNotFound, status)
	status, body := harness.Fetch(t, "GET", r.URL+"/schema.graphql", "", "")
	require.Equal(t, http.StatusNotFound, status, body)
	_, body = harness.Fetch(t, "POST", r.GraphQLURL, key, introspection)
	require.Contains(t, body, "introspection is not enabled")
	status, body = harness.Fetch(t, "GET", r.URL+"/", "", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "LUMEN_PLAYGROUND=true")
	require.Empty(t, r.PlaygroundURL)
	require.Contains(t, p.Stderr.String(), "LUMEN_PLAYGROUND=true or --playground turns it on")
	require.Contains(t, p.Stderr.String(), "LUMEN_INTROSPECTION=true or --introspection turns it on")

	p, r = serve("LUMEN_PLAYGROUND=true", "LUMEN_INTROSPECTION=true")
	status, _ = harness.Fetch(t, "GET", r.PlaygroundURL, "", "")
	require.Equal(t, http.StatusOK, status)
	status, _ = harness.Fetch(t, "GET", r.PlaygroundURL+"/config.json", "", "")
	require.Equal(t, http.StatusNotFound, status)
	status, body = harness.Fetch(t, "GET", r.URL+"/schema.graphql", "", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "type Query")
	_, body = harness.Fetch(t, "POST", r.GraphQLURL, key, introspection)
	require.Contains(t, body, `"Query"`)
	require.NotContains(t, p.Stderr.String(), "turns it on")
}
