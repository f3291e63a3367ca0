//go:build unix

package embedded

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// read downloads a file into memory.
func read(t *testing.T, d *downloader, address string) (string, error) {
	t.Helper()
	var text []byte
	err := d.get(t.Context(), address, func(body io.Reader, _ int64) (err error) {
		text, err = io.ReadAll(body)
		return err
	})
	return string(text), err
}

func TestDownloadLimits(t *testing.T) {
	t.Parallel()
	const limit, long = 200 * time.Millisecond, time.Minute
	serve := func(handler http.HandlerFunc) string {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server.URL
	}
	flush := func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

	t.Run("a server that takes no connection", func(t *testing.T) {
		t.Parallel()
		_, err := read(t, newDownloader(limit, long, long), "http://"+fullListener(t))
		require.ErrorContains(t, err, "i/o timeout")
	})
	t.Run("a server that answers no TLS handshake", func(t *testing.T) {
		t.Parallel()
		_, err := read(t, newDownloader(limit, long, long), "https://"+silentListener(t))
		require.ErrorContains(t, err, "TLS handshake timeout")
	})
	t.Run("a server that never answers", func(t *testing.T) {
		t.Parallel()
		_, err := read(t, newDownloader(long, limit, long), "http://"+silentListener(t))
		require.ErrorContains(t, err, "timeout awaiting response headers")
	})
	t.Run("a server that stalls after the header", func(t *testing.T) {
		t.Parallel()
		address := serve(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("first"))
			flush(w)
			<-r.Context().Done()
		})
		_, err := read(t, newDownloader(long, long, limit), address)
		require.EqualError(t, err, "fetch "+address+": no byte arrived for 200ms")
	})
	t.Run("a server that trickles may go on", func(t *testing.T) {
		t.Parallel()
		const rounds = 12 // twice the limit in all
		address := serve(func(w http.ResponseWriter, _ *http.Request) {
			for range rounds {
				_, _ = w.Write([]byte("x"))
				flush(w)
				time.Sleep(limit / 2)
			}
		})
		text, err := read(t, newDownloader(long, 3*limit, 3*limit), address)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("x", rounds), text)
	})
}

// silentListener accepts connections and never answers.
func silentListener(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String() // the system accepts for it
}

// fullListener takes no more connections: its backlog is full.
func fullListener(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	bound, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*syscall.SockaddrInet4).Port))
	for range 1000 {
		conn, err := net.DialTimeout("tcp", address, 500*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { conn.Close() })
	}
	require.Fail(t, "the backlog is never full")
	return ""
}
