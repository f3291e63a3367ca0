package schema_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/store/embedded"
	"lumen/store/schema"
	"lumen/store/storetest"
)

// fingerprintQuery describes everything that migrations make: tables with their columns, indexes,
// constraints, policies, privileges and triggers, and functions.
const fingerprintQuery = `
WITH tables AS (SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f'))
SELECT line FROM (
    SELECT format('table %s %s owner %s rls %s %s acl %s', relname, relkind, relowner::regrole, relrowsecurity, relforcerowsecurity,
           (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(relacl) AS a)) FROM tables
    UNION ALL SELECT format('column %s.%s %s %s %s %s %s acl %s', t.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation,
           a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attacl)
        FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_attrdef AS d ON d.adrelid = t.oid AND d.adnum = a.attnum
    UNION ALL SELECT 'index ' || pg_get_indexdef(i.indexrelid) FROM pg_index AS i JOIN tables AS t ON t.oid = i.indrelid
    UNION ALL SELECT format('constraint %s %s %s', t.relname, c.conname, pg_get_constraintdef(c.oid)) FROM pg_constraint AS c JOIN tables AS t ON t.oid = c.conrelid
    UNION ALL SELECT format('policy %s', p) FROM pg_policies AS p WHERE p.schemaname = 'public'
    UNION ALL SELECT format('trigger %s', pg_get_triggerdef(g.oid)) FROM pg_trigger AS g JOIN tables AS t ON t.oid = g.tgrelid WHERE NOT g.tgisinternal
    UNION ALL SELECT format('function %s acl %s', pg_get_functiondef(p.oid), p.proacl) FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace
) AS lines (line) ORDER BY 1`

// fingerprint returns the result of fingerprintQuery for the database at url.
func fingerprint(t *testing.T, url string) []string {
	t.Helper()
	return queryLines(t, url, fingerprintQuery)
}

// queryLines returns the text column that a query selects.
func queryLines(t *testing.T, url, query string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	rows, err := conn.Query(t.Context(), query)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return lines
}

// withoutOwnTables drops the lines about the migrator's own two tables.
func withoutOwnTables(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.Contains(line, "lumen_migration") })
}

const stepsQuery = "SELECT name FROM lumen_migrations ORDER BY name"

var allSteps = []string{"0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008"}

var allPending = fmt.Sprintf("%[1]d of %[1]d migrations are pending; run: lumen migrate up", len(allSteps))

// applied returns the names of the applied steps.
func applied(t *testing.T, migrator *schema.Migrator) []string {
	t.Helper()
	steps, err := migrator.Status(t.Context())
	require.NoError(t, err)
	var names []string
	for _, step := range steps {
		if step.AppliedAt != nil {
			require.WithinDuration(t, time.Now(), *step.AppliedAt, time.Hour)
			names = append(names, step.Name)
		}
	}
	return names
}

func stepNames(steps []schema.Migration) []string {
	var names []string
	for _, step := range steps {
		names = append(names, step.Name)
	}
	return names
}

func TestMigrateUpDownUp(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	migrator, plain := db.Migrator(t), db.Service(t)
	require.EqualError(t, schema.CheckMigrations(t.Context(), plain), allPending)

	up, err := migrator.Up(t.Context())
	require.NoError(t, err)
	require.Len(t, up, len(allSteps))
	first := fingerprint(t, db.SuperuserURL())
	require.Equal(t, stepNames(up), applied(t, migrator))
	require.Equal(t, allSteps, queryLines(t, db.SuperuserURL(), stepsQuery))
	require.NoError(t, schema.CheckMigrations(t.Context(), plain))

	again, err := migrator.Up(t.Context())
	require.NoError(t, err)
	require.Empty(t, again)
	require.Equal(t, first, fingerprint(t, db.SuperuserURL()))

	down, err := migrator.Down(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, stepNames(up), stepNames(down))
	for _, step := range down {
		require.Nil(t, step.AppliedAt)
	}
	require.Empty(t, withoutOwnTables(fingerprint(t, db.SuperuserURL())))
	require.Empty(t, applied(t, migrator))
	require.Empty(t, queryLines(t, db.SuperuserURL(), stepsQuery))
	require.EqualError(t, schema.CheckMigrations(t.Context(), plain), allPending)

	down, err = migrator.Down(t.Context())
	require.NoError(t, err)
	require.Empty(t, down)

	up, err = migrator.Up(t.Context())
	require.NoError(t, err)
	require.Len(t, up, len(allSteps))
	require.Equal(t, first, fingerprint(t, db.SuperuserURL()))
	require.NoError(t, schema.CheckMigrations(t.Context(), plain))
	require.NoError(t, schema.CheckRole(t.Context(), plain))
	require.Equal(t, first, fingerprint(t, storetest.New(t).SuperuserURL()))
}

// In the default search path, a schema with the name of the role comes first.
func TestMigrateWithAnotherSearchPath(t *testing.T) {

	t.Parallel()
	db := storetest.Empty(t)
	alter(t, db, `CREATE SCHEMA elsewhere; GRANT ALL ON SCHEMA elsewhere TO PUBLIC;
		DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = elsewhere, public', current_database()); END $$`)
	_, err := db.Migrator(t).Up(t.Context())
	require.NoError(t, err)
	s := db.Service(t)
	require.NoError(t, schema.CheckMigrations(t.Context(), s))
	require.NoError(t, schema.CheckRole(t.Context(), s))
}

func TestMigrationThatFails(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	migrator, plain := db.Migrator(t), db.Service(t)
	alter(t, db, "CREATE TABLE customers_updated_at (foreign_to_lumen int)") // an index of migration 0002 has this name

	_, err := migrator.Up(t.Context())
	require.ErrorContains(t, err, "42P07")
	require.Equal(t, []string{"0001"}, queryLines(t, db.SuperuserURL(), stepsQuery))
	require.Len(t, applied(t, migrator), 1)
	require.EqualError(t, schema.CheckMigrations(t.Context(), plain), fmt.Sprintf("%d of %d migrations are pending; run: lumen migrate up", len(allSteps)-1, len(allSteps)))
	before := fingerprint(t, db.SuperuserURL())
	require.NotContains(t, strings.Join(before, "\n"), "customers_created_at")

	_, err = migrator.Up(t.Context())
	require.ErrorContains(t, err, "42P07")
	require.Equal(t, before, fingerprint(t, db.SuperuserURL()))

	alter(t, db, "DROP TABLE customers_updated_at")
	up, err := migrator.Up(t.Context())
	require.NoError(t, err)
	require.Len(t, up, len(allSteps)-1)
	require.Equal(t, fingerprint(t, storetest.New(t).SuperuserURL()), fingerprint(t, db.SuperuserURL()))
	require.Equal(t, allSteps, queryLines(t, db.SuperuserURL(), stepsQuery))

	// If the last statement of a step fails, the whole step is rolled back.
	_, err = migrator.Down(t.Context())
	require.NoError(t, err)
	alter(t, db, "CREATE TABLE customers_billing_country (taken int)")
	_, err = migrator.Up(t.Context())
	require.ErrorContains(t, err, "42P07")
	alter(t, db, "DROP TABLE customers_billing_country")
	require.Equal(t, before[0:0], slices.DeleteFunc(fingerprint(t, db.SuperuserURL()), func(line string) bool { return !strings.Contains(line, " customers") }))
}

// migrator returns a command that runs this test binary to migrate the database at url, and its
// output.
func migrator(t *testing.T, url string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), migrateVariable+"="+url)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out
}

// migrateTogether starts a migrator for each URL, waits for all of them and returns their outputs,
// sorted.
func migrateTogether(t *testing.T, urls ...string) []string {
	t.Helper()
	type process struct {
		cmd *exec.Cmd
		out *bytes.Buffer
	}
	var processes []process
	for _, url := range urls {
		cmd, out := migrator(t, url)
		require.NoError(t, cmd.Start())
		processes = append(processes, process{cmd, out})
	}
	var outputs []string
	for _, p := range processes {
		require.NoError(t, p.cmd.Wait(), p.out)
		outputs = append(outputs, strings.TrimSpace(p.out.String()))
	}
	slices.Sort(outputs)
	return outputs
}

const migrators = 8

// oneMigrated is the sorted output if one migrator applied all steps and the others found none.
var oneMigrated = append(slices.Repeat([]string{"0"}, migrators-1), strconv.Itoa(len(allSteps)))

func TestConcurrentMigrators(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	require.Equal(t, oneMigrated, migrateTogether(t, slices.Repeat([]string{db.OwnerURL()}, migrators)...))
	require.Equal(t, fingerprint(t, storetest.New(t).SuperuserURL()), fingerprint(t, db.SuperuserURL()))
	require.Equal(t, allSteps, queryLines(t, db.SuperuserURL(), stepsQuery))
}

func TestMigratorThatIsKilled(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)

	// An uncommitted table with the name of an index makes the second step wait in its middle.
	holder, err := db.Superuser().Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) })
	_, err = holder.Exec(t.Context(), "CREATE TABLE customers_user_id (taken int)")
	require.NoError(t, err)
	cmd, out := migrator(t, db.OwnerURL())
	require.NoError(t, cmd.Start())
	const waiting = `SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lumen' AND wait_event_type = 'Lock'`
	require.Eventually(t, func() bool { return len(queryLines(t, db.SuperuserURL(), waiting)) == 1 }, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait(), out)
	require.Equal(t, []string{"0001"}, queryLines(t, db.SuperuserURL(), stepsQuery))

	// The next migrator starts while the backend of the killed one still waits.
	rerun, out := migrator(t, db.OwnerURL())
	require.NoError(t, rerun.Start())
	require.Eventually(t, func() bool { return len(queryLines(t, db.SuperuserURL(), waiting)) == 2 }, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, holder.Rollback(t.Context()))
	require.NoError(t, rerun.Wait(), out)
	require.Equal(t, strconv.Itoa(len(allSteps)-1), strings.TrimSpace(out.String()))

	require.Equal(t, fingerprint(t, storetest.New(t).SuperuserURL()), fingerprint(t, db.SuperuserURL()))
	require.Equal(t, allSteps, queryLines(t, db.SuperuserURL(), stepsQuery))
	const left = `SELECT 'lock of ' || l.pid FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
		WHERE a.datname = current_database() AND (l.locktype = 'advisory' OR a.application_name = 'lumen')`
	require.Eventually(t, func() bool { return len(queryLines(t, db.SuperuserURL(), left)) == 0 }, 10*time.Second, 5*time.Millisecond)
}

// A step and its record are one transaction: if the migrator is killed between the two, neither
// remains.
func TestMigratorThatIsKilledBeforeItRecords(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	_, err := db.Migrator(t).Down(t.Context())
	require.NoError(t, err)
	want := fingerprint(t, db.SuperuserURL())

	holder, err := db.Superuser().Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) })
	_, err = holder.Exec(t.Context(), "LOCK TABLE lumen_migrations IN SHARE MODE") // allows reads, not writes
	require.NoError(t, err)
	cmd, out := migrator(t, db.OwnerURL())
	require.NoError(t, cmd.Start())
	const waiting = `SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lumen' AND wait_event_type = 'Lock'`
	require.Eventually(t, func() bool { return len(queryLines(t, db.SuperuserURL(), waiting)) == 1 }, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait(), out)
	require.Equal(t, want, fingerprint(t, db.SuperuserURL()))
	require.NoError(t, holder.Rollback(t.Context()))

	require.Equal(t, oneMigrated, migrateTogether(t, slices.Repeat([]string{db.OwnerURL()}, migrators)...))
	require.Equal(t, allSteps, queryLines(t, db.SuperuserURL(), stepsQuery))
	require.Equal(t, fingerprint(t, storetest.New(t).SuperuserURL()), fingerprint(t, db.SuperuserURL()))
}

// ownServer starts a Postgres for one test, because roles belong to a whole server.
func ownServer(t *testing.T) *embedded.Server {
	t.Helper()
	folder, err := os.MkdirTemp("", "lumen-server-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o711)) // if the tests run as root, the server runs as another user
	server, err := embedded.Start(t.Context(), embedded.Config{
		DataDir: filepath.Join(folder, "data"), Notice: t.Logf, Parameters: map[string]string{"fsync": "off"},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, server.Stop())
		require.NoError(t, os.RemoveAll(server.DataDir()))
	})
	return server
}

// These tests have a server of their own, because lumen_app belongs to a whole server and must not
// exist there.
func TestMigrateWithoutAppRole(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	admin, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close(context.WithoutCancel(t.Context())) })
	run := func(t *testing.T, statements ...string) {
		t.Helper()
		for _, statement := range statements {
			_, err := admin.Exec(t.Context(), statement)
			require.NoError(t, err, statement)
		}
	}
	url := func(t *testing.T, user, database string) string {
		t.Helper()
		config, err := pgx.ParseConfig(server.URL())
		require.NoError(t, err)
		password := config.Password
		if user != "" {
			password = "password"
		}
		return "postgres://" + cmp.Or(user, config.User) + ":" + password + "@" + strings.SplitN(strings.SplitN(server.URL(), "@", 2)[1], "/", 2)[0] + "/" + database + "?sslmode=disable"
	}
	// fresh creates the databases one and two again, and drops the roles.
	fresh := func(t *testing.T, owner string) {
		t.Helper()
		run(t, "DROP DATABASE IF EXISTS one WITH (FORCE)", "DROP DATABASE IF EXISTS two WITH (FORCE)", "DROP ROLE IF EXISTS lumen_app, lumen_janitor")
		for _, database := range []string{"one", "two"} {
			run(t, "CREATE DATABASE "+database+" OWNER "+owner)
		}
	}
	run(t, "CREATE ROLE weak LOGIN NOSUPERUSER NOBYPASSRLS CREATEROLE PASSWORD 'password'",
		"CREATE ROLE weaker LOGIN NOSUPERUSER NOCREATEROLE PASSWORD 'password'")

	for _, owner := range []string{"", "weak"} {
		t.Run("concurrent migrators of two databases, as the owner "+cmp.Or(owner, "with all privileges"), func(t *testing.T) {
			fresh(t, cmp.Or(owner, admin.Config().User))
			urls := slices.Repeat([]string{url(t, owner, "one"), url(t, owner, "two")}, migrators/2)
			require.Equal(t, append(slices.Repeat([]string{"0"}, migrators-2), slices.Repeat([]string{strconv.Itoa(len(allSteps))}, 2)...), migrateTogether(t, urls...))
			require.Equal(t, fingerprint(t, urls[0]), fingerprint(t, urls[1]))
			for _, u := range urls[:2] {
				require.Equal(t, allSteps, queryLines(t, u, stepsQuery))
			}
			require.Equal(t, []string{"lumen_app f f f f", "lumen_janitor f f f f"}, queryLines(t, urls[0],
				`SELECT concat_ws(' ', rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole) FROM pg_roles
				WHERE rolname IN ('lumen_app', 'lumen_janitor') ORDER BY rolname`))
		})
	}

	t.Run("an owner who may not create roles gets the lines, and nothing is migrated", func(t *testing.T) {
		fresh(t, "weaker")
		migrator, err := schema.Open(url(t, "weaker", "one"))
		require.NoError(t, err)
		defer func() { require.NoError(t, migrator.Close()) }()

		inherits := ""
		if queryLines(t, server.URL(), "SELECT (current_setting('server_version_num')::int >= 160000)::text")[0] == "true" {
			inherits = " WITH INHERIT TRUE, SET TRUE"
		}
		_, err = migrator.Up(t.Context())
		require.EqualError(t, err, "this owner may not create roles; have a superuser or a role with CREATEROLE run these lines, then migrate again:\n"+
			"  CREATE ROLE lumen_app NOLOGIN;\n"+
			"  CREATE ROLE lumen_janitor NOLOGIN;\n"+
			"  GRANT lumen_janitor TO weaker"+inherits+";\n"+
			"  CREATE ROLE lumen_serve LOGIN PASSWORD '...' IN ROLE lumen_app;")
		require.Empty(t, fingerprint(t, url(t, "", "one")))

		for line := range strings.Lines(err.Error()) {
			if statement := strings.TrimSpace(line); regexp.MustCompile("^(CREATE ROLE|GRANT)").MatchString(statement) {
				run(t, strings.Replace(statement, "'...'", "'password'", 1))
			}
		}
		up, err := migrator.Up(t.Context())
		require.NoError(t, err)
		require.Len(t, up, len(allSteps))
		s := storetest.Service(t, url(t, "lumen_serve", "one"), false)
		require.NoError(t, schema.CheckMigrations(t.Context(), s))
		require.NoError(t, schema.CheckRole(t.Context(), s))
		run(t, "DROP DATABASE one WITH (FORCE)", "DROP DATABASE two WITH (FORCE)", "DROP ROLE lumen_serve")
	})
}
