package program

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/pages"
	"lumen/cmd/internal/server"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/storetest"
)

func TestConsole(t *testing.T) {
	t.Parallel()
	for want, log := range map[string]func(*slog.Logger){
		"serving": func(l *slog.Logger) { l.Info("serving") },
		"WARN a client broke HTTP/2 unlogged=3": func(l *slog.Logger) {
			l.Warn("a client broke HTTP/2", "unlogged", 3)
		},
		"ERROR request failed code=INTERNAL error=a bug": func(l *slog.Logger) {
			l.With("code", store.Internal).Error("request failed", "error", "a bug")
		},
		"GET /api/customers/{id} 404 NOT_FOUND 1.2ms Demo Shop": func(l *slog.Logger) {
			l.With("method", "GET", "route", "/api/customers/{id}", "operation", "getCustomer", "code", store.NotFound,
				"status", 404, "aborted", false).Info("request", "duration_ms", 1.234, "merchant", "merchant_1")
		},
		"POST /graphql customers 200 1.234s merchant_2 aborted": func(l *slog.Logger) {
			l.With("method", "POST", "route", "/graphql", "operation", "customers", "code", "OK",
				"status", 200, "aborted", true).Info("request", "duration_ms", 1234.04, "merchant", "merchant_2")
		},
		"GET / 200 0s": func(l *slog.Logger) {
			l.Info("request", "method", "GET", "route", "/", "code", "OK", "status", 200, "duration_ms", 0.01, "merchant", "")
		},
	} {
		var out bytes.Buffer
		log(slog.New(console{mu: new(sync.Mutex), to: &out, names: map[string]string{"merchant_1": "Demo Shop"}}))
		require.Regexp(t, `^\d\d:\d\d:\d\d `+regexp.QuoteMeta(want)+"\n$", out.String())
	}
	require.False(t, console{}.Enabled(t.Context(), slog.LevelDebug))
}

// The console reads the attributes of the access log by name. They are the ones that the server
// writes.
func TestConsoleReadsTheAccessLog(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	m := db.Merchant(t, "Acme")
	backend := server.OpenBackend(storetest.Service(t, db.AppURL(), false), store.Options{}, auth.Options{})
	t.Cleanup(func() { _ = backend.Close() })
	var out bytes.Buffer
	log := slog.New(console{mu: new(sync.Mutex), to: &out, names: map[string]string{m.ID: m.Name}})
	handler := server.NewHandler(backend, server.Options{Log: log})
	for _, path := range []string{"/api/customers", "/api/customers/cust_none"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+string(m.ReadKey))
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	const at, took = `\d\d:\d\d:\d\d `, ` \S+s Acme\n`
	require.Regexp(t, "^"+at+"GET /api/customers 200"+took+at+`GET /api/customers/\{id\} 404 NOT_FOUND`+took+"$", out.String())
}

// A log that is no terminal's stays machine-readable.
func TestDevLogsForMachinesUnlessAtATerminal(t *testing.T) {
	t.Parallel()
	file, err := os.Create(t.TempDir() + "/log")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	handler := devCommand{}.logHandler(terminal{err: file}, []pages.Merchant{{ID: "merchant_1", Name: "Demo Shop"}})
	require.NoError(t, handler.Handle(context.Background(), slog.NewRecord(time.Now(), slog.LevelInfo, "serving", 0)))
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	require.Contains(t, string(text), "level=INFO msg=serving")
}
