//go:build unix

package embedded

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// superviseShell supervises a shell that prints its process id, and returns it with that id.
func superviseShell(t *testing.T, script string) (*process, int) {
	t.Helper()
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	require.NoError(t, err)
	t.Cleanup(func() { output.Close() })
	acct, err := accountFor(t.TempDir())
	require.NoError(t, err)
	p, err := supervise(acct, time.Second, output, "/bin/sh", "-c", script)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.stop() })
	var pid int
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(output.Name())
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid != 0 && strings.HasSuffix(string(text), "\n")
	}, 10*time.Second, time.Millisecond)
	return p, pid
}

func TestSupervisor(t *testing.T) {
	t.Parallel()
	t.Run("returns how the command ended", func(t *testing.T) {
		t.Parallel()
		p, _ := superviseShell(t, "echo $$; exit 7")
		<-p.done
		require.EqualError(t, p.err, "exit status 7")
	})
	t.Run("kills a command that ignores signals", func(t *testing.T) {
		t.Parallel()
		p, pid := superviseShell(t, `trap '' INT QUIT; echo $$; while :; do sleep 0.1; done`)
		require.EqualError(t, p.stop(), "exit status 137")
		require.False(t, alive(pid))
	})
	t.Run("ends the command when the supervisor is killed", func(t *testing.T) {
		t.Parallel()
		p, pid := superviseShell(t, `echo $$; while :; do sleep 0.1; done`)
		require.NoError(t, syscall.Kill(p.cmd.Process.Pid, syscall.SIGKILL))
		<-p.done
		gone(t, pid)
	})
}
