//go:build heavy

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// many is what a big merchant has.
const many = 100_000

// openProcess is openDoors with the program as a process of its own.
func openProcess(t *testing.T) (*harness.Server, *harness.Process, storetest.Merchant) {
	t.Helper()
	d := &harness.Server{Database: storetest.New(t)}
	m := d.Merchant(t, "Big")
	insertCustomers(t, d, m, many)
	p := harness.Launch(t, func(cmd *exec.Cmd) { cmd.Env = harness.Environment("LUMEN_DATABASE_URL=" + d.AppURL()) }, "serve", "--addr", "127.0.0.1:0", "--json")
	d.URLs, d.Log = p.Ready(t).URLs, p.Stderr
	return d, p, m
}

// memory returns a line of the process's status, in MiB.
func memory(t *testing.T, p *harness.Process, name string) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	require.NoError(t, err)
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			require.NoError(t, err)
			return float64(kib) / 1024
		}
	}
	require.Fail(t, "no such line", name)
	return 0
}

func TestListOfAHundredThousand(t *testing.T) {
	d, p, m := openProcess(t)
	require.Equal(t, 200, d.Send(t, m.ReadKey, "GET", "/api/customers?limit=250", "").Status)
	before := memory(t, p, "VmRSS")
	for _, encoding := range []string{"identity", "gzip"} {
		start := time.Now()
		decoder := json.NewDecoder(decodedBody(t, openList(t, d, m.ReadKey, encoding), encoding))
		for range 3 { // { "customers" [
			_, err := decoder.Token()
			require.NoError(t, err)
		}
		next := many
		for ; decoder.More(); next-- {
			var c struct{ ID string }
			require.NoError(t, decoder.Decode(&c))
			require.Equal(t, fmt.Sprintf("cust_%08d", next), c.ID)
		}
		require.Zero(t, next)
		grown := memory(t, p, "VmHWM") - before
		t.Logf("%s: %v, peak %.1f MiB above %.1f", encoding, time.Since(start).Round(time.Millisecond), grown, before)
		require.Less(t, grown, 64.0)
	}
}

func TestListWhoseBackendsAreKilled(t *testing.T) {
	d, _, m := openProcess(t)
	for _, encoding := range []string{"identity", "gzip"} {
		response := openList(t, d, m.ReadKey, encoding)
		head := make([]byte, 4096) // then the server fills the sockets' buffers and waits
		_, err := io.ReadFull(response.Body, head)
		require.NoError(t, err)
		// Whatever was read so far, the database is gone for the rest, new connections included.
		d.SQL(t, "ALTER TABLE customers RENAME TO customers_away")
		d.SQL(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lumen'")
		read, err := io.Copy(io.Discard, response.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "after %d bytes", read)
		t.Logf("%s: broken off after %d bytes", encoding, read)
		d.SQL(t, "ALTER TABLE customers_away RENAME TO customers")
		// Connections that died in the pool are noticed by those who get them; soon there are none
		// left.
		require.Eventually(t, func() bool { return d.Send(t, m.ReadKey, "GET", "/api/customers?limit=1", "").Status == 200 }, 5*time.Second, 10*time.Millisecond)
	}
}

func TestClientThatLeavesStopsTheReading(t *testing.T) {
	d, _, m := openProcess(t)
	count := countStatements(t, d)
	address := strings.TrimPrefix(d.URL, "http://")
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	_, err = fmt.Fprintf(conn, "GET /api/customers HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", address, string(m.ReadKey))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1024))
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	require.Eventually(t, func() bool { return strings.Contains(d.Log.String(), `"aborted":true`) }, 10*time.Second, 10*time.Millisecond)
	read := count()
	require.Less(t, read, int64(many/500/2), "statements")
	t.Logf("%d statements of %d", read, many/500+1)
	require.Equal(t, http.StatusOK, d.Send(t, m.ReadKey, "GET", "/api/customers?limit=1", "").Status)
	require.Equal(t, int64(1), count(), "none but this request's")
}
