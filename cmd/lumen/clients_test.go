//go:build clients

package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// npmRun runs a script of graph/clients and returns what it wrote.
func npmRun(t *testing.T, script string, variables ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "npm", "run", script)
	cmd.Dir = "../../graph/clients"
	cmd.Env = append(environment(variables...), "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// server are the variables of a script that works as a merchant of its own.
func (d *doors) server(t *testing.T) []string {
	t.Helper()
	return []string{"LUMEN_URL=" + d.GraphQLURL, "LUMEN_KEY=" + string(d.Merchant(t, "Acme").WriteKey)}
}

// Each client generates its code from schema.graphql, is compiled strictly, and works against the server.
func TestClients(t *testing.T) {
	d := openDoors(t)
	for _, name := range []string{"typescript", "relay", "genqlient"} {
		t.Run(name, func(t *testing.T) {
			out, err := npmRun(t, name, d.server(t)...)
			t.Log(out)
			require.NoError(t, err, "npm ci in graph/clients comes first")
			require.Contains(t, out, "deleted a customer: it is gone, the others are not\n", "it came to its end")
		})
	}
}

func TestClientsAudit(t *testing.T) {
	out, err := npmRun(t, "audit", openDoors(t, "--introspection").server(t)...)
	t.Log(out)
	require.NoError(t, err)

	t.Run("and it would tell", func(t *testing.T) {
		out, err := npmRun(t, "audit", openDoors(t).server(t)...) // two audits ask for a type
		require.Error(t, err)
		require.Contains(t, out, "56 ok, 3 notice, 1 warn, 1 error\n")
	})
}
