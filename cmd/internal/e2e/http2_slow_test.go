//go:build heavy

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// dialNarrow opens a connection with a small receive buffer, so that the kernel holds few unread
// bytes.
func dialNarrow(t *testing.T, d *harness.Server) net.Conn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		return errors.Join(raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		}), err)
	}}
	connection, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(d.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// requireResetWith reads frames until the server resets the stream, and returns an error unless the
// code is the wanted one.
func (r *rawHTTP2) requireResetWith(stream uint32, want http2.ErrCode) error {
	for {
		frame, err := r.ReadFrame()
		if err != nil {
			return err
		}
		if reset, ok := frame.(*http2.RSTStreamFrame); ok && reset.StreamID == stream {
			if reset.ErrCode != want {
				return fmt.Errorf("reset with %v", reset.ErrCode)
			}
			return nil
		}
	}
}

// slowStream is a slow HTTP/2 client, and how long the server must and may keep its stream.
type slowStream struct {
	name        string
	least, most time.Duration
	window      uint32 // of its streams
	slow        func(*rawHTTP2, net.Conn) error
}

func slowStreams(m storetest.Merchant) []slowStream {
	const write, body, slack = 30 * time.Second, 10 * time.Second, 5 * time.Second
	const narrow, wide = 10, 1<<31 - 1
	reset := func(path string) func(*rawHTTP2, net.Conn) error {
		return func(raw *rawHTTP2, _ net.Conn) error {
			return errors.Join(raw.get(1, path, m.ReadKey), raw.requireResetWith(1, http2.ErrCodeInternal), raw.answersAnother(3))
		}
	}
	stuck := func(read func(net.Conn) error) func(*rawHTTP2, net.Conn) error {
		return func(raw *rawHTTP2, c net.Conn) error {
			if err := errors.Join(raw.WriteWindowUpdate(0, 1<<30), raw.get(1, "/api/customers", m.ReadKey)); err != nil {
				return err
			}
			for { // until the server has closed the connection
				time.Sleep(time.Second)
				if read(c) != nil || raw.WritePing(false, [8]byte{}) != nil {
					return nil
				}
			}
		}
	}
	return []slowStream{
		{"body", body, body + slack, wide, func(raw *rawHTTP2, _ net.Conn) error {
			if err := raw.open(1, false, "POST", "/api/customers", m.WriteKey); err != nil {
				return err
			}
			go func() {
				for raw.WriteData(1, false, []byte("x")) == nil {
					time.Sleep(time.Second)
				}
			}()
			return raw.requireResetWith(1, http2.ErrCodeNo) // the server has replied and reads no more of the body
		}},
		{"list without a window", write, write + slack, narrow, reset("/api/customers")},
		{"page without a window", write, write + slack, narrow, reset("/api/customers?limit=250")},
		{"list that is not read", write, write + slack, wide, stuck(func(net.Conn) error { return nil })},
		{"list that is read at 1 byte/s", write, 2*write + slack, wide, stuck(func(c net.Conn) error {
			_, err := c.Read(make([]byte, 1))
			return err
		})},
	}
}

// TestHTTP2SlowClients checks that a slow HTTP/2 client is disconnected after the same times as one
// over HTTP/1.1. If only a stream is slow, the server resets the stream and keeps the connection.
// If the client reads too little of the connection, the server closes the connection.
func TestHTTP2SlowClients(t *testing.T) {
	d := harness.Serve(t)
	m := d.Merchant(t, "Slow")
	insertCustomers(t, d, m, 40_000)
	var clients sync.WaitGroup
	for _, s := range slowStreams(m) {
		connection := dialNarrow(t, d)
		begun := time.Now()
		require.NoError(t, connection.SetDeadline(begun.Add(2*time.Minute)))
		raw := newRawHTTP2(t, connection, http2.Setting{ID: http2.SettingInitialWindowSize, Val: s.window})
		clients.Go(func() {
			err := s.slow(raw, connection)
			held := time.Since(begun)
			t.Logf("%s: ended after %v", s.name, held.Round(100*time.Millisecond))
			if err != nil || held < s.least || held > s.most {
				t.Errorf("%s: ended after %v, want %v to %v; error: %v", s.name, held, s.least, s.most, err)
			}
		})
	}
	clients.Wait()
	requireNothingInFlight(t, d)
}

// answersAnother returns an error unless the connection answers another request.
func (r *rawHTTP2) answersAnother(stream uint32) error {
	if err := r.get(stream, "/healthz", ""); err != nil {
		return err
	}
	for {
		frame, err := r.ReadFrame()
		if err != nil {
			return err
		}
		if headers, ok := frame.(*http2.HeadersFrame); ok && headers.StreamID == stream {
			return nil
		}
	}
}

// TestIdleConnectionsOutliveLoadBalancers checks that a connection that was idle for 65 s takes the
// next request, over HTTP/1.1 and HTTP/2. Load balancers keep idle connections for 60 s and more,
// and a server that closes them earlier makes the balancer's next request fail.
func TestIdleConnectionsOutliveLoadBalancers(t *testing.T) {
	d := harness.Serve(t)
	address := strings.TrimPrefix(d.URL, "http://")
	first, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = first.Close() }()
	second, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = second.Close() }()
	raw := newRawHTTP2(t, second)
	const request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	answered := func() {
		_, err := io.WriteString(first, request)
		require.NoError(t, err)
		_, err = io.ReadFull(first, make([]byte, len("HTTP/1.1 200 OK")))
		require.NoError(t, err)
	}
	answered()
	require.NoError(t, raw.answersAnother(1))
	time.Sleep(65 * time.Second)
	answered()
	require.NoError(t, raw.answersAnother(3))
}
