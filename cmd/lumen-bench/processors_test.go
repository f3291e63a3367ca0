//go:build long

package main

import (
	"os"
	"strconv"
	"testing"

	"github.com/shirou/gopsutil/v4/process"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// apart gives one processor to the generator, which is this process, until the test is over, and
// the others to the server and Postgres. Floods come from other machines, so the server must not
// pay for sending them.
func apart(t *testing.T, s *server) {
	t.Helper()
	own := unix.CPUSet{}
	require.NoError(t, unix.SchedGetaffinity(0, &own))
	var here, there unix.CPUSet
	last := 0
	for cpu := range len(own) * strconv.IntSize {
		if own.IsSet(cpu) {
			last = cpu
			there.Set(cpu)
		}
	}
	here.Set(last)
	there.Clear(last)
	require.Positive(t, there.Count(), "needs two processors")
	t.Cleanup(func() {
		pin(t, os.Getpid(), &own)
		pinPostgres(t, s, &own)
	})
	pin(t, os.Getpid(), &here)
	pin(t, int(s.process.Pid), &there)
	pinPostgres(t, s, &there)
}

func pinPostgres(t *testing.T, s *server, to *unix.CPUSet) {
	t.Helper()
	pin(t, int(s.postgres.Pid), to)
	backends, err := s.postgres.Children()
	require.NoError(t, err)
	for _, backend := range backends {
		if running, _ := process.PidExists(backend.Pid); running {
			pin(t, int(backend.Pid), to)
		}
	}
}

// pin makes all threads of a process run on some processors only. Threads that it starts later
// inherit this.
func pin(t *testing.T, pid int, to *unix.CPUSet) {
	t.Helper()
	threads, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	require.NoError(t, err)
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		require.NoError(t, err)
		if err := unix.SchedSetaffinity(id, to); err != unix.ESRCH { // a thread, or a backend, may have ended
			require.NoError(t, err)
		}
	}
}
