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

// many is the number of customers of a large merchant.
const many = 100_000

// openProcess starts serve as a process, with a merchant of many customers.
func openProcess(t *testing.T) (*harness.Server, *harness.Process, storetest.Merchant) {
	t.Helper()
	d := &harness.Server{Database: storetest.New(t)}
	m := d.Merchant(t, "Big")
	insertCustomers(t, d, m, many)
	p := harness.Launch(t, func(cmd *exec.Cmd) { cmd.Env = harness.Environment("LUMEN_DATABASE_URL=" + d.AppURL()) }, "serve", "--addr", "127.0.0.1:0", "--json")
	d.URLs, d.Log = p.Ready(t).URLs, p.Stderr
	return d, p, m
}

// memory returns a value of the process's status in MiB.
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
	require.Fail(t, "the process's status has no such line", name)
	return 0
}

// TestListOfAHundredThousandCustomers reads a complete list and measures the server's memory. The
// list must be complete and in order, and the peak must grow by less than 64 MiB: the server must
// not hold the list.
func TestListOfAHundredThousandCustomers(t *testing.T) {
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
		t.Logf("%s: %v, peak %.1f MiB above the initial %.1f MiB", encoding, time.Since(start).Round(time.Millisecond), grown, before)
		require.Less(t, grown, 64.0)
	}
}

// TestListIsAbortedWhenPostgresIsGone ends the database sessions and hides the table while a list
// is being sent. The client must see a broken connection, and the service must recover afterwards.
func TestListIsAbortedWhenPostgresIsGone(t *testing.T) {
	d, _, m := openProcess(t)
	for _, encoding := range []string{"identity", "gzip"} {
		response := openList(t, d, m.ReadKey, encoding)
		head := make([]byte, 4096) // afterwards the server fills the socket buffers and waits
		_, err := io.ReadFull(response.Body, head)
		require.NoError(t, err)
		// No further batch can be read, also not on a new connection.
		d.SQL(t, "ALTER TABLE customers RENAME TO customers_away")
		d.SQL(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lumen'")
		read, err := io.Copy(io.Discard, response.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "after %d bytes", read)
		t.Logf("%s: aborted after %d bytes", encoding, read)
		d.SQL(t, "ALTER TABLE customers_away RENAME TO customers")
		// The service notices a dead connection of the pool only when it uses it, so some requests
		// may fail.
		require.Eventually(t, func() bool { return d.Send(t, m.ReadKey, "GET", "/api/customers?limit=1", "").Status == 200 }, 5*time.Second, 10*time.Millisecond)
	}
}

// TestDisconnectedClientStopsTheList closes the connection after the start of a list. The server
// must stop reading rows: less than half of the batches may be read.
func TestDisconnectedClientStopsTheList(t *testing.T) {
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
	require.Less(t, read, int64(many/500/2), "statements after the client disconnected")
	t.Logf("%d statements of %d", read, many/500+1)
	require.Equal(t, http.StatusOK, d.Send(t, m.ReadKey, "GET", "/api/customers?limit=1", "").Status)
	require.Equal(t, int64(1), count(), "only this request's statement may run")
}
