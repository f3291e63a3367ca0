//go:build unix

package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// scratch is a folder that every user may enter. Those that package testing makes are closed to
// other users than root.
var scratch string

// program is a copy of this test binary that every user may run, and fakeNPM an npm that runs the
// shell script beside the path by which it is called.
var program, fakeNPM string

const helperVariable = "LUMEN_EMBEDDED_TEST_FOLDER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(helperVariable); folder != "" {
		help(folder)
	}
	os.Exit(func() int {
		scratch = must(os.MkdirTemp("", "lumen-embedded-"))
		defer os.RemoveAll(scratch)
		check(os.Chmod(scratch, 0o755))
		fallbackDir, systemCache = filepath.Join(scratch, "fallback"), filepath.Join(scratch, "cache")
		// Programs are written before anything forks. A child that has one open for writing would
		// keep the kernel from running it.
		program = filepath.Join(scratch, "helper")
		check(os.WriteFile(program, must(os.ReadFile(must(os.Executable()))), 0o755))
		fakeNPM = filepath.Join(scratch, "npm")
		check(os.WriteFile(fakeNPM, []byte("#!/bin/sh\n. \"${0%/*}/script\"\n"), 0o755))
		for _, major := range []int{13, 14, 16} {
			script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %d.1 (Fake)'\n", major)
			fakePostgres(filepath.Join(scratch, "fake", fmt.Sprint(major), "bin"), script)
		}
		fakePostgres(filepath.Join(scratch, "fake", "broken", "bin"), brokenServer)
		check(os.MkdirAll(filepath.Join(scratch, "fake", "client-only", "bin"), 0o755))
		// Without a Postgres, most tests would fail with the same message.
		if err := findPostgres(); err != nil {
			fmt.Fprintln(os.Stderr, "embedded:", err)
			return 1
		}
		return m.Run()
	}())
}

// findPostgres prints which Postgres the tests start.
func findPostgres() error {
	acct, err := accountFor(scratch)
	if err != nil {
		return err
	}
	notice := func(format string, args ...any) { fmt.Fprintf(os.Stderr, "embedded: "+format+"\n", args...) }
	bin, err := newFinder(Config{}, acct, newProgress(notice)).find(context.Background(), 0)
	if err == nil {
		notice("the tests run on the Postgres in %s", bin)
	}
	return err
}

func fakePostgres(bin, server string) {
	check(os.MkdirAll(bin, 0o755))
	check(os.WriteFile(filepath.Join(bin, "initdb"), []byte("#!/bin/sh\n"), 0o755))
	check(os.WriteFile(filepath.Join(bin, "postgres"), []byte(server), 0o755))
}

// report is the output of a helper process about its server.
type report struct {
	URL, DataDir string
	PID          int // of Postgres
}

// help is the helper process: it runs a server until its standard input ends.
func help(dir string) {
	server := must(Start(context.Background(), Config{DataDir: dir, Parameters: quick}))
	check(json.NewEncoder(os.Stdout).Encode(report{server.URL(), server.DataDir(), postmasterIn(server.DataDir())}))
	_, _ = io.Copy(io.Discard, os.Stdin)
	check(server.Stop())
	os.Exit(0)
}

// startHelper runs the helper as a user (0: this one) and returns it with what it reported.
func startHelper(t *testing.T, dir string, uid uint32) (*exec.Cmd, report, io.Closer) {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), helperVariable+"="+dir)
	cmd.Stderr = os.Stderr
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	require.NoError(t, err, "the helper reports")
	var r report
	require.NoError(t, json.Unmarshal(line, &r))
	return cmd, r, stdin
}

// quick are the settings of servers that do not wait for the disk.
var quick = map[string]string{"fsync": "off"}

// progressLine matches a notice that a step takes long, which depends on the machine.
var progressLine = regexp.MustCompile(` \(\d+ s\)$`)

// start starts a server that the end of the test stops, and returns the notices of its start, except
// for those that a step takes long.
func start(t *testing.T, cfg Config) (*Server, *notices) {
	t.Helper()
	said := &notices{}
	cfg.Notice = func(format string, args ...any) {
		if !progressLine.MatchString(fmt.Sprintf(format, args...)) {
			said.add(format, args...)
		}
	}
	if cfg.Parameters == nil {
		cfg.Parameters = quick
	}
	server, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Stop() })
	return server, said
}

type notices struct {
	mu    sync.Mutex
	lines []string
}

func (n *notices) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

// newFolder returns a path in a fresh folder that every user may enter.
func newFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	return filepath.Join(dir, "data")
}

func postmasterIn(dir string) int {
	home := &folder{path: dir}
	return must(home.readPIDFile()).pid
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	var value string
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&value))
	return value
}

// gone waits until no process has this id.
func gone(t *testing.T, pid int) {
	t.Helper()
	require.NotZero(t, pid)
	isGone := func() bool { return !alive(pid) }
	require.Eventually(t, isGone, 20*time.Second, 10*time.Millisecond, "process %d is still there", pid)
}

func closed(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		require.Fail(t, "Done stays open")
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
