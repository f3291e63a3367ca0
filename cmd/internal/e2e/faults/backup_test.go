//go:build faults

package faults

import (
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// TestFaultsBackupRestores runs the backup commands of the operator's manual as they are printed. It
// dumps one server while clients write to it, and restores the dump on another server, which has
// neither the roles nor the database. The service must work there as before.
func TestFaultsBackupRestores(t *testing.T) {
	t.Parallel()
	from, to := storetest.NewBreakable(t, storetest.BreakableOptions{}), storetest.NewBreakable(t, storetest.BreakableOptions{})
	m, other := from.Merchant(t, "Kept"), from.Merchant(t, "Other")
	from.Fill(t, m, 300)
	from.Fill(t, other, 20)
	before := startService(t, from.AppURL())
	list := func(s *service, m storetest.Merchant) string {
		status, body := harness.Fetch(t, "GET", s.url+"/api/customers?sort=createdAt", string(m.WriteKey), "")
		require.Equal(t, 200, status, body)
		return body
	}
	kept, others := list(before, m), list(before, other)

	to.Forget(t)
	dump, restore := backupCommands(t, from)
	folder := t.TempDir()
	runCommands(t, from, folder, dump)
	later := startWriters(t, 1, before.url, m, &exchangeLog{})
	later.awaitMore(t, 1)
	later.stop() // the dump does not contain these writes
	runCommands(t, to, folder, restore)

	after := startService(t, to.AppURL())
	after.awaitReadiness(t, 200, 5*time.Second)
	require.Equal(t, kept, list(after, m))
	require.Equal(t, others, list(after, other))
	status, body := harness.Fetch(t, "POST", after.url+"/api/customers", string(m.WriteKey), `{"email":"new@example.com"}`)
	require.Equal(t, 201, status, body)
	require.Equal(t, others, list(after, other), "another merchant's create must not show here")
}

// backupCommands returns the commands of the operator's manual, with the test's own names.
func backupCommands(t *testing.T, db *storetest.Breakable) (dump, restore string) {
	t.Helper()
	manual, err := os.ReadFile("../../../lumen/README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)\n## Backup\n.*?```sh\n(.*?)```.*?```sh\n(.*?)```").FindStringSubmatch(string(manual))
	require.NotNil(t, blocks)
	named := func(raw string) *url.URL {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		return u
	}
	owner := named(db.OwnerURL())
	rename := func(commands string) string {
		commands = strings.ReplaceAll(commands, "lumen_owner", owner.User.Username())
		return regexp.MustCompile(`\blumen\b`).ReplaceAllString(commands, strings.TrimPrefix(owner.Path, "/"))
	}
	return rename(blocks[1]), rename(blocks[2])
}

// runCommands runs shell commands as the superuser of a server.
func runCommands(t *testing.T, db *storetest.Breakable, folder, commands string) {
	t.Helper()
	u, err := url.Parse(db.SuperuserURL())
	require.NoError(t, err)
	password, _ := u.User.Password()
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", commands)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "PATH="+db.Programs()+":"+os.Getenv("PATH"),
		"PGHOST="+u.Hostname(), "PGPORT="+u.Port(), "PGUSER="+u.User.Username(), "PGPASSWORD="+password, "PGDATABASE=postgres")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", commands, out)
}
