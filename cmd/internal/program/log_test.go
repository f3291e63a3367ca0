package program

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// logMark begins the ids of the requests that logged sends.
const logMark = "end-of-log-"

// logged returns the log of the server at url, with the lines of all requests that were answered. serve
// may hold such lines back for 100 ms, but keeps their order: so the line of one more request follows
// them. When the server does not answer, logged returns what is there.
func logged(url string, log *lockedBuffer) string {
	mark := logMark + rand.Text()
	request, err := http.NewRequest(http.MethodDelete, url+"/docs", nil)
	if err != nil {
		panic(err) // the URL is the server's own
	}
	request.Header.Set("X-Request-Id", mark)
	unwatched := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if response, err := unwatched.Do(request); err == nil {
		_ = response.Body.Close()
		for until := time.Now().Add(5 * time.Second); !strings.Contains(log.String(), mark) && time.Now().Before(until); {
			time.Sleep(time.Millisecond)
		}
	}
	var text strings.Builder
	for line := range strings.Lines(log.String()) {
		if !strings.Contains(line, logMark) {
			text.WriteString(line)
		}
	}
	return text.String()
}

func (d *doors) logged() string { return logged(d.URL, d.log) }

// A server that is told to stop writes the lines of all requests that it answered.
func TestServeLogsAllRequestsBeforeItStops(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	m := db.Merchant(t, "Logged")
	for _, format := range []string{"json", "text"} {
		p := launch(t, func(cmd *exec.Cmd) {
			cmd.Env = environment("LUMEN_DATABASE_URL="+db.AppURL(), "LUMEN_LOG_FORMAT="+format)
		}, "serve", "--addr", "127.0.0.1:0", "--json")
		at := p.ready(t).URL
		const requests = 200
		for i := range requests {
			status, _ := fetch(t, "GET", at+fmt.Sprintf("/api/customers/cust_%d", i), string(m.ReadKey), "")
			require.Equal(t, 404, status)
		}
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, p.wait(t))
		log := p.stderr.String()
		require.Equal(t, requests, strings.Count(log, "getCustomer"), format)
		last := log[strings.LastIndex(strings.TrimSuffix(log, "\n"), "\n")+1:]
		require.Contains(t, last, "stopped")
		require.Greater(t, strings.Index(log, "stopping"), strings.LastIndex(log, "getCustomer"), "in the order in which they came")
	}
}

// Lines come while the server runs, within 100 ms, whether or not more requests follow.
func TestServeLogsRequestsWhileItRuns(t *testing.T) {
	t.Parallel()
	d := openDoors(t)
	require.Equal(t, 401, d.send(t, "", "GET", "/api/customers", "").status)
	require.Eventually(t, func() bool {
		return strings.Contains(d.log.String(), `"operation":"listCustomers","code":"UNAUTHENTICATED"`)
	}, 5*time.Second, time.Millisecond)
}
