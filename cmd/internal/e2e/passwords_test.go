package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// TestNoPasswordIsPrinted runs commands with malformed connection strings. None may print the
// password. The variables PGHOST, PGPORT and PGSSLMODE name a server, since pgx would send the rest
// of some strings to it as the name of a parameter, and the server would repeat that in its error.
func TestNoPasswordIsPrinted(t *testing.T) {
	t.Parallel()
	const password = "hunter2"
	for _, url := range []string{
		`"postgres://u:hunter2@127.0.0.1:1/db?sslmode=disable"`,
		`'postgres://u:hunter2@127.0.0.1:1/db?sslmode=disable'`,
		" postgres://u:hunter2@127.0.0.1:1/db?sslmode=disable\n",
		"postgres://u:hunter2@127.0.0.1:1/db?sslmode=disable&\nx=y",
		"postgres://u:hun@ter2hunter2@127.0.0.1:1/db",
		"mysql://u:hunter2@127.0.0.1:1/db?x=y",
		"postgres://u:hunter2@127.0.0.1:1/db?sslmode=disable",
		"postgres://u:hunter2@hunter2.invalid@nowhere.invalid/db",
		"psql postgres://u:hunter2@127.0.0.1:1/db?sslmode=disable",
		"DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/db",
	} {
		for name, args := range map[string][]string{
			"serve": {"serve", "--addr", "127.0.0.1:0"}, "migrate up": {"migrate", "up"}, "migrate down": {"migrate", "down", "--yes"},
			"merchant list": {"merchant", "list"},
		} {
			t.Run(name+" "+url, func(t *testing.T) {
				t.Parallel()
				cmd := exec.Command(harness.Program(t), args...)
				cmd.Env = harness.Environment("PGHOST=127.0.0.1", "PGPORT=1", "PGSSLMODE=disable", "LUMEN_DATABASE_URL="+url, "LUMEN_OWNER_DATABASE_URL="+url,
					"LUMEN_START_TIMEOUT=0s")
				out, err := cmd.CombinedOutput()
				require.Error(t, err)
				require.NotContains(t, string(out), password)
				require.Equal(t, 1, strings.Count(string(out), "\n"), string(out))
			})
		}
	}
	// A command must not print a URL that is given as a wrong argument either.
	for _, args := range [][]string{
		{"serve", "postgres://u:hunter2@127.0.0.1:1/db"}, {"migrate", "up", "postgresql://u:hunter2@127.0.0.1:1/db?x=y"},
		{"serve", "--databse-url=postgres://u:hunter2@127.0.0.1:1/db"}, {"serve", "--playground=postgres://u:hunter2@127.0.0.1:1/db"},
		{"serve", "host=h password=hunter2"}, {"serve", "postgres://u:hun hunter2@h/db"}, {"migrate", "--playground", "postgres://u:\"hunter2@h/db"},
	} {
		cmd := exec.Command(harness.Program(t), args...)
		cmd.Env = harness.Environment()
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.NotContains(t, string(out), password)
	}
}
