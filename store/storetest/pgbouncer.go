//go:build pooler

package storetest

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SwallowsSettings is the line of a PgBouncer's configuration with which it accepts and ignores the
// settings of a connection. Without it, PgBouncer refuses them.
const SwallowsSettings = "ignore_startup_parameters = search_path, synchronous_commit, statement_timeout, " +
	"lock_timeout, idle_in_transaction_session_timeout, plan_cache_mode, bytea_output, quote_all_identifiers, " +
	"row_security, default_transaction_isolation"

// PgBouncer starts a PgBouncer in front of the database and returns AppURL through it. PgBouncer
// runs in transaction mode with this number of connections to the server and with the lines in
// settings; all else is its default. It is stopped when t has ended. Without the program the test
// fails.
func (d *Database) PgBouncer(t testing.TB, connections int, settings ...string) string {
	t.Helper()
	return d.PgBouncerFor(t, d.AppURL(), connections, settings...)
}

// PgBouncerFor is PgBouncer for another login, by its URL.
func (d *Database) PgBouncerFor(t testing.TB, login string, connections int, settings ...string) string {
	t.Helper()
	server, err := url.Parse(login)
	if err != nil {
		t.Fatal("storetest: the server's URL is not a URL")
	}
	password, _ := server.User.Password()
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		// Only this user, and that of PgBouncer, may enter the folder.
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatalf("storetest: %v", err)
		}
		return path
	}
	users := write("users", fmt.Sprintf("%q %q\n", server.User.Username(), password))
	args := []string{}
	if os.Geteuid() == 0 { // it refuses to run as root
		args = append(args, "-u", "nobody")
		if err := os.Chmod(filepath.Dir(folder), 0o711); err != nil {
			t.Fatalf("storetest: %v", err)
		}
	}

	// Another program may take the port before PgBouncer does.
	for try := 1; ; try++ {
		address := freeAddress(t)
		host, port, _ := net.SplitHostPort(address)
		config := write("config", fmt.Sprintf(`[databases]
%s = host=%s port=%s
[pgbouncer]
listen_addr = %s
listen_port = %s
unix_socket_dir =
auth_file = %s
pool_mode = transaction
default_pool_size = %d
%s
`, d.name, server.Hostname(), server.Port(), host, port, users, connections, strings.Join(settings, "\n")))
		log, up := runPgBouncer(t, address, append(args, config)...)
		if up {
			server.Host = address
			return server.String()
		}
		if try == 3 || !strings.Contains(log, "Address already in use") {
			t.Fatalf("storetest: PgBouncer did not start:\n%s", log)
		}
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// runPgBouncer starts PgBouncer and returns when it listens. If it exits before that, log is its
// output.
func runPgBouncer(t testing.TB, address string, args ...string) (log string, up bool) {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // Debian's place, which is not on every PATH
	}
	var output bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Dir = "/"
	if err := cmd.Start(); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // unlike SIGINT, it does not wait for clients
		<-ended
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			t.Cleanup(stop)
			return "", true
		}
		select {
		case <-ended:
			return output.String(), false
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			stop()
			return output.String(), false
		}
	}
}
