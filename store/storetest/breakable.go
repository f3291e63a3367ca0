//go:build faults

package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lumen/store/embedded"
)

// Breakable is a Postgres that one test has for itself in order to break it, with a migrated
// database. Other tests share a server without fsync, in memory. This one runs as a careful
// operator runs it: with its data on a disk, and with fsync. It is stopped when its test has ended.
type Breakable struct {
	*Database
	// Folder holds the server's files. The user that the server runs as may enter it.
	Folder string

	t        testing.TB
	programs *embedded.Programs
	data     string
	port     int
	cmd      *exec.Cmd
	ended    chan struct{}
}

// BreakableOptions are the differences between a Breakable and the default one.
type BreakableOptions struct {
	// Settings are lines of postgresql.conf.
	Settings []string
	// DiskSize, such as "128m", puts the data on a disk of its own at Folder/disk. The write-ahead
	// log is not on that disk. Only root can mount it.
	DiskSize string
}

// breakTime bounds each step of the server. The recovery from a crash takes longest.
const breakTime = time.Minute

// NewBreakable starts a server with a migrated database.
func NewBreakable(t testing.TB, options BreakableOptions) *Breakable {
	t.Helper()
	from, err := theSnapshot(t)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	b := &Breakable{t: t, Folder: t.TempDir(), programs: from.programs, port: steadyPort(t)}
	if err := errors.Join(os.Chmod(filepath.Dir(b.Folder), 0o711), b.fill(from, options)); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	b.Start()
	t.Cleanup(b.end)
	b.Database = &Database{t: t, cluster: from.clusterAt(b.Address()), name: from.database}
	// These sessions stay open until the test has ended, because a pool of the test may be open.
	t.Cleanup(func() { b.cluster.maker.close(); b.cluster.admin.close() })
	return b
}

// fill puts a copy of the snapshot's data in place, with the configuration.
func (b *Breakable) fill(from *snapshot, options BreakableOptions) error {
	// The server's user must be able to reach its data.
	if err := os.Chmod(b.Folder, 0o711); err != nil {
		return err
	}
	b.data = filepath.Join(b.Folder, "data")
	if options.DiskSize != "" {
		disk := filepath.Join(b.Folder, "disk")
		if err := b.mount(disk, options.DiskSize); err != nil {
			return err
		}
		b.data = filepath.Join(disk, "data")
	}
	if out, err := exec.Command("cp", "-a", from.data, b.data).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the data: %w: %s", err, out)
	}
	if options.DiskSize != "" {
		wal, within := filepath.Join(b.Folder, "wal"), filepath.Join(b.data, "pg_wal")
		if out, err := exec.Command("mv", within, wal).CombinedOutput(); err != nil {
			return fmt.Errorf("move the write-ahead log: %w: %s", err, out)
		}
		if err := os.Symlink(wal, within); err != nil {
			return err
		}
	}
	return b.configure(options.Settings)
}

// mount mounts an empty disk of this size until the test has ended.
func (b *Breakable) mount(at, size string) error {
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("lumen-test", at, "tmpfs", 0, "mode=0755,size="+size); err != nil {
		return fmt.Errorf("mount a small disk, which only root can: %w", err)
	}
	b.t.Cleanup(func() {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			b.t.Errorf("storetest: %v", err)
		}
	})
	return nil
}

// configure writes the settings of this server. They take effect at the next start.
func (b *Breakable) configure(settings []string) error {
	lines := append([]string{
		"port = " + strconv.Itoa(b.port), "listen_addresses = '127.0.0.1'", "unix_socket_directories = ''",
		"fsync = on", "synchronous_commit = on", "shared_buffers = 32MB", "max_wal_size = 64MB", "min_wal_size = 32MB",
	}, settings...)
	file, err := os.OpenFile(filepath.Join(b.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	return errors.Join(err, file.Close())
}

// Address returns the address of the server, running or not.
func (b *Breakable) Address() string { return "127.0.0.1:" + strconv.Itoa(b.port) }

// AppURLAt returns AppURL through a proxy that listens at address.
func (b *Breakable) AppURLAt(address string) string {
	u, err := url.Parse(b.AppURL())
	if err != nil {
		b.t.Fatal("storetest: the server's URL is not a URL")
	}
	u.Host = address
	return u.String()
}

// Start starts a server that was stopped or killed, and returns when it accepts clients.
func (b *Breakable) Start() {
	b.t.Helper()
	log, err := os.OpenFile(b.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatalf("storetest: %v", err)
	}
	defer log.Close()
	b.cmd, b.ended = b.programs.Command("postgres", "-D", b.data), make(chan struct{})
	b.cmd.Stdout, b.cmd.Stderr = log, log
	b.cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT // when the tests are killed
	if err := b.cmd.Start(); err != nil {
		b.t.Fatalf("storetest: %v", err)
	}
	go func(cmd *exec.Cmd, ended chan struct{}) { _ = cmd.Wait(); close(ended) }(b.cmd, b.ended)
	for deadline := time.Now().Add(breakTime); !b.isReady(); time.Sleep(2 * time.Millisecond) {
		if b.hasEnded() || time.Now().After(deadline) {
			b.t.Fatalf("storetest: Postgres did not start:\n%s", b.Log())
		}
	}
}

func (b *Breakable) logPath() string { return filepath.Join(b.Folder, "log") }

// Log returns the server's log.
func (b *Breakable) Log() string {
	text, _ := os.ReadFile(b.logPath())
	return string(text)
}

// isReady reads the state that the server writes to its pid file, as pg_ctl does.
func (b *Breakable) isReady() bool {
	text, _ := os.ReadFile(filepath.Join(b.data, "postmaster.pid"))
	lines := strings.Split(string(text), "\n")
	return len(lines) > 7 && lines[0] == strconv.Itoa(b.cmd.Process.Pid) && strings.TrimSpace(lines[7]) == "ready"
}

func (b *Breakable) hasEnded() bool {
	select {
	case <-b.ended:
		return true
	default:
		return false
	}
}

// Stop ends the server as `pg_ctl stop -m MODE` does, with the mode fast or immediate, and returns
// when the server is gone.
func (b *Breakable) Stop(mode string) {
	b.t.Helper()
	signal, ok := map[string]syscall.Signal{"fast": syscall.SIGINT, "immediate": syscall.SIGQUIT}[mode]
	if !ok {
		b.t.Fatalf("storetest: there is no mode %q", mode)
	}
	_ = b.cmd.Process.Signal(signal)
	b.awaitEnd()
}

func (b *Breakable) awaitEnd() {
	b.t.Helper()
	select {
	case <-b.ended:
	case <-time.After(breakTime):
		b.t.Fatalf("storetest: Postgres did not end:\n%s", b.Log())
	}
}

// Kill kills all processes of the server, as the end of its machine would.
func (b *Breakable) Kill() {
	b.t.Helper()
	all := b.Freeze()
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	b.awaitEnd()
	// The next server refuses to start while one of them lives.
	for deadline := time.Now().Add(breakTime); anyAlive(all); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatal("storetest: processes of a killed server are still alive")
		}
	}
}

// Freeze suspends all processes of the server and returns their ids.
func (b *Breakable) Freeze() (pids []int) {
	postmaster := b.cmd.Process.Pid
	_ = syscall.Kill(postmaster, syscall.SIGSTOP) // first: it must not make more children
	pids = append(children(postmaster), postmaster)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return pids
}

// Thaw resumes a server that was frozen.
func (b *Breakable) Thaw() {
	postmaster := b.cmd.Process.Pid
	for _, pid := range append(children(postmaster), postmaster) {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

func (b *Breakable) end() {
	if b.hasEnded() {
		return
	}
	b.Thaw()
	_ = b.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-b.ended:
	case <-time.After(10 * time.Second):
		b.Kill()
	}
}

// Exec runs statements as the superuser, on a new connection: the test may have broken the others.
func (b *Breakable) Exec(t testing.TB, statements ...string) {
	t.Helper()
	conn := b.Connect(t)
	defer conn.Close(context.Background())
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("storetest: %s: %v", statement, err)
		}
	}
}

// Forget drops all databases and roles that were made after the server's first start.
func (b *Breakable) Forget(t testing.TB) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.cluster.server.url)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	defer conn.Close(context.Background())
	for _, query := range []string{
		"SELECT format('DROP DATABASE %I', datname) FROM pg_database" +
			" WHERE datname NOT IN (current_database(), 'template0', 'template1')",
		"SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE rolname <> current_user AND rolname !~ '^pg_'",
	} {
		rows, _ := conn.Query(t.Context(), query)
		statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("storetest: %v", err)
		}
		for _, statement := range statements {
			if _, err := conn.Exec(t.Context(), statement); err != nil {
				t.Fatalf("storetest: %s: %v", statement, err)
			}
		}
	}
}

// Programs returns the folder of the server's programs, such as pg_dump.
func (b *Breakable) Programs() string { return filepath.Dir(b.programs.Command("postgres").Path) }

// Connect returns a connection of the superuser. The caller closes it.
func (b *Breakable) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.SuperuserURL())
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return conn
}

// Sessions counts the open sessions of the service's role.
func (b *Breakable) Sessions(t testing.TB) (n int) {
	t.Helper()
	conn := b.Connect(t)
	defer conn.Close(context.Background())
	const query = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1"
	err := conn.QueryRow(t.Context(), query, b.cluster.app.user).Scan(&n)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return n
}

// AppUser returns the name of the service's role.
func (b *Breakable) AppUser() string { return b.cluster.app.user }
