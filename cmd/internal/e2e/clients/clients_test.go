//go:build clients

package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// npmRun runs a script of graph/clients and returns its output.
func npmRun(t *testing.T, script string, variables ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "npm", "run", script)
	cmd.Dir = "../../../../graph/clients"
	cmd.Env = append(harness.Environment(variables...), "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// server returns the environment variables of a script that works for a new merchant of this
// server.
func server(t *testing.T, d *harness.Server) []string {
	t.Helper()
	return []string{"LUMEN_URL=" + d.GraphQLURL, "LUMEN_KEY=" + string(d.Merchant(t, "Acme").WriteKey)}
}

// Each client generates its code from schema.graphql, is compiled strictly, and works against the
// server. The server of the clients in TypeScript executes only the documents that their tools
// wrote to a manifest, so these clients send ids and no documents.
func TestClients(t *testing.T) {
	for name, manifest := range map[string]string{
		"typescript": "typescript/generated/persisted-documents.json",
		"relay":      "relay/generated/persisted-documents.json",
		"genqlient":  "",
	} {
		t.Run(name, func(t *testing.T) {
			out, err := npmRun(t, "build:"+name)
			require.NoError(t, err, "run npm ci in graph/clients first: %s", out)
			var flags []string
			if manifest != "" {
				flags = []string{"--trusted-documents", "../../../../graph/clients/" + manifest, "--trusted-documents-mode", "only"}
			}
			d := harness.Serve(t, flags...)
			if manifest != "" {
				other := d.GraphQL(t, d.Merchant(t, "Other").ReadKey, "{merchant{id}}", nil)
				require.Contains(t, other.Body, "DOCUMENT_NOT_TRUSTED")
			}
			out, err = npmRun(t, name, server(t, d)...)
			t.Log(out)
			require.NoError(t, err)
			require.Contains(t, out, "deleted a customer: it is gone, the others are not\n", "the client ran to its end")
		})
	}
}

// Where the server executes any document, clients with persisted queries fall back to sending the
// document, whether the operator has trusted some documents or none. Where the server executes only
// trusted documents, the clients get the error that says so.
func TestClientsFallBackFromPersistedQueries(t *testing.T) {
	manifest := filepath.Join(t.TempDir(), "documents.json")
	require.NoError(t, os.WriteFile(manifest, []byte(`{"who":"{merchant{name}}"}`), 0o600))
	for name, flags := range map[string][]string{"none trusted": nil, "some trusted": {"--trusted-documents", manifest}} {
		t.Run(name, func(t *testing.T) {
			out, err := npmRun(t, "persisted", server(t, harness.Serve(t, flags...))...)
			t.Log(out)
			require.NoError(t, err)
			require.Contains(t, out, "apollo fell back by itself\nurql fell back by itself\n")
		})
	}
	t.Run("only trusted", func(t *testing.T) {
		d := harness.Serve(t, "--trusted-documents", manifest, "--trusted-documents-mode", "only")
		out, err := npmRun(t, "persisted", server(t, d)...)
		require.Error(t, err)
		require.Contains(t, out, "this server executes only trusted documents")
	})
}

func TestClientsAudit(t *testing.T) {
	out, err := npmRun(t, "audit", server(t, harness.Serve(t, "--introspection"))...)
	t.Log(out)
	require.NoError(t, err)

	t.Run("without introspection two audits fail", func(t *testing.T) {
		out, err := npmRun(t, "audit", server(t, harness.Serve(t))...) // they query __type
		require.Error(t, err)
		require.Contains(t, out, "56 ok, 3 notice, 1 warn, 1 error\n")
	})
}

func TestClientsSchema(t *testing.T) {
	for _, script := range []string{"lint", "compare"} {
		out, err := npmRun(t, script)
		require.NoError(t, err, out)
	}

	text, err := os.ReadFile("../../../../graph/clients/schema/released.graphql")
	require.NoError(t, err)
	// changed returns the variable that makes the scripts read the released schema with a change.
	changed := func(t *testing.T, from, to string) string {
		t.Helper()
		require.Equal(t, 1, strings.Count(string(text), from), from)
		folder := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(folder, "schema.graphql"), []byte(strings.Replace(string(text), from, to, 1)), 0o644))
		return "LUMEN_SCHEMA=" + folder
	}

	// declared returns the variable that makes the comparison read a list of one breaking change.
	declared := func(t *testing.T, breaking string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "breaking.txt")
		require.NoError(t, os.WriteFile(file, []byte("# Why.\n"+breaking+"\n"), 0o644))
		return "LUMEN_BREAKING=" + file
	}

	const nothing = "LUMEN_BREAKING=/dev/null"

	for rule, change := range map[string][2]string{
		"relay-arguments":   {"    first: Int\n", "    first: String\n"},
		"naming-convention": {"  ASC\n", "  Asc\n"},
	} {
		t.Run("the linter refuses a violation of "+rule, func(t *testing.T) {
			out, err := npmRun(t, "lint", changed(t, change[0], change[1]))
			require.Error(t, err)
			require.Contains(t, out, "@graphql-eslint/"+rule+"\n")
		})
	}

	const cursor = "  \"Where the customer stands in the list, for `after` and `before`.\"\n  cursor: String!\n"
	for breaking, change := range map[string][2]string{
		"ENUM_VALUE_REMOVED InvalidInputReason.WRONG_TYPE":    {"  \"The value has the wrong type.\"\n  WRONG_TYPE\n", ""},
		"FIELD_ARGUMENT_DEFAULT_CHANGED Query.customers.sort": {"direction: DESC}", "direction: ASC}"},
		"FIELD_ARGUMENT_TYPE_CHANGED Query.customers.first":   {"    first: Int\n", "    first: Int!\n"},
		"FIELD_REMOVED CustomerEdge.cursor":                   {cursor, ""},
		"FIELD_TYPE_CHANGED CustomerConnection.totalCount":    {"totalCount: Int!", "totalCount: Int"},
		"INPUT_FIELD_ADDED CustomerFilter.kind":               {"  includeDeleted:", "  kind: Int!\n  includeDeleted:"},
		"OBJECT_TYPE_INTERFACE_REMOVED Merchant":              {"Merchant implements Node", "Merchant"},
	} {
		t.Run("a release refuses "+breaking, func(t *testing.T) {
			schema := changed(t, change[0], change[1])
			out, err := npmRun(t, "compare", schema, nothing)
			require.Error(t, err)
			require.Contains(t, out, "not declared: "+breaking+"\n")
			out, err = npmRun(t, "compare", schema, declared(t, breaking))
			require.NoError(t, err, "a declared change is accepted: %s", out)
		})
	}

	t.Run("a release accepts additions", func(t *testing.T) {
		out, err := npmRun(t, "compare", changed(t, cursor, cursor+"  position: Int\n"), nothing)
		require.NoError(t, err, out)
		require.Contains(t, out, "FIELD_ADDED CustomerEdge.position")
	})

	t.Run("a release refuses the declaration of a change that was not made", func(t *testing.T) {
		out, err := npmRun(t, "compare", changed(t, cursor, cursor), declared(t, "FIELD_REMOVED CustomerEdge.cursor"))
		require.Error(t, err)
		require.Contains(t, out, "declared, but not there: FIELD_REMOVED CustomerEdge.cursor\n")
	})
}
