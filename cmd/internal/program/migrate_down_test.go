package program

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/storetest"
)

// The standard input of a script confirms nothing.
func TestMigrateDownAsksAPerson(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	for _, name := range []string{"One", "Two"} {
		m := db.Merchant(t, name)
		for _, email := range []string{"a@x.io", "b@x.io"} {
			created, err := s.Customers.Create(db.Context(t, m), store.CustomerInput{Email: store.Set(email)})
			require.NoError(t, err)
			if email == "b@x.io" {
				_, err := s.Customers.Delete(db.Context(t, m), created.ID)
				require.NoError(t, err)
			}
		}
	}
	steps := func(t *testing.T) (applied int) {
		t.Helper()
		all, err := db.Owner(t).Migrations(t.Context())
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
		cmd := exec.Command(built(t), append([]string{"migrate", "down", "--owner-database-url", db.OwnerURL()}, flags...)...)
		cmd.Env = environment()
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
			require.Equal(t, "lumen: this undoes 0001, 0002, 0003, 0004 and deletes 2 merchants, all API keys, 4 customers, "+
				"the keys that sign access tokens; "+
				"run it with --yes, or at a terminal; nothing was undone\n", out)
		}
	}
	require.Equal(t, all, steps(t))
	require.NoError(t, s.CheckRole(t.Context()), "row-level security is as it was")

	out, err := down("n\n", "--yes")
	require.NoError(t, err, out)
	require.Contains(t, out, "Undone 0001_merchants\n")
	require.Zero(t, steps(t))
	out, err = down("")
	require.NoError(t, err, out)
	require.Equal(t, "Nothing to do.\n", out)
}

func TestAPersonAtATerminalConfirms(t *testing.T) {
	t.Parallel()
	loss := store.Loss{Steps: []string{"0001", "0002"}, Merchants: 1, Customers: 0}
	for input, confirms := range map[string]bool{"yes\n": true, "yes": true, "": false, "y\n": false, "no\n": false, "YES\n": false, "\nyes\n": false} {
		var shown bytes.Buffer
		err := terminal{err: &shown}.confirmLoss(loss, strings.NewReader(input), true)
		require.Equal(t, confirms, err == nil, "%q", input)
		require.Equal(t, "Careful: this undoes 0001, 0002 and deletes 1 merchant, all API keys, 0 customers.\nType yes to go on: ", shown.String())
	}
}

// A schema that grew by a step loses that step alone.
func TestMigrateDownNamesNothingThatStays(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Merchant(t, "Stays")
	_, err := db.Superuser().Exec(t.Context(), "UPDATE lumen_migrations SET group_id = 2 WHERE name = '0004'")
	require.NoError(t, err)
	loss, err := db.Owner(t).CountLoss(t.Context())
	require.NoError(t, err)
	require.Equal(t, store.Loss{Steps: []string{"0004"}}, loss)
	require.Empty(t, loss.Tables())
	loss, err = storetest.Empty(t).Owner(t).CountLoss(t.Context())
	require.NoError(t, err)
	require.Empty(t, loss.Steps)
}
