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

// Breakable is a Postgres that one test has for itself in order to break it, and a migrated database there. Unlike the
// server that the other tests share it is as a careful operator runs one: on a disk, fsync and all. It ends with its test.
type Breakable struct {
	*Database
	// Folder is for what goes with the server. The user it runs as may enter it.
	Folder string

	t        testing.TB
	programs *embedded.Programs
	data     string
	port     int
	cmd      *exec.Cmd
	ended    chan struct{}
}

// BreakableOptions say how the server differs from the usual one.
type BreakableOptions struct {
	// Settings are lines of postgresql.conf.
	Settings []string
	// DiskSize, such as "128m", puts the data on a disk of its own, which is at Folder/disk. The log of changes stays on
	// another one. It takes root.
	DiskSize string
}

// breakTime bounds each step of the server's: recovering from a crash takes longest.
const breakTime = time.Minute

// NewBreakable starts a server with a migrated database.
func NewBreakable(t testing.TB, options BreakableOptions) *Breakable {
	t.Helper()
	from, err := theMold(t)
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
	// Not before the test's end: a pool of the test's may still be open.
	t.Cleanup(func() { b.cluster.maker.close(); b.cluster.admin.close() })
	return b
}

// fill puts a copy of the mold's data in place, with the configuration.
func (b *Breakable) fill(from *mold, options BreakableOptions) error {
	// The server's user has to get through to its data.
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
			return fmt.Errorf("move the log of changes: %w: %s", err, out)
		}
		if err := os.Symlink(wal, within); err != nil {
			return err
		}
	}
	return b.configure(options.Settings)
}

// mount puts an empty disk of this size in place, which goes with the test.
func (b *Breakable) mount(at, size string) error {
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("lumen-test", at, "tmpfs", 0, "mode=0755,size="+size); err != nil {
		return fmt.Errorf("mount a small disk, which takes root: %w", err)
	}
	b.t.Cleanup(func() {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			b.t.Errorf("storetest: %v", err)
		}
	})
	return nil
}

// configure writes what is this server's own, which counts from the next start on.
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

// Address is where the server listens, or would.
func (b *Breakable) Address() string { return "127.0.0.1:" + strconv.Itoa(b.port) }

// AppURLAt is AppURL by way of somebody who listens at address and passes on.
func (b *Breakable) AppURLAt(address string) string {
	u, err := url.Parse(b.AppURL())
	if err != nil {
		b.t.Fatal("storetest: the server's URL is none")
	}
	u.Host = address
	return u.String()
}

// Start starts a server that was stopped or killed, and returns when it lets clients in.
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

// Log is what the server wrote.
func (b *Breakable) Log() string {
	text, _ := os.ReadFile(b.logPath())
	return string(text)
}

// isReady reads the server's own word in its pid file, as pg_ctl does.
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

// Stop ends the server as `pg_ctl stop -m MODE` does, fast or immediate, and returns when it is gone.
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

// Kill ends the whole server at once, as when the machine loses it: postmaster and children.
func (b *Breakable) Kill() {
	b.t.Helper()
	all := b.Freeze()
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	b.awaitEnd()
	// The next server refuses to start while one lives.
	for deadline := time.Now().Add(breakTime); anyAlive(all); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatal("storetest: a killed server's processes stay")
		}
	}
}

// Freeze stops the whole server where it is, without ending it, and returns its processes.
func (b *Breakable) Freeze() (pids []int) {
	postmaster := b.cmd.Process.Pid
	_ = syscall.Kill(postmaster, syscall.SIGSTOP) // first, so that it makes no more children
	pids = append(children(postmaster), postmaster)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return pids
}

// Thaw lets a server that was frozen go on.
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

// Exec runs statements of the superuser's on a connection of their own, so that it works whatever happened to others.
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

// Forget drops all databases and roles that the server was not made with.
func (b *Breakable) Forget(t testing.TB) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.cluster.server.url)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	defer conn.Close(context.Background())
	for _, query := range []string{
		"SELECT format('DROP DATABASE %I', datname) FROM pg_database WHERE datname NOT IN (current_database(), 'template0', 'template1')",
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

// Programs is the folder of the programs that belong to the server, such as pg_dump.
func (b *Breakable) Programs() string { return filepath.Dir(b.programs.Command("postgres").Path) }

// Connect returns a connection of the superuser's, which the caller closes.
func (b *Breakable) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.SuperuserURL())
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return conn
}

// Sessions counts the sessions that the plain role has open.
func (b *Breakable) Sessions(t testing.TB) (n int) {
	t.Helper()
	conn := b.Connect(t)
	defer conn.Close(context.Background())
	err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", b.cluster.app.user).Scan(&n)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return n
}

// AppUser is the name of the plain role.
func (b *Breakable) AppUser() string { return b.cluster.app.user }
