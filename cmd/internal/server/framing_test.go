package server

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Where the handler does not close the connection itself, as http.ServeMux does for some of these
// requests, the server calls it for the first request only. TestAmbiguousFramings in
// cmd/internal/e2e has all forms, on all routes.
func TestAmbiguousFramingEndsTheConnection(t *testing.T) {
	t.Parallel()
	const field = "\r\nHost: x\r\nConnection: keep-alive\r\n"
	log := slog.New(slog.DiscardHandler)
	for line, replies := range map[string]int{
		"GET / HTTP/1.1" + field: 2, "GET / HTTP/1.0" + field: 1, "GET / HTTP/1.2" + field: 1,
		"OPTIONS * HTTP/1.0" + field: 1, "PRI * HTTP/2.0" + field: 1, "CONNECT x:1 HTTP/1.1" + field: 1,
		"POST / HTTP/1.1" + field + "Transfer-Encoding: chunked\r\n\r\n0\r\n": 1,
	} {
		for _, listens := range []func(net.Listener, http.Handler){
			func(listener net.Listener, handler http.Handler) {
				server := newHTTPServer(handler, log)
				t.Cleanup(func() { _ = server.Close() })
				go func() { _ = server.Serve(listener) }()
			},
			func(listener net.Listener, handler http.Handler) { t.Cleanup(ServePrivate(listener, handler, log)) },
		} {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			listens(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "0") // without it HTTP/1.0 closes the connection anyway
			}))
			connection, err := net.Dial("tcp", listener.Addr().String())
			require.NoError(t, err)
			require.NoError(t, connection.SetDeadline(time.Now().Add(5*time.Second)))
			_, err = io.WriteString(connection, line+"\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			require.NoError(t, err)
			read, err := io.ReadAll(connection)
			require.NoError(t, err, line)
			require.NoError(t, connection.Close())
			require.Equal(t, replies, strings.Count(string(read), "HTTP/1."), "%s: %s", line, read)
		}
	}
}
