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

func TestStandsInWithoutDocker(t *testing.T) {
	t.Parallel()
	result := rerun(t, "^TestNewIsMigrated$", "DOCKER_HOST=unix:///nonexistent/docker.sock", "LUMEN_TEST_POSTGRES=", "LUMEN_TEST_DATABASE_URL=")

	require.NoError(t, result.err, result.all())
	require.Contains(t, result.stderr, "storetest: the embedded Postgres takes testcontainers' place: no Docker daemon answers")
	require.Equal(t, 1, strings.Count(result.stderr, "takes testcontainers' place"))
	require.NotContains(t, result.stdout, "SKIP")
}

func TestRefusesToStandIn(t *testing.T) {
	t.Parallel()
	result := rerun(t, "^TestNewIsMigrated$", "DOCKER_HOST=unix:///nonexistent/docker.sock", "LUMEN_TEST_POSTGRES=testcontainers", "LUMEN_TEST_DATABASE_URL=")

	require.Error(t, result.err, result.all())
	require.Contains(t, result.stdout, "no Docker daemon answers")
	require.NotContains(t, result.stderr, "takes testcontainers' place")
}

func TestRefusesWordsItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"LUMEN_TEST_POSTGRES=docker", "LUMEN_TEST_OWNER=strong", "LUMEN_TEST_DATABASE_URL=host=localhost password=secret"} {
		name, _, _ := strings.Cut(variable, "=")
		result := rerun(t, "^TestNewIsMigrated$", "LUMEN_TEST_POSTGRES=", variable)

		require.Error(t, result.err, result.all())
		require.Contains(t, result.stdout, name)
		require.NotContains(t, result.all(), "secret")
	}
}

func TestWeakOwner(t *testing.T) { // alone, because it looks for leftovers
	db := storetest.New(t)
	result := rerun(t, "^Test(Owner|Contexts|EmptyIsNotMigrated|NewIsMigrated|DatabaseGoesWithItsTest)$",
		"LUMEN_TEST_POSTGRES=", "LUMEN_TEST_OWNER=weak", "LUMEN_TEST_DATABASE_URL="+db.SuperuserURL())

	require.NoError(t, result.err, result.all())
	requireNothingOfOthers(t, db)
}

// A managed Postgres: the URL that is given is a weak owner's already.
func TestURLOfAWeakOwner(t *testing.T) { // alone, because it looks for leftovers
	db := storetest.New(t)
	// As the one who made lumen_app would be; before Postgres 16 the CREATEROLE is enough.
	owner := db.NewRole(t, "CREATEDB CREATEROLE")
	parsed, err := url.Parse(owner)
	require.NoError(t, err)
	_, err = db.Superuser().Exec(t.Context(), "GRANT lumen_app TO "+parsed.User.Username()+" WITH ADMIN OPTION")
	require.NoError(t, err)
	result := rerun(t, "^Test(Owner|Contexts|EmptyIsNotMigrated|DatabasesAreIsolated)$",
		"LUMEN_TEST_POSTGRES=", "LUMEN_TEST_OWNER=weak", "LUMEN_TEST_DATABASE_URL="+owner)

	require.NoError(t, result.err, result.all())
	requireNothingOfOthers(t, db)
}

// requireNothingOfOthers holds only on a server that no other test binary uses right now.
func requireNothingOfOthers(t *testing.T, db *storetest.Database) {
	t.Helper()
	if os.Getenv("LUMEN_TEST_DATABASE_URL") != "" {
		return
	}
	var names []string
	require.NoError(t, db.Superuser().QueryRow(t.Context(), `
		SELECT array_agg(name) FROM (SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles) AS all_names (name)
		WHERE name LIKE 'lumen\_test\_%' AND NOT starts_with(name, left(current_database(), 23))`).Scan(&names))
	require.Empty(t, names)
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

// connect leaves the session open: it ends with its database.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	return conn
}
