package e2e

import (
	"bytes"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// withAddress returns the connection string with another address.
func withAddress(t *testing.T, database, address string) string {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	u.Host, u.RawQuery = address, "sslmode=disable"
	return u.String()
}

// startRefusingServer starts a server that refuses each connection with this SQLSTATE until stop is
// called.
func startRefusingServer(t *testing.T, address, code string) (stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			backend := pgproto3.NewBackend(conn, conn)
			if _, err := backend.ReceiveStartupMessage(); err == nil {
				backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: "hunter2"})
				_ = backend.Flush()
			}
			_ = conn.Close()
		}
	})
	stop = sync.OnceFunc(func() { _ = listener.Close(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// TestCommandsWaitForTheDatabase starts serve and migrate before the database, as an orchestrator
// may do. They must wait while no server listens and while Postgres starts up, and then succeed. It
// fails if either error ends the command.
func TestCommandsWaitForTheDatabase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args     []string
		variable string
		database func(t *testing.T) (url string)
		notice   string
	}{
		"serve": {
			[]string{"serve", "--addr", "127.0.0.1:0", "--json"}, "LUMEN_DATABASE_URL",
			func(t *testing.T) string { return storetest.New(t).AppURL() }, `"waiting for the database"`,
		},
		"migrate up": {
			[]string{"migrate", "up", "--json"}, "LUMEN_OWNER_DATABASE_URL",
			func(t *testing.T) string { return storetest.Empty(t).OwnerURL() }, "; waiting for it for up to 20s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database, address := c.database(t), storetest.SteadyAddress(t)
			to, err := url.Parse(database)
			require.NoError(t, err)
			p := harness.Launch(t, func(cmd *exec.Cmd) {
				cmd.Env = harness.Environment(c.variable+"="+withAddress(t, database, address), "LUMEN_START_TIMEOUT=20s")
			}, c.args...)
			waits := func() int { return strings.Count(p.Stderr.String(), c.notice) }
			require.Eventually(t, func() bool { return waits() == 1 }, 10*time.Second, 10*time.Millisecond, p.Stderr)
			stop := startRefusingServer(t, address, "57P03")
			time.Sleep(600 * time.Millisecond)
			require.False(t, p.HasEnded(), p.Stderr)
			stop()
			storetest.NewForwarder(t, address, to.Host)
			line, err := p.Stdout.ReadString('\n')
			require.NoError(t, err, p.Stderr)
			require.Contains(t, line, `{"`)
			require.Equal(t, 1, waits(), p.Stderr)
			password, _ := to.User.Password()
			require.NotContains(t, p.Stderr.String(), password)
			require.Contains(t, p.Stderr.String(), "connection refused")
		})
	}
}

// TestCommandsEndAtOnceOnPermanentDatabaseErrors checks that an error that waiting cannot fix ends
// the command at once, and that a command that waited in vain ends with the same error as one that
// did not wait.
func TestCommandsEndAtOnceOnPermanentDatabaseErrors(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	app, err := url.Parse(db.AppURL())
	require.NoError(t, err)
	nowhere := *app
	nowhere.Path = "/nowhere"
	denied := storetest.SteadyAddress(t)
	startRefusingServer(t, denied, "28P01")
	for name, c := range map[string]struct {
		url, message string
		timeout      string
		atLeast      time.Duration
	}{
		"a password that is refused": {
			url: withAddress(t, db.AppURL(), denied), timeout: "20s",
			message: `lumen: can't log in to .*: the server refuses the user or the password \(28P01\); check both in LUMEN_DATABASE_URL\n$`,
		},
		"no such database": {url: nowhere.String(), timeout: "20s", message: `can't open the database "nowhere" .*: it does not exist \(3D000\)`},
		"nobody for a while": {
			url: withAddress(t, db.AppURL(), "127.0.0.1:1"), timeout: "1s", atLeast: time.Second,
			message: "connection refused; check the host and the port in LUMEN_DATABASE_URL, and that the server runs\n$",
		},
		"no wait": {
			url: withAddress(t, db.AppURL(), "127.0.0.1:1"), timeout: "0s",
			message: "^lumen: [^\n]*connection refused; check the host and the port in LUMEN_DATABASE_URL, and that the server runs\n$",
		},
	} {
		for command, args := range map[string][]string{
			"serve": {"serve", "--addr", "127.0.0.1:0"}, "migrate up": {"migrate", "up"},
		} {
			t.Run(name+", "+command, func(t *testing.T) {
				t.Parallel()
				var stderr bytes.Buffer
				cmd := exec.Command(harness.Program(t), args...)
				cmd.Stderr = &stderr
				cmd.Env = harness.Environment("LUMEN_DATABASE_URL="+c.url, "LUMEN_START_TIMEOUT="+c.timeout)
				began := time.Now()
				require.Error(t, cmd.Run())
				require.Regexp(t, c.message, stderr.String())
				require.NotContains(t, stderr.String(), "hunter2")
				require.Equal(t, c.atLeast > 0, strings.Contains(stderr.String(), "waiting for"))
				require.GreaterOrEqual(t, time.Since(began), c.atLeast)
				require.Less(t, time.Since(began), c.atLeast+5*time.Second)
			})
		}
	}
}

// TestSignalEndsTheWaitForTheDatabase checks that SIGTERM ends serve within 1 s while it waits for
// the database.
func TestSignalEndsTheWaitForTheDatabase(t *testing.T) {
	t.Parallel()
	p := harness.Launch(t, func(cmd *exec.Cmd) {
		cmd.Env = harness.Environment("LUMEN_DATABASE_URL=postgres://user@127.0.0.1:1/db?sslmode=disable")
	}, "serve", "--addr", "127.0.0.1:0")
	waits := func() bool { return strings.Contains(p.Stderr.String(), "waiting for") }
	require.Eventually(t, waits, 10*time.Second, 10*time.Millisecond)
	began := time.Now()
	require.NoError(t, p.Cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, p.Wait(t))
	require.Less(t, time.Since(began), time.Second)
}
