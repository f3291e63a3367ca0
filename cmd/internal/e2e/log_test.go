package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// TestServeLogsAllRequestsBeforeItStops sends SIGTERM after 200 requests. The log must contain a
// line for each, before the lines about the stop. It fails if the server drops lines that it still
// buffers.
func TestServeLogsAllRequestsBeforeItStops(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	m := db.Merchant(t, "Logged")
	for _, format := range []string{"json", "text"} {
		p := harness.Launch(t, func(cmd *exec.Cmd) {
			cmd.Env = harness.Environment("LUMEN_DATABASE_URL="+db.AppURL(), "LUMEN_LOG_FORMAT="+format)
		}, "serve", "--addr", "127.0.0.1:0", "--json")
		at := p.Ready(t).URL
		const requests = 200
		for i := range requests {
			status, _ := harness.Fetch(t, "GET", at+fmt.Sprintf("/api/customers/cust_%d", i), string(m.ReadKey), "")
			require.Equal(t, 404, status)
		}
		require.NoError(t, p.Cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, p.Wait(t))
		log := p.Stderr.String()
		require.Equal(t, requests, strings.Count(log, "getCustomer"), format)
		last := log[strings.LastIndex(strings.TrimSuffix(log, "\n"), "\n")+1:]
		require.Contains(t, last, "stopped")
		require.Greater(t, strings.Index(log, "stopping"), strings.LastIndex(log, "getCustomer"), "lines of requests must precede the stop")
	}
}

// TestServeLogsRequestsWhileItRuns checks that a request's line is written while the server runs,
// although no other request follows. The server buffers lines for 100 ms at most.
func TestServeLogsRequestsWhileItRuns(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	require.Equal(t, 401, d.Send(t, "", "GET", "/api/customers", "").Status)
	require.Eventually(t, func() bool {
		return strings.Contains(d.Log.String(), `"operation":"listCustomers","code":"UNAUTHENTICATED"`)
	}, 5*time.Second, time.Millisecond)
}
