package storetest_test

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// noDocker is an environment in which no Docker daemon answers and no server is given.
var noDocker = []string{
	"DOCKER_HOST=unix:///nonexistent/docker.sock", "LUMEN_TEST_POSTGRES=", "LUMEN_TEST_DATABASE_URL=",
}

func TestEmbeddedWithoutDocker(t *testing.T) {
	t.Parallel()
	result := rerun(t, "^Test(NewIsMigrated|Contexts)$", noDocker...)

	require.NoError(t, result.err, result.all())
	const line = `(?m)^storetest: the tests run on Postgres \d.*: embedded; testcontainers: no Docker daemon answers`
	require.Regexp(t, line, result.stderr)
	require.Equal(t, 1, strings.Count(result.stderr, "the tests run on"))
	require.NotContains(t, result.stdout, "SKIP")
}

func TestNoEmbeddedWhenTestcontainersIsAskedFor(t *testing.T) {
	t.Parallel()
	result := rerun(t, "^TestNewIsMigrated$", append(noDocker, "LUMEN_TEST_POSTGRES=testcontainers")...)

	require.Error(t, result.err, result.all())
	require.Contains(t, result.stderr, "testcontainers: no Docker daemon answers")
	require.NotContains(t, result.all(), "embedded")
}

// Without a Postgres a test binary ends with one message, however many tests need a database.
func TestNoPostgresIsOneMessage(t *testing.T) {
	t.Parallel()
	result := rerun(t, "^Test(NewIsMigrated|EmptyIsNotMigrated|Contexts|Owner)$",
		append(noDocker, "LUMEN_POSTGRES_BIN=/nowhere")...)

	require.Error(t, result.err, result.all())
	require.Equal(t, 1, strings.Count(result.all(), "there is no Postgres to test with"), result.all())
	for _, reason := range []string{
		"testcontainers: no Docker daemon answers", "embedded: LUMEN_POSTGRES_BIN=/nowhere",
		"set LUMEN_TEST_DATABASE_URL",
	} {
		require.Contains(t, result.stderr, reason)
	}
	require.NotContains(t, result.stdout, "--- FAIL")
}

func TestUnknownValues(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{
		"LUMEN_TEST_POSTGRES=docker", "LUMEN_TEST_OWNER=strong",
		"LUMEN_TEST_DATABASE_URL=host=localhost password=secret",
	} {
		name, _, _ := strings.Cut(variable, "=")
		result := rerun(t, "^TestNewIsMigrated$", "LUMEN_TEST_POSTGRES=", variable)

		require.Error(t, result.err, result.all())
		require.Contains(t, result.all(), name)
		require.NotContains(t, result.all(), "secret")
	}
}

func TestWeakOwner(t *testing.T) { // not parallel, because it looks for leftovers
	db := storetest.New(t)
	// The weak owner begins in this database.
	_, err := db.Superuser().Exec(t.Context(), "GRANT CONNECT ON DATABASE "+db.Superuser().Config().ConnConfig.Database+" TO PUBLIC")
	require.NoError(t, err)
	result := rerun(t, "^Test(Owner|Contexts|EmptyIsNotMigrated|NewIsMigrated|DatabaseIsDroppedWithItsTest)$",
		"LUMEN_TEST_POSTGRES=", "LUMEN_TEST_OWNER=weak", "LUMEN_TEST_DATABASE_URL="+db.SuperuserURL())

	require.NoError(t, result.err, result.all())
	requireNoLeftovers(t, db)
}

// On a managed Postgres the given URL is that of a weak owner.
func TestURLOfAWeakOwner(t *testing.T) { // not parallel, because it looks for leftovers
	db := storetest.New(t)
	// The role that makes these roles has this option. Before Postgres 16, CREATEROLE is enough.
	owner := db.NewRole(t, "CREATEDB CREATEROLE")
	parsed, err := url.Parse(owner)
	require.NoError(t, err)
	_, err = db.Superuser().Exec(t.Context(), "GRANT lumen_app, lumen_janitor TO "+parsed.User.Username()+" WITH ADMIN OPTION")
	require.NoError(t, err)
	result := rerun(t, "^Test(Owner|Contexts|EmptyIsNotMigrated|DatabasesAreIsolated)$",
		"LUMEN_TEST_POSTGRES=", "LUMEN_TEST_OWNER=weak", "LUMEN_TEST_DATABASE_URL="+owner)

	require.NoError(t, result.err, result.all())
	requireNoLeftovers(t, db)
}

// requireNoLeftovers checks a server that no other test binary uses. It skips the check on a shared
// server.
func requireNoLeftovers(t *testing.T, db *storetest.Database) {
	t.Helper()
	if os.Getenv("LUMEN_TEST_DATABASE_URL") != "" {
		return
	}
	var leftovers []string
	require.NoError(t, db.Superuser().QueryRow(t.Context(), `
		SELECT array_agg(name)
		FROM (SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles) AS all_names (name)
		WHERE name LIKE 'lumen\_test\_%' AND NOT starts_with(name, left(current_database(), 23))`).Scan(&leftovers))
	require.Empty(t, leftovers)
}

type result struct {
	stdout, stderr string
	err            error
}

func (r result) all() string { return r.stdout + "\n" + r.stderr }

// rerun runs some tests of this binary in another environment.
func rerun(t *testing.T, tests string, environment ...string) result {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, "-test.run="+tests, "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), environment...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return result{stdout.String(), stderr.String(), err}
}

// connect returns a session that the drop of its database ends.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	return conn
}
