//go:build unix

package embedded

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestStartKeepsDataBetweenRuns(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	first, _ := start(t, Config{DataDir: dir, Parameters: map[string]string{"fsync": "off", "work_mem": "7MB"}})
	require.Equal(t, dir, first.DataDir())

	u, err := url.Parse(first.URL())
	require.NoError(t, err)
	password, _ := u.User.Password()
	kept, err := os.ReadFile(filepath.Join(dir, "password"))
	require.NoError(t, err)
	require.Equal(t, password+"\n", string(kept))
	require.Regexp(t, `^postgres://lumen:\w{20,}@127\.0\.0\.1:\d+/lumen\?sslmode=disable$`, first.URL())
	for name, mode := range map[string]os.FileMode{"password": 0o600, "postgres.log": 0o600, "postgres": 0o700} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}

	for setting, want := range map[string]string{
		"work_mem": "7MB", "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "server_encoding": "UTF8",
	} {
		require.Equal(t, want, query(t, first.URL(), "SELECT current_setting('"+setting+"')"), setting)
	}
	const locale = "SELECT datcollate::text FROM pg_database WHERE datname = current_database()"
	require.Equal(t, "C", query(t, first.URL(), locale))
	group, err := syscall.Getpgid(postmasterIn(dir))
	require.NoError(t, err)
	require.NotEqual(t, syscall.Getpgrp(), group, "Ctrl-C reaches this program first")

	u.User = url.UserPassword("lumen", "wrong")
	_, err = pgx.Connect(t.Context(), u.String())
	require.ErrorContains(t, err, "password authentication failed")

	conn, err := pgx.Connect(t.Context(), first.URL())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE note AS SELECT 'kept'::text AS body")
	require.NoError(t, err)
	postmaster := postmasterIn(dir)
	require.NoError(t, first.Stop(), "with a session open")
	require.NoError(t, first.Stop(), "twice")
	closed(t, first.Done())
	require.False(t, alive(postmaster))

	second, said := start(t, Config{DataDir: dir})
	require.Equal(t, "kept", query(t, second.URL(), "SELECT body FROM note"))
	require.Empty(t, said.lines)
	again, err := os.ReadFile(filepath.Join(dir, "password"))
	require.NoError(t, err)
	require.Equal(t, kept, again)
}

func TestResetDeletesTheData(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	first, _ := start(t, Config{DataDir: dir, Reset: true, Parameters: map[string]string{"fsync": "off"}})
	conn, err := pgx.Connect(t.Context(), first.URL())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE note ()")
	require.NoError(t, err)
	require.NoError(t, first.Stop())

	second, _ := start(t, Config{DataDir: dir, Reset: true, Parameters: map[string]string{"fsync": "off"}})
	require.Equal(t, "0", query(t, second.URL(), "SELECT count(*)::text FROM pg_tables WHERE tablename = 'note'"))
	left, err := filepath.Glob(filepath.Join(dir, initPrefix+"*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestStartRefusesFolderInUse(t *testing.T) {
	t.Parallel()
	t.Run("by another process, which it names", func(t *testing.T) {
		t.Parallel()
		dir := newFolder(t)
		holder, _, _ := startHelper(t, dir, 0)
		_, err := Start(t.Context(), Config{DataDir: dir})
		var inUse *InUseError
		require.ErrorAs(t, err, &inUse)
		require.Equal(t, InUseError{DataDir: dir, PID: holder.Process.Pid}, *inUse)
	})
	t.Run("by this process, until it stops", func(t *testing.T) {
		t.Parallel()
		dir := newFolder(t)
		server, _ := start(t, Config{DataDir: dir})
		_, err := Start(t.Context(), Config{DataDir: dir})
		require.Equal(t, &InUseError{DataDir: dir, PID: os.Getpid()}, err)
		require.NoError(t, server.Stop())
		start(t, Config{DataDir: dir})
	})
}

func TestRunsAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	var uid uint32 // this user
	if os.Geteuid() == 0 {
		uid = 65534
		require.NoError(t, os.Chown(filepath.Dir(dir), int(uid), int(uid)))
	}
	helper, said, stdin := startHelper(t, dir, uid)
	require.Equal(t, dir, said.DataDir)
	require.Equal(t, "lumen", query(t, said.URL, "SELECT current_user::text"))
	stdin.Close()
	require.NoError(t, helper.Wait())
	require.False(t, alive(said.PID))

	// A run as root in between does not take the data away from the user.
	server, _ := start(t, Config{DataDir: dir})
	require.Equal(t, dir, server.DataDir())
	require.NoError(t, server.Stop())
	helper, _, stdin = startHelper(t, dir, uid)
	stdin.Close()
	require.NoError(t, helper.Wait())
}

func TestKilledProgramLeavesNoPostgres(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	helper, said, _ := startHelper(t, dir, 0)
	require.True(t, alive(said.PID))
	require.NoError(t, helper.Process.Kill())
	_ = helper.Wait()
	// This start comes while the old server may still be shutting down.
	server, _ := start(t, Config{DataDir: dir})
	gone(t, said.PID)
	require.Equal(t, "lumen", query(t, server.URL(), "SELECT current_database()::text"))
}

func TestInterruptedFirstStartLeavesNoCluster(t *testing.T) {
	t.Parallel()
	underway := func(dir string) bool {
		made, _ := filepath.Glob(filepath.Join(dir, "initdb-*", "postgres", "base"))
		return len(made) > 0
	}
	t.Run("when its context ends", func(t *testing.T) {
		t.Parallel()
		dir := newFolder(t)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for !underway(dir) && pause(t.Context(), time.Millisecond) == nil {
			}
			cancel()
		}()
		_, err := Start(ctx, Config{DataDir: dir, Parameters: quick})
		require.ErrorIs(t, err, context.Canceled)
		require.NoDirExists(t, filepath.Join(dir, "postgres"))
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "initdb-left", "postgres"), 0o700))
		start(t, Config{DataDir: dir})
		left, err := filepath.Glob(filepath.Join(dir, "initdb-*"))
		require.NoError(t, err)
		require.Empty(t, left)
	})
	t.Run("when the program is killed", func(t *testing.T) {
		t.Parallel()
		dir := newFolder(t)
		helper := exec.Command(program)
		helper.Env = append(os.Environ(), helperVariable+"="+dir)
		require.NoError(t, helper.Start())
		require.Eventually(t, func() bool { return underway(dir) }, 20*time.Second, time.Millisecond)
		require.NoError(t, helper.Process.Kill())
		_ = helper.Wait()
		require.NoDirExists(t, filepath.Join(dir, "postgres"))
		start(t, Config{DataDir: dir})
	})
}

func TestStartShowsTheLogOfAServerThatExits(t *testing.T) {
	t.Parallel()
	parameters := map[string]string{"fsync": "off", "max_connections": "many"}
	_, err := Start(t.Context(), Config{DataDir: newFolder(t), Parameters: parameters})
	require.ErrorContains(t, err, "it exited early (exit status 1)")
	require.ErrorContains(t, err, `FATAL:  invalid value for parameter "max_connections": "many"`)
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Config{DataDir: dir})
	require.ErrorIs(t, err, context.Canceled)
	start(t, Config{DataDir: dir})
}

func TestDoneAfterTheServerDies(t *testing.T) {
	t.Parallel()
	server, _ := start(t, Config{DataDir: newFolder(t)})
	require.NoError(t, syscall.Kill(postmasterIn(server.DataDir()), syscall.SIGKILL))
	closed(t, server.Done())
	require.ErrorContains(t, server.Stop(), "exited by itself (exit status 137)")
	require.ErrorContains(t, server.Stop(), "exited by itself")
}

func TestStartRefusesClusterWithoutPassword(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	server, _ := start(t, Config{DataDir: dir})
	require.NoError(t, server.Stop())
	require.NoError(t, os.Remove(filepath.Join(dir, "password")))
	_, err := Start(t.Context(), Config{DataDir: dir})
	require.ErrorContains(t, err, filepath.Join(dir, "password")+" is missing")
}
