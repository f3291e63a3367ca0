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

// stubborn supervises a shell that ignores what it can, and returns it with its id.
func stubborn(t *testing.T, script string) (*process, int) {
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
	t.Run("passes on how the command ended", func(t *testing.T) {
		t.Parallel()
		p, _ := stubborn(t, "echo $$; exit 7")
		<-p.done
		require.EqualError(t, p.err, "exit status 7")
	})
	t.Run("kills a command that hears nothing", func(t *testing.T) {
		t.Parallel()
		p, pid := stubborn(t, `trap '' INT QUIT; echo $$; while :; do sleep 0.1; done`)
		require.EqualError(t, p.stop(), "exit status 137")
		require.False(t, alive(pid))
	})
	t.Run("ends the command when it is killed itself", func(t *testing.T) {
		t.Parallel()
		p, pid := stubborn(t, `echo $$; while :; do sleep 0.1; done`)
		require.NoError(t, syscall.Kill(p.cmd.Process.Pid, syscall.SIGKILL))
		<-p.done
		gone(t, pid)
	})
}
