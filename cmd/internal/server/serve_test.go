package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store/schema"
)

// ask sends a GET on a connection of its own. It returns the status, the body, and whether the
// server closes the connection.
func ask(t *testing.T, address, path string) (status int, body string, closes bool) {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = connection.Close() }()
	return askOn(t, connection, path)
}

func askOn(t *testing.T, connection net.Conn, path string) (status int, body string, closes bool) {
	t.Helper()
	_, err := io.WriteString(connection, "GET "+path+" HTTP/1.1\r\nHost: lumen\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(t, err)
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(read), response.Close
}

func request(t *testing.T, handler http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return w
}

func TestServeStopsGracefully(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	arrived, finish := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-finish
		}
		_, _ = io.WriteString(w, "done")
	})
	log := slog.New(slog.DiscardHandler)
	health := NewHealth(func(context.Context) error { return nil }, log)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	const delay = 300 * time.Millisecond
	go func() { ended <- Serve(ctx, listener, handler, Serving{Health: health, Delay: delay, Log: log}) }()

	status, body, closes := ask(t, address, "/readyz")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"status":"ready"}`, body)
	require.False(t, closes)
	underWay := make(chan string, 1)
	go func() {
		_, body, _ := ask(t, address, "/slow")
		underWay <- body
	}()
	<-arrived

	silent, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()

	told := time.Now()
	stop()
	require.Eventually(t, func() bool {
		status, body, _ = ask(t, address, "/readyz")
		return status == 503
	}, time.Second, time.Millisecond)
	require.JSONEq(t, `{"status":"not ready","reason":"stopping"}`, body)
	status, body, closes = ask(t, address, "/")
	require.Equal(t, 200, status, "requests are still taken")
	require.Equal(t, "done", body)
	require.True(t, closes, "but the next one goes elsewhere")
	status, _, _ = ask(t, address, "/healthz")
	require.Equal(t, 200, status)
	require.Less(t, time.Since(told), delay, "this machine is too slow for the test")

	require.Eventually(t, func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			_ = connection.Close()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond)
	require.GreaterOrEqual(t, time.Since(told), delay)
	status, body, closes = askOn(t, silent, "/")
	require.Equal(t, 200, status, "who was let in is answered")
	require.Equal(t, "done", body)
	require.True(t, closes)
	select {
	case err := <-ended:
		t.Fatalf("ended before the request under way did: %v", err)
	default:
	}
	close(finish)
	require.Equal(t, "done", <-underWay)
	require.NoError(t, <-ended)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var checks atomic.Int32
	var fault atomic.Pointer[error]
	var log bytes.Buffer
	health := NewHealth(func(ctx context.Context) error {
		checks.Add(1)
		if _, limited := ctx.Deadline(); !limited {
			t.Error("the check may take for ever")
		}
		if err := fault.Load(); err != nil {
			return *err
		}
		return nil
	}, slog.New(slog.NewTextHandler(&log, nil)))
	now := func(path string) (int, string) {
		health.mu.Lock()
		health.checked = time.Time{} // as if the last answer were old
		health.mu.Unlock()
		w := request(t, health.wrap(http.NotFoundHandler()), http.MethodGet, path)
		return w.Code, w.Body.String()
	}
	status, body := now("/readyz")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"status":"ready"}`, body)
	for range 100 {
		require.Equal(t, 200, request(t, health, http.MethodGet, "/readyz").Code)
	}
	require.EqualValues(t, 1, checks.Load(), "one check is for all who ask")

	secret := errors.New("password hunter2 refused")
	fault.Store(&secret)
	status, body = now("/readyz")
	require.Equal(t, 503, status)
	require.JSONEq(t, `{"status":"not ready","reason":"database"}`, body)
	status, body = now("/healthz")
	require.Equal(t, 200, status, "the process lives")
	require.JSONEq(t, `{"status":"ok"}`, body)
	var why error = &schema.NotReadyError{Reason: schema.NoMigrations}
	fault.Store(&why)
	_, body = now("/readyz")
	require.JSONEq(t, `{"status":"not ready","reason":"migrations"}`, body)
	_, _ = now("/readyz")
	require.Equal(t, 2, strings.Count(log.String(), "not ready"), "each reason is logged once")
	fault.Store(nil)
	status, _ = now("/readyz")
	require.Equal(t, 200, status)

	require.Equal(t, 404, request(t, health.wrap(http.NotFoundHandler()), http.MethodGet, "/readyz/").Code)
	w := request(t, health, http.MethodPost, "/healthz")
	require.Equal(t, 405, w.Code)
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
}

// A request may arrive before the server is told to stop and be answered while the server still
// accepts others. It is the last request on its connection, because the next one might come too
// late.
func TestServeClosesConnectionsWhileItStops(t *testing.T) {
	t.Parallel()
	health := NewHealth(func(context.Context) error { return nil }, slog.New(slog.DiscardHandler))
	for name, answer := range map[string]func(http.ResponseWriter){
		"with a status":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"without a status": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "done") },
	} {
		health.stopping.Store(false)
		handler := health.wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			health.stop()
			answer(w)
		}))
		require.Equal(t, "close", request(t, handler, http.MethodGet, "/").Header().Get("Connection"), name)
	}
}

// The server sends little to a client that does not read: it has to fetch each octet of a list.
func TestServeSendsLittleToClientsThatDoNotRead(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	took := make(chan int, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second / 2))
		sent, block := 0, make([]byte, 16<<10)
		for {
			n, err := w.Write(block)
			if sent += n; err != nil {
				took <- sent
				return
			}
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	log := slog.New(slog.DiscardHandler)
	go func() {
		served <- Serve(ctx, listener, handler, Serving{Health: NewHealth(func(context.Context) error { return nil }, log), Log: log})
	}()
	connection, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = connection.Close() }()
	require.NoError(t, connection.(*net.TCPConn).SetReadBuffer(4096))
	_, err = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: lumen\r\n\r\n")
	require.NoError(t, err)
	require.Less(t, <-took, 4*sendBuffer, "the kernel may double what it is asked for")
	stop()
	require.NoError(t, <-served)
}
