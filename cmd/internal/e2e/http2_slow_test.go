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

// untilReset reads frames until the stream was reset, and returns how.
func (r *rawHTTP2) untilReset(stream uint32) (http2.ErrCode, error) {
	for {
		frame, err := r.ReadFrame()
		if err != nil {
			return 0, err
		}
		if reset, ok := frame.(*http2.RSTStreamFrame); ok && reset.StreamID == stream {
			return reset.ErrCode, nil
		}
	}
}

// A client that is slow over HTTP/2 is let go of as over HTTP/1.1. Where the stream alone is slow, the stream ends and its
// connection goes on; where nothing of the connection is read, the connection ends.
func TestHTTP2SlowClients(t *testing.T) {
	d := harness.Serve(t)
	m := d.Merchant(t, "Slow")
	fill(t, d, m, 40_000)
	var clients sync.WaitGroup
	lets := func(name string, least, most time.Duration, slow func(net.Conn) error) {
		connection := dialNarrow(t, d)
		clients.Go(func() {
			begun := time.Now()
			_ = connection.SetDeadline(begun.Add(2 * time.Minute))
			err := slow(connection)
			held := time.Since(begun)
			t.Logf("%s: let go of after %v", name, held.Round(100*time.Millisecond))
			if err != nil || held < least || held > most {
				t.Errorf("%s: let go of after %v, %v", name, held, err)
			}
		})
	}
	const slack = 5 * time.Second
	wide := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}}
	resets := func(want http2.ErrCode, raw *rawHTTP2) error {
		if code, err := raw.untilReset(1); err != nil || code != want {
			return fmt.Errorf("%v, %w", code, err)
		}
		return raw.goesOn(3)
	}
	lets("body", 10*time.Second, 10*time.Second+slack, func(c net.Conn) error {
		raw := newRawHTTP2(t, c)
		if err := raw.open(1, false, "POST", "/api/customers", m.WriteKey); err != nil {
			return err
		}
		go func() {
			for raw.WriteData(1, false, []byte("x")) == nil {
				time.Sleep(time.Second)
			}
		}()
		// The server has answered, and wants no more of the body.
		if code, err := raw.untilReset(1); err != nil || code != http2.ErrCodeNo {
			return fmt.Errorf("%v, %w", code, err)
		}
		return nil
	})
	lets("list without a window", 30*time.Second, 30*time.Second+slack, func(c net.Conn) error {
		raw := newRawHTTP2(t, c, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		return errors.Join(raw.get(1, "/api/customers", m.ReadKey), resets(http2.ErrCodeInternal, raw))
	})
	lets("page without a window", 30*time.Second, 30*time.Second+slack, func(c net.Conn) error {
		raw := newRawHTTP2(t, c, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		return errors.Join(raw.get(1, "/api/customers?limit=250", m.ReadKey), resets(http2.ErrCodeInternal, raw))
	})
	lets("list of which nothing is read", 30*time.Second, 30*time.Second+slack, func(c net.Conn) error {
		raw := newRawHTTP2(t, c, wide...)
		if err := errors.Join(raw.WriteWindowUpdate(0, 1<<30), raw.get(1, "/api/customers", m.ReadKey)); err != nil {
			return err
		}
		for { // the server has closed the connection when nothing can be sent on it
			time.Sleep(time.Second)
			if raw.WritePing(false, [8]byte{}) != nil {
				return nil
			}
		}
	})
	lets("list that is read a byte a second", 30*time.Second, 60*time.Second+slack, func(c net.Conn) error {
		raw := newRawHTTP2(t, c, wide...)
		if err := errors.Join(raw.WriteWindowUpdate(0, 1<<30), raw.get(1, "/api/customers", m.ReadKey)); err != nil {
			return err
		}
		for {
			time.Sleep(time.Second)
			if _, err := c.Read(make([]byte, 1)); err != nil || raw.WritePing(false, [8]byte{}) != nil {
				return nil
			}
		}
	})
	clients.Wait()
	require.Eventually(t, func() bool { return strings.Contains(d.Metrics(t), `lumen_requests_in_flight{door="rest"} 0`) }, 5*time.Second, 50*time.Millisecond)
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

// Load balancers keep connections for a minute and more: one that rested as long takes the next request, in either version.
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
