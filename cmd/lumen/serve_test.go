package main

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// refuses runs serve and returns the one line with which it refused.
func refuses(t *testing.T, env ...string) string {
	t.Helper()
	p := launch(t, func(cmd *exec.Cmd) { cmd.Env = environment(env...) }, "serve", "--addr", "127.0.0.1:0")
	var exit *exec.ExitError
	require.ErrorAs(t, p.wait(t), &exit, p.stderr.String())
	require.Positive(t, exit.ExitCode())
	line := p.stderr.String()
	require.Equal(t, 1, strings.Count(line, "\n"), line)
	return line
}

func TestServeRefusesAnUnsafeDatabase(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		url   func(t *testing.T, db *storetest.Database) string
		alter string
		says  []string
	}{
		"a superuser":         {url: func(t *testing.T, db *storetest.Database) string { return db.NewRole(t, "SUPERUSER") }, says: []string{"is a superuser", "mend it with: CREATE ROLE lumen_serve"}},
		"BYPASSRLS":           {url: func(t *testing.T, db *storetest.Database) string { return db.NewRole(t, "BYPASSRLS IN ROLE lumen_app") }, says: []string{"has BYPASSRLS", "mend it with: ALTER ROLE", "NOBYPASSRLS"}},
		"no member":           {url: func(t *testing.T, db *storetest.Database) string { return db.NewRole(t, "") }, says: []string{"mend it with"}},
		"the owner":           {url: func(_ *testing.T, db *storetest.Database) string { return db.OwnerURL() }, says: []string{"mend it with: CREATE ROLE lumen_serve"}},
		"RLS off":             {alter: "ALTER TABLE customers DISABLE ROW LEVEL SECURITY", says: []string{"row-level security is not enabled and forced on table customers", "mend it with: ALTER TABLE customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"}},
		"FORCE off":           {alter: "ALTER TABLE customers NO FORCE ROW LEVEL SECURITY", says: []string{"row-level security is not enabled and forced on table customers", "mend it with: ALTER TABLE customers"}},
		"a pending migration": {alter: "DELETE FROM lumen_migrations WHERE name LIKE '0002%'", says: []string{"1 of 3 migrations are pending; run: lumen migrate up"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			url := db.AppURL()
			if test.url != nil {
				url = test.url(t, db)
			}
			if test.alter != "" {
				_, err := db.Superuser().Exec(t.Context(), test.alter)
				require.NoError(t, err)
			}
			line := refuses(t, "LUMEN_DATABASE_URL="+url)
			require.Contains(t, line, "lumen: refusing to serve: ")
			for _, words := range test.says {
				require.Contains(t, line, words)
			}
		})
	}
}

func TestServeRefusesAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	line := refuses(t, "LUMEN_DATABASE_URL="+storetest.Empty(t).AppURL())
	require.Equal(t, "lumen: refusing to serve: 3 of 3 migrations are pending; run: lumen migrate up\n", line)
}

func TestServeReportsAllFaultsOfItsConfigurationAtOnce(t *testing.T) {
	t.Parallel()
	require.Equal(t,
		"lumen: LUMEN_DATABASE_URL is not set; set it to a URL like postgres://lumen_serve:password@host:5432/lumen\n",
		refuses(t))

	line := refuses(t, "LUMEN_DATABASE_URL=postgres://user:hunter2@host:notaport/db", "LUMEN_LOG_FORMAT=xml")
	require.Equal(t, "lumen: LUMEN_DATABASE_URL is not a Postgres connection URL; it looks like postgres://user:password@host:5432/database; "+
		"LUMEN_LOG_FORMAT is neither json nor text\n", line)

	require.Contains(t, refuses(t, "LUMEN_INTROSPECTION=perhaps"), "--introspection")
}

func TestServeDoesNotPrintThePasswordOfADatabaseItCannotReach(t *testing.T) {
	t.Parallel()
	line := refuses(t, "LUMEN_DATABASE_URL=postgres://user:hunter2@127.0.0.1:1/db?sslmode=disable")
	require.NotContains(t, line, "hunter2")
	require.Regexp(t, `^lumen: can't reach the database: .*127\.0\.0\.1:1.*; check its URL and that it runs\n$`, line)
}

func TestAnErrorKeepsTheLinesThatAreToBePasted(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.Equal(t, 1, terminal{err: &out}.fail(errors.New("run these:\n  ONE;\n  TWO;"), 1))
	require.Equal(t, "lumen: run these:\n  ONE;\n  TWO;\n", out.String())
}

func TestURLsOfAnUnspecifiedAddressAreOnesThatWork(t *testing.T) {
	t.Parallel()
	for _, address := range []string{":0", "0.0.0.0:0", "127.0.0.1:0"} {
		listener, err := net.Listen("tcp", address)
		require.NoError(t, err)
		require.Regexp(t, `^http://127\.0\.0\.1:\d+$`, urlsOf(listener, false).URL)
		require.NoError(t, listener.Close())
	}
}
