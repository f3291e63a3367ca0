package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store"
	"lumen/store/schema"
	"lumen/store/storetest"
)

// TestMigrateDownNeedsConfirmation runs "migrate down" with input from a pipe, as a script does. It
// must undo nothing unless --yes is given, whatever the input is, and must say what it would
// delete.
func TestMigrateDownNeedsConfirmation(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	for _, name := range []string{"One", "Two"} {
		m := db.Merchant(t, name)
		for _, email := range []string{"a@x.io", "b@x.io"} {
			created, err := s.Customers.Create(db.Context(t, m), store.Input{"email": email}, store.WriteOptions{})
			require.NoError(t, err)
			if email == "b@x.io" {
				_, err := s.Customers.Delete(db.Context(t, m), created.ID, store.WriteOptions{})
				require.NoError(t, err)
			}
		}
	}
	steps := func(t *testing.T) (applied int) {
		t.Helper()
		all, err := db.Migrator(t).Status(t.Context())
		require.NoError(t, err)
		for _, step := range all {
			if step.AppliedAt != nil {
				applied++
			}
		}
		return applied
	}
	all := steps(t)
	down := func(input string, flags ...string) (string, error) {
		cmd := exec.Command(harness.Program(t), append([]string{"migrate", "down", "--owner-database-url", db.OwnerURL()}, flags...)...)
		cmd.Env = harness.Environment()
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, input := range []string{"", "n\n", "no\n", "y\n", "yes\n"} {
		for _, flags := range [][]string{nil, {"--json"}} {
			out, err := down(input, flags...)
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, 1, exit.ExitCode())
			require.Equal(t, "lumen: nothing was undone: this undoes 0001, 0002, 0003, 0004, 0005, 0006, 0007, 0008 and deletes 2 merchants, all API keys, 4 customers, "+
				"the keys that sign access tokens, the log of changes; "+
				"confirm with --yes, or at a terminal\n", out)
		}
	}
	require.Equal(t, all, steps(t))
	_, err := schema.Check(t.Context(), db.Service(t))
	require.NoError(t, err, "a refused migrate down must not change row-level security")

	out, err := down("n\n", "--yes")
	require.NoError(t, err, out)
	require.Contains(t, out, "Undone 0001_merchants\n")
	require.Zero(t, steps(t))
	out, err = down("")
	require.NoError(t, err, out)
	require.Equal(t, "Nothing to do.\n", out)
}

// TestMigrateRekey runs "migrate rekey", which an operator runs after the last server of the old
// version has stopped. It must compute outdated email keys again, and change nothing when it is
// repeated.
func TestMigrateRekey(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	created, err := db.Store(t).Customers.Create(db.Context(t, db.Merchant(t, "One")), store.Input{"email": "a@straße.example"}, store.WriteOptions{})
	require.NoError(t, err)
	_, err = db.Superuser().Exec(t.Context(), `UPDATE customers SET email_key = 'a@strasse.example' WHERE id = $1`, created.ID)
	require.NoError(t, err)
	rekey := func(flags ...string) string {
		cmd := exec.Command(harness.Program(t), append([]string{"migrate", "rekey", "--owner-database-url", db.OwnerURL()}, flags...)...)
		cmd.Env = harness.Environment()
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	require.Equal(t, "Rows read: 1\nRows with new keys: 1\nRows that keep an email address that is refused today: 0\n", rekey())
	require.JSONEq(t, `{"rows":1,"changed":0,"refused":0}`, rekey("--json"))
}
