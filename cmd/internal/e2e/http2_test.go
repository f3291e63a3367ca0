package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// newHTTP2Client returns a client that speaks only HTTP/2, without TLS (prior knowledge).
func newHTTP2Client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// ask sends a request and returns the reply with its body unread.
func ask(ctx context.Context, client *http.Client, key auth.Secret, method, url, body string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(key))
	request.Header.Set("Content-Type", "application/json")
	return client.Do(request)
}

// withReuseTrace returns a context that sets *reused if a request uses a connection that was used
// before.
func withReuseTrace(ctx context.Context) (_ context.Context, reused *bool) {
	reused = new(bool)
	gotConn := func(c httptrace.GotConnInfo) { *reused = c.Reused }
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: gotConn}), reused
}

// readAll reads the body of a reply and returns it with the status.
func readAll(response *http.Response, err error) (int, string, error) {
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// TestHTTP2 sends concurrent requests of every kind over HTTP/2 to both listeners. One connection
// must serve them all, also after refusals, and the metrics must count them as over HTTP/1.1.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, "--playground")
	m := d.Merchant(t, "Two")
	client := newHTTP2Client(t)
	var connections atomic.Int32
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		ConnectDone: func(string, string, error) { connections.Add(1) },
	})
	id := d.Create(t, m, `{"email":"two@example.com"}`)
	_, _, err := readAll(ask(ctx, client, m.WriteKey, "GET", d.URL+"/readyz", "")) // opens the connection
	require.NoError(t, err)
	var all sync.WaitGroup
	for round := range 40 {
		for _, c := range []struct {
			method, path, body string
			status             int
		}{
			{"GET", "/api/customers", "", 200}, {"GET", "/api/customers/" + id, "", 200},
			{"HEAD", "/api/customers", "", 200}, {"POST", "/api/customers/" + id, `{"name":"Two"}`, 200},
			{"POST", "/api/customers", `{"email":"two@example.com"}`, 409},
			{"POST", "/graphql", `{"query":"{customers{totalCount nodes{id}}}"}`, 200}, {"GET", "/nowhere", "", 404},
			{"POST", "/api/customers", `{"name":"` + strings.Repeat("x", 70<<10) + `"}`, 413}, {"GET", "/playground", "", 200},
			{"PUT", "/api/customers", "", 405}, {"GET", "/readyz", "", 200}, {"OPTIONS", "/api/customers", "", 405},
		} {
			all.Go(func() {
				response, err := ask(ctx, client, m.WriteKey, c.method, d.URL+c.path, c.body)
				status, body, err := readAll(response, err)
				if err != nil || status != c.status || response.ProtoMajor != 2 {
					t.Errorf("round %d, %s %s: %v, %d %s", round, c.method, c.path, err, status, body)
				}
			})
		}
		all.Wait()
	}
	require.EqualValues(t, 1, connections.Load(), "one connection must serve all requests")
	status, shown, err := readAll(ask(t.Context(), client, "", "GET", d.PrivateURL+"/metrics", ""))
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Contains(t, shown, `lumen_requests_total{code="OK",door="rest",operation="getCustomer"} 40`)
	require.Contains(t, shown, `lumen_requests_total{code="EMAIL_TAKEN",door="rest",operation="createCustomer"} 40`)

	// The server ignores an upgrade from HTTP/1.1.
	r := d.Send(t, m.ReadKey, "GET", "/api/customers", "", header("Connection", "Upgrade, HTTP2-Settings"),
		header("Upgrade", "h2c"), header("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"))
	require.Equal(t, 200, r.Status)
	require.Empty(t, r.Header.Get("Upgrade"))
}

// TestHTTP2ListThatFailsHalfWayIsAborted checks that a list that fails after its first byte ends
// its stream with an error, and that the connection still serves other requests.
func TestHTTP2ListThatFailsHalfWayIsAborted(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Many")
	insertCustomers(t, d, m, 3000)
	failOnCustomer(t, d, 1200) // in the fourth batch of six
	client := newHTTP2Client(t)
	for _, encoding := range []string{"identity", "gzip"} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", d.RestURL, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+string(m.ReadKey))
		request.Header.Set("Accept-Encoding", encoding)
		response, err := client.Do(request)
		status, text, err := readAll(response, err)
		require.Equal(t, 200, status)
		require.ErrorContains(t, err, "stream error", encoding)
		require.ErrorContains(t, err, "INTERNAL_ERROR", encoding)
		requireTruncatedList(t, text, encoding)
		ctx, reused := withReuseTrace(t.Context())
		status, _, err = readAll(ask(ctx, client, m.ReadKey, "GET", d.URL+"/healthz", ""))
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.True(t, *reused, "the connection must still be usable")
	}
	require.Equal(t, 2, strings.Count(d.Logged(), `"msg":"list aborted"`))
	require.Equal(t, 2, strings.Count(d.Logged(), `"aborted":true`))
	require.NotContains(t, d.Logged(), "panic")
	require.Contains(t, d.Metrics(t), `lumen_requests_aborted_total{door="rest"} 2`)
}

// TestHTTP2FinishesRequestsAtShutdown sends SIGTERM while a list and other requests are under way
// over HTTP/2. The server must finish them, and fail no request that arrives during the shutdown
// delay.
func TestHTTP2FinishesRequestsAtShutdown(t *testing.T) {
	t.Parallel()
	d := &harness.Server{Database: storetest.New(t)}
	m := d.Merchant(t, "Drained")
	const many = 20_000
	insertCustomers(t, d, m, many)
	p := harness.Launch(t, func(cmd *exec.Cmd) {
		cmd.Env = harness.Environment("LUMEN_DATABASE_URL="+d.AppURL(), "LUMEN_SHUTDOWN_DELAY=1s")
	}, "serve", "--addr", "127.0.0.1:0", "--json")
	at := p.Ready(t)
	client := newHTTP2Client(t)
	list, err := ask(t.Context(), client, m.ReadKey, "GET", at.RestURL, "")
	require.NoError(t, err)
	begun := make([]byte, 1000)
	_, err = io.ReadFull(list.Body, begun) // the server cannot send the rest before it is read
	require.NoError(t, err)

	var stoppedAt, answered atomic.Int64
	var accepted sync.Map // the client's connections on which the server has answered
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			var connection string
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GetConn: func(string) { connection = "" },
				GotConn: func(c httptrace.GotConnInfo) { connection = c.Conn.LocalAddr().String() },
			})
			for {
				customer := fmt.Sprintf("%s/cust_%08d", at.RestURL, i+1)
				status, body, err := readAll(ask(ctx, client, m.WriteKey, "POST", customer, `{"name":"Drained"}`))
				since := time.Since(time.UnixMilli(stoppedAt.Load()))
				// After the delay the server accepts no connection. Several requests may wait on the
				// same new one.
				_, known := accepted.Load(connection)
				refused := err != nil && !known
				switch {
				case refused && stoppedAt.Load() > 0 && since >= time.Second:
					return
				case err != nil || status != 200:
					t.Errorf("a request failed %v after SIGTERM: %d %s, %v", since, status, body, err)
					return
				}
				accepted.Store(connection, true)
				answered.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return answered.Load() > 100 }, 10*time.Second, time.Millisecond)
	stoppedAt.Store(time.Now().UnixMilli())
	require.NoError(t, p.Cmd.Process.Signal(syscall.SIGTERM))
	workers.Wait()
	require.False(t, p.HasEnded(), "the server must not end before the list")
	rest, err := io.ReadAll(list.Body)
	require.NoError(t, err)
	require.Equal(t, many, bytes.Count(append(begun, rest...), []byte(`"id":`)))
	require.NoError(t, list.Body.Close())
	require.NoError(t, p.Wait(t))
	t.Logf("%d answers", answered.Load())
}

// TestIdleTimeoutIsConfigured checks that the server closes an idle connection after --idle-timeout
// and not before, over HTTP/1.1 and HTTP/2.
func TestIdleTimeoutIsConfigured(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, "--idle-timeout", "2s")
	for name, begin := range map[string]func(net.Conn){
		"HTTP/1.1": func(c net.Conn) { _, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") },
		"HTTP/2":   func(c net.Conn) { newRawHTTP2(t, c).get(1, "/healthz", "") },
	} {
		connection, err := net.Dial("tcp", strings.TrimPrefix(d.URL, "http://"))
		require.NoError(t, err)
		begun := time.Now()
		require.NoError(t, connection.SetDeadline(begun.Add(10*time.Second)))
		begin(connection)
		_, err = io.Copy(io.Discard, connection)
		require.NoError(t, err, name)
		require.Greater(t, time.Since(begun), 1900*time.Millisecond, name)
		require.Less(t, time.Since(begun), 5*time.Second, name)
		require.NoError(t, connection.Close())
	}
}

// rawHTTP2 writes single frames, so that a test can behave as no regular client does.
type rawHTTP2 struct {
	*http2.Framer
	t       *testing.T
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// newRawHTTP2 starts HTTP/2 on a connection with the client's settings.
func newRawHTTP2(t *testing.T, connection net.Conn, settings ...http2.Setting) *rawHTTP2 {
	t.Helper()
	r := &rawHTTP2{Framer: http2.NewFramer(connection, connection), t: t}
	r.encoder = hpack.NewEncoder(&r.block)
	_, err := io.WriteString(connection, http2.ClientPreface)
	require.NoError(t, err)
	require.NoError(t, r.WriteSettings(settings...))
	return r
}

// get opens a stream with a GET. It returns an error if the server has closed the connection.
func (r *rawHTTP2) get(stream uint32, path string, key auth.Secret) error {
	return r.open(stream, true, "GET", path, key)
}

func (r *rawHTTP2) open(stream uint32, ends bool, method, path string, key auth.Secret) error {
	r.block.Reset()
	for _, f := range [][2]string{
		{":method", method}, {":scheme", "http"}, {":authority", "lumen"}, {":path", path},
		{"authorization", "Bearer " + string(key)}, {"content-type", "application/json"},
	} {
		if err := r.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	return r.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: r.block.Bytes(), EndStream: ends, EndHeaders: true,
	})
}

// TestHTTP2FloodOfResets opens requests and resets them at once, on one connection after another
// (rapid reset). A reset must not cost the server a database connection, other merchants must be
// served meanwhile, and no request may remain in flight.
func TestHTTP2FloodOfResets(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m, other := d.Merchant(t, "Flood"), d.Merchant(t, "Other")
	id := d.Create(t, m, `{"email":"flood@example.com"}`)
	others := d.Create(t, other, `{"email":"other@example.com"}`)
	address := strings.TrimPrefix(d.URL, "http://")

	sessions := func() (n int) {
		require.NoError(t, d.Superuser().QueryRow(t.Context(),
			"SELECT sessions FROM pg_stat_database WHERE datname = current_database()").Scan(&n))
		return n
	}
	before := sessions()

	var resets, ended atomic.Int64
	flooding, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	var floods sync.WaitGroup
	for range 4 {
		floods.Go(func() {
			for flooding.Err() == nil {
				connection, err := net.Dial("tcp", address)
				if err != nil {
					t.Error(err)
					return
				}
				go func() { _, _ = io.Copy(io.Discard, connection) }()
				raw := newRawHTTP2(t, connection)
				for stream := uint32(1); flooding.Err() == nil; stream += 2 {
					err := raw.get(stream, "/api/customers/"+id, m.WriteKey)
					if err != nil || raw.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
						ended.Add(1)
						break
					}
					resets.Add(1)
				}
				_ = connection.Close()
			}
		})
	}
	slowest, asked := time.Duration(0), 0
	for ; flooding.Err() == nil; asked++ {
		began := time.Now()
		require.Equal(t, 200, d.Send(t, other.WriteKey, "GET", "/api/customers/"+others, "").Status)
		slowest = max(slowest, time.Since(began))
	}
	floods.Wait()
	t.Logf("%d resets, %d connections ended by the server; another merchant's %d requests took at most %v",
		resets.Load(), ended.Load(), asked, slowest)
	// The pools open some connections, and on a busy machine a live connection may look dead and be
	// replaced.
	require.Less(t, sessions()-before, 50, "a reset request must not cost its database connection")
	require.Less(t, slowest, 3*time.Second)
	require.Equal(t, 200, d.Send(t, m.WriteKey, "GET", "/api/customers/"+id, "").Status)
	requireNothingInFlight(t, d)
}

func requireNothingInFlight(t *testing.T, d *harness.Server) {
	t.Helper()
	require.Eventually(t, func() bool {
		return strings.Contains(d.Metrics(t), `lumen_requests_in_flight{door="rest"} 0`)
	}, 5*time.Second, 50*time.Millisecond)
}
