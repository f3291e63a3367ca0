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

// dialNarrow opens a connection whose kernel takes little that is not read.
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

// isReset reads frames until the stream was reset, and returns an error unless it was with this
// code.
func (r *rawHTTP2) isReset(stream uint32, want http2.ErrCode) error {
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

// slowStream is a way to be slow over HTTP/2, and how long the server may hold it.
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
			return errors.Join(raw.get(1, path, m.ReadKey), raw.isReset(1, http2.ErrCodeInternal), raw.goesOn(3))
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
			return raw.isReset(1, http2.ErrCodeNo) // the server has answered, and wants no more of the body
		}},
		{"list without a window", write, write + slack, narrow, reset("/api/customers")},
		{"page without a window", write, write + slack, narrow, reset("/api/customers?limit=250")},
		{"list of which nothing is read", write, write + slack, wide, stuck(func(net.Conn) error { return nil })},
		{"list that is read a byte a second", write, 2*write + slack, wide, stuck(func(c net.Conn) error {
			_, err := c.Read(make([]byte, 1))
			return err
		})},
	}
}

// A client that is slow over HTTP/2 is let go of as over HTTP/1.1. Where the stream alone is slow,
// the stream ends and its connection goes on; where little of the connection is read, the
// connection ends.
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
			t.Logf("%s: let go of after %v", s.name, held.Round(100*time.Millisecond))
			if err != nil || held < s.least || held > s.most {
				t.Errorf("%s: let go of after %v, %v", s.name, held, err)
			}
		})
	}
	clients.Wait()
	requireNothingInFlight(t, d)
}

// goesOn reports whether the connection answers another request.
func (r *rawHTTP2) goesOn(stream uint32) error {
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

// Load balancers keep connections for a minute and more: one that rested as long takes the next
// request, in either version.
func TestConnectionsOutliveThoseOfLoadBalancers(t *testing.T) {
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
	require.NoError(t, raw.goesOn(1))
	time.Sleep(65 * time.Second)
	answered()
	require.NoError(t, raw.goesOn(3))
}
