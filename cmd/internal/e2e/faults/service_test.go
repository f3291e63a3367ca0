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

// rounds is how often something is done, in the short and in the long form.
func rounds(short, inLong int) int {
	if storetest.Long() {
		return inLong
	}
	return short
}

// eventually waits for what has to come, and returns how long it took.
func eventually(t testing.TB, within time.Duration, what string, came func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !came() {
		if time.Since(began) > within {
			require.Failf(t, "it did not come", "%s within %v", what, within)
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(began)
	require.LessOrEqual(t, took, within, "%s came late", what)
	return took
}

// service is `lumen serve` as a process of its own, which a test ends and starts again at the same address.
type service struct {
	url, private string
	env          []string
	p            *harness.Process
	metrics      string // at the end
}

// startService starts the program on a database. The variables come on top of those that every test of faults needs.
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

// start returns when it listens.
func (s *service) start(t *testing.T) {
	t.Helper()
	s.p = harness.Launch(t, func(cmd *exec.Cmd) {
		cmd.Env = harness.Environment(s.env...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // when the tests are killed
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

// kill ends the process where it is.
func (s *service) kill(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
	_ = s.p.Wait(t)
}

// runs reports whether the process that was started last has not ended.
func (s *service) runs() bool {
	return !s.p.HasEnded()
}

// probes asks for health on connections of its own, as an orchestrator does: it gives up after five seconds.
var probes = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// probe returns the status and the body, 0 when there was no answer.
func probe(url string) (status int, body string) {
	response, err := probes.Get(url)
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
	return eventually(t, within, fmt.Sprintf("%d of /readyz", status), func() bool {
		got, _ := probe(s.url + "/readyz")
		return got == status
	})
}

// descriptors is how many files and sockets the process holds.
func (s *service) descriptors(t testing.TB) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.p.Cmd.Process.Pid))
	require.NoError(t, err)
	return len(open)
}

// poolSize is the most connections that a service has: for customers, for look-ups of credentials, for readiness.
const poolSize = store.DefaultMaxConnections + 4 + 1

// requireTidy holds the service to what it had when nothing was going on: no descriptor more but for those of pooled
// connections, no session of Postgres's more than the pools hold.
func requireTidy(t *testing.T, s *service, db *storetest.Breakable, idle int) {
	t.Helper()
	var descriptors, sessions int
	tidy := func() bool {
		descriptors, sessions = s.descriptors(t), db.Sessions(t)
		return descriptors <= idle+poolSize && sessions <= poolSize
	}
	for deadline := time.Now().Add(10 * time.Second); !tidy(); time.Sleep(50 * time.Millisecond) {
		require.False(t, time.Now().After(deadline), "%d descriptors, of %d while idle; %d sessions", descriptors, idle, sessions)
	}
	t.Logf("afterwards: %d descriptors (%d while idle), %d sessions", descriptors, idle, sessions)
}

// shorten is for messages.
func shorten(text string) string {
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return strings.TrimSpace(text)
}
