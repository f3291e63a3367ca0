package program

import (
	"net/http"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

func TestServeKeepsPlaygroundAndIntrospectionOff(t *testing.T) {
	t.Parallel()
	const introspection = `{"query":"{ __schema { queryType { name } } }"}`
	db := storetest.New(t)
	key := string(db.Merchant(t, "Acme").ReadKey)
	serve := func(env ...string) (*process, ready) {
		p := launch(t, func(cmd *exec.Cmd) {
			cmd.Env = environment(append(env, "LUMEN_DATABASE_URL="+db.AppURL())...)
		}, "serve", "--addr", "127.0.0.1:0", "--json")
		return p, p.ready(t)
	}

	p, r := serve()
	status, _ := fetch(t, "GET", r.URL+"/playground", "", "")
	require.Equal(t, http.StatusNotFound, status)
	_, body := fetch(t, "POST", r.GraphQLURL, key, introspection)
	require.Contains(t, body, "introspection is not enabled")
	status, body = fetch(t, "GET", r.URL+"/", "", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "LUMEN_PLAYGROUND=true")
	require.Empty(t, r.PlaygroundURL)
	require.Contains(t, p.stderr.String(), "LUMEN_PLAYGROUND=true or --playground turns it on")
	require.Contains(t, p.stderr.String(), "LUMEN_INTROSPECTION=true or --introspection turns it on")

	p, r = serve("LUMEN_PLAYGROUND=true", "LUMEN_INTROSPECTION=true")
	status, _ = fetch(t, "GET", r.PlaygroundURL, "", "")
	require.Equal(t, http.StatusOK, status)
	status, _ = fetch(t, "GET", r.PlaygroundURL+"/config.json", "", "")
	require.Equal(t, http.StatusNotFound, status)
	_, body = fetch(t, "POST", r.GraphQLURL, key, introspection)
	require.Contains(t, body, `"Query"`)
	require.NotContains(t, p.stderr.String(), "turns it on")
}
