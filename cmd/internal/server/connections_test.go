package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// listen starts one of the servers on a free port and returns its address.
func listen(t *testing.T, handler http.Handler, serving Serving, private bool) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serving.Log = slog.New(slog.DiscardHandler)
	if private {
		t.Cleanup(ServePrivate(listener, handler, serving.Log))
		return listener.Addr().String()
	}
	serving.Health = NewHealth(func(context.Context) error { return nil }, serving.Log)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, handler, serving) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	return listener.Addr().String()
}

// dial opens a connection to the address and sends the given first bytes.
func dial(t *testing.T, address, sent string) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	_, err = io.WriteString(connection, sent)
	require.NoError(t, err)
	return connection
}

// h2Frames returns the first bytes of an HTTP/2 client: its preface, its settings, and the frames
// that write adds.
func h2Frames(t *testing.T, write func(*http2.Framer)) string {
	t.Helper()
	var sent bytes.Buffer
	sent.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&sent, nil)
	require.NoError(t, framer.WriteSettings())
	if write != nil {
		write(framer)
	}
	return sent.String()
}

// h2Header returns the header block of a GET.
func h2Header(path string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "lumen"}, {":path", path}} {
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // a write to a buffer does not fail
	}
	return block.Bytes()
}

// lives returns how long the server keeps the connection while the client sends a byte from time to
// time.
func lives(connection net.Conn, drip string) time.Duration {
	begun := time.Now()
	for next := 0; time.Since(begun) < 20*time.Second; next++ {
		_ = connection.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := io.Copy(io.Discard, connection); !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if next < len(drip) {
			_, _ = io.WriteString(connection, drip[next:next+1])
		}
	}
	return time.Since(begun)
}

// The server closes a connection without a request after headerTime, whatever the idle timeout is
// and whatever else the client sends.
func TestConnectionsWithoutARequestAreClosed(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request: %s %s", r.Method, r.URL)
	})
	addresses := []string{
		listen(t, handler, Serving{IdleTimeout: time.Hour}, false), listen(t, handler, Serving{}, true),
	}
	const soon = 0 // net/http waits for less time for the first frame of HTTP/2
	var clients sync.WaitGroup
	for name, client := range map[string]struct {
		sent, drip string
		least      time.Duration
	}{
		"nothing":                       {least: headerTime},
		"a request line byte by byte":   {drip: "GET / HTTP/1.1\r\nHost: x\r\n", least: headerTime},
		"HTTP/2's preface byte by byte": {drip: http2.ClientPreface, least: headerTime},
		"a header byte by byte": {
			sent: "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", drip: strings.Repeat("x", 60), least: headerTime,
		},
		"half of HTTP/2's preface": {sent: http2.ClientPreface[:16], least: headerTime},
		"HTTP/2's preface alone":   {sent: http2.ClientPreface, least: soon},
		"HTTP/2's settings":        {sent: h2Frames(t, nil), least: headerTime},
		"a ping": {
			sent: h2Frames(t, func(f *http2.Framer) { require.NoError(t, f.WritePing(false, [8]byte{})) }), least: headerTime,
		},
		"half a block of headers": {sent: h2Frames(t, func(f *http2.Framer) {
			require.NoError(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h2Header("/")[:2]}))
		}), least: headerTime},
		"half a frame": {
			sent: h2Frames(t, nil) + "\x00\x40\x00\x01\x05\x00\x00\x00\x01", drip: strings.Repeat("\x82", 60), least: headerTime,
		},
	} {
		for _, address := range addresses {
			connection := dial(t, address, client.sent)
			clients.Go(func() {
				if lived := lives(connection, client.drip); lived < client.least-time.Second || lived > headerTime+time.Second {
					t.Errorf("one that sends %s lives for %v", name, lived)
				}
			})
		}
	}
	clients.Wait()
}

// The server keeps a connection for the idle timeout after its last request and then closes it.
// Over HTTP/2 it announces the end first.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	const timeout = headerTime + 2*time.Second // longer than the server keeps a connection without a request
	request := h2Frames(t, func(f *http2.Framer) {
		require.NoError(t, f.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, BlockFragment: h2Header("/"), EndHeaders: true, EndStream: true,
		}))
	})
	for name, sent := range map[string]string{"HTTP/1.1": "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/2": request} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answered := make(chan bool, 1)
			handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { answered <- true })
			connection := dial(t, listen(t, handler, Serving{IdleTimeout: timeout}, false), sent)
			<-answered
			lived := lives(connection, "")
			require.Greater(t, lived, timeout-time.Second)
			require.Less(t, lived, timeout+2500*time.Millisecond) // after GOAWAY net/http waits for a second
		})
	}
}

// The server's settings tell an HTTP/2 client at once how many requests it may have open and how
// long its frames may be.
func TestHTTP2Settings(t *testing.T) {
	t.Parallel()
	for _, private := range []bool{false, true} {
		address := listen(t, http.NotFoundHandler(), Serving{IdleTimeout: time.Minute}, private)
		connection := dial(t, address, h2Frames(t, nil))
		require.NoError(t, connection.SetReadDeadline(time.Now().Add(headerTime)))
		frame, err := http2.NewFramer(nil, connection).ReadFrame()
		require.NoError(t, err)
		settings, ok := frame.(*http2.SettingsFrame)
		require.True(t, ok)
		for setting, want := range map[http2.SettingID]uint32{
			http2.SettingMaxConcurrentStreams: 100, http2.SettingMaxFrameSize: 16 << 10,
			http2.SettingMaxHeaderListSize: 16<<10 + 320,
		} {
			got, _ := settings.Value(setting)
			require.Equal(t, want, got, setting)
		}
	}
}

// Reports of net/http about connections are logged, but a flood of connections does not write a
// line for each.
func TestReportsOfConnectionsAreSampled(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	server := newHTTPServer(http.NotFoundHandler(), slog.New(slog.NewTextHandler(&log, nil)))
	for range 10 * maxLoggedPerSecond {
		server.ErrorLog.Print("http2: server connection error")
	}
	lines := strings.Count(log.String(), "level=WARN")
	require.GreaterOrEqual(t, lines, maxLoggedPerSecond)
	require.LessOrEqual(t, lines, 3*maxLoggedPerSecond) // a new second may begin meanwhile
}
