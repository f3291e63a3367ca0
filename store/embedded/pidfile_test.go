//go:build unix

package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStartRemovesStalePIDFile(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	killed, _ := start(t, Config{DataDir: dir})
	require.NoError(t, syscall.Kill(postmasterIn(dir), syscall.SIGKILL))
	closed(t, killed.Done())
	require.FileExists(t, filepath.Join(dir, "postgres", "postmaster.pid"))

	server, said := start(t, Config{DataDir: dir})
	require.Equal(t, []string{
		"removed a stale postmaster.pid: Postgres was not shut down in order and recovers now",
	}, said.lines)
	require.NoError(t, server.Stop())
}

func TestStartRemovesPIDFileOfUnrelatedProcess(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	server, _ := start(t, Config{DataDir: dir})
	require.NoError(t, server.Stop())

	// Postgres itself takes a process of the same user for a live server.
	acct, err := accountFor(dir)
	require.NoError(t, err)
	unrelated := acct.command(t.Context(), "sleep", "600")
	require.NoError(t, unrelated.Start())
	t.Cleanup(func() {
		_ = unrelated.Process.Kill()
		_ = unrelated.Wait()
	})
	path := filepath.Join(dir, "postgres", "postmaster.pid")
	text := fmt.Sprintf("%d\n%s\n1700000000\n5432\n\n127.0.0.1\n  1 1\nready   \n",
		unrelated.Process.Pid, filepath.Dir(path))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, acct.chown(path))

	_, said := start(t, Config{DataDir: dir})
	require.Equal(t, []string{
		fmt.Sprintf("removed a stale postmaster.pid: process %d is not the Postgres of %s", unrelated.Process.Pid, dir),
	}, said.lines)
	require.True(t, alive(unrelated.Process.Pid))
}
