//go:build faults

package faults

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store"
	"lumen/store/storetest"
)

// rounds returns the number of rounds for the short or the long form of the tests.
func rounds(short, inLong int) int {
	if storetest.Long() {
		return inLong
	}
	return short
}

// eventually waits until came returns true, for at most within, and returns how long that took.
func eventually(t testing.TB, within time.Duration, what string, came func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !came() {
		if time.Since(began) > within {
			require.Failf(t, "timeout", "no %s within %v", what, within)
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(began)
	require.LessOrEqual(t, took, within, "%s came late", what)
	return took
}

// service is `lumen serve` as a process that a test can end and restart at the same address.
type service struct {
	url, private string
	env          []string
	p            *harness.Process
	metrics      string // read at the end of the test
}

// startService starts the program on a database. env adds to the variables that every test of
// faults needs.
func startService(t *testing.T, databaseURL string, env ...string) *service {
	t.Helper()
	address, private := storetest.SteadyAddress(t), storetest.SteadyAddress(t)
	s := &service{url: "http://" + address, private: "http://" + private}
	s.env = append([]string{
		"LUMEN_DATABASE_URL=" + databaseURL, "LUMEN_ADDR=" + address, "LUMEN_PRIVATE_ADDR=" + private, "LUMEN_SHUTDOWN_DELAY=0s",
	}, env...)
	s.start(t)
	s.p.Canaries.AlsoIn("metrics", func() string { return s.metrics })
	return s
}

// start starts the process and returns when it listens.
func (s *service) start(t *testing.T) {
	t.Helper()
	s.p = harness.Launch(t, func(cmd *exec.Cmd) {
		cmd.Env = harness.Environment(s.env...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // ends the service if the tests are killed
	}, "serve", "--json")
	s.p.Ready(t)
	p := s.p
	t.Cleanup(func() {
		require.NotContains(t, p.Stderr.String(), `"msg":"panic"`)
		if s.runs() {
			_, s.metrics = probe(s.private + "/metrics")
			require.Contains(t, s.metrics, "lumen_build_info")
		}
	})
}

func (s *service) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	require.NoError(t, s.p.Cmd.Process.Signal(signal))
}

// kill ends the process with SIGKILL.
func (s *service) kill(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
	_ = s.p.Wait(t)
}

// runs reports whether the last started process still runs.
func (s *service) runs() bool {
	return !s.p.HasEnded()
}

// probeClient requests health checks as an orchestrator does: each on a new connection, with a
// timeout of 5 s.
var probeClient = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// probe returns the status and the body of a health check. The status is 0 if there was no reply.
func probe(url string) (status int, body string) {
	response, err := probeClient.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// awaitReadiness waits until /readyz has this status.
func (s *service) awaitReadiness(t testing.TB, status int, within time.Duration) time.Duration {
	t.Helper()
	return eventually(t, within, fmt.Sprintf("status %d of /readyz", status), func() bool {
		got, _ := probe(s.url + "/readyz")
		return got == status
	})
}

// descriptors returns the number of open files and sockets of the process.
func (s *service) descriptors(t testing.TB) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.p.Cmd.Process.Pid))
	require.NoError(t, err)
	return len(open)
}

// poolSize is the maximum number of a service's connections: for customers, credentials and
// readiness.
const poolSize = store.DefaultMaxConnections + 4 + 1

// requireNoLeaks requires that the service returns to the descriptors that it had while idle, plus
// those of pooled connections, and to no more Postgres sessions than its pools may hold.
func requireNoLeaks(t *testing.T, s *service, db *storetest.Breakable, idle int) {
	t.Helper()
	var descriptors, sessions int
	tidy := func() bool {
		descriptors, sessions = s.descriptors(t), db.Sessions(t)
		return descriptors <= idle+poolSize && sessions <= poolSize
	}
	for deadline := time.Now().Add(10 * time.Second); !tidy(); time.Sleep(50 * time.Millisecond) {
		require.False(t, time.Now().After(deadline), "%d descriptors, %d while idle; %d sessions", descriptors, idle, sessions)
	}
	t.Logf("afterwards: %d descriptors (%d while idle), %d sessions", descriptors, idle, sessions)
}

// shorten limits a text to 200 bytes, for messages.
func shorten(text string) string {
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return strings.TrimSpace(text)
}
