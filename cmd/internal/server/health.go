package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"lumen/store"
	"lumen/store/schema"
)

// The paths of the health checks. Neither asks for a credential, and neither is logged.
const (
	healthPath = "/healthz" // the process is alive
	readyPath  = "/readyz"  // the server is ready for requests
)

const (
	// readyFor is how long the server repeats one answer on readiness to all requests.
	readyFor = time.Second
	// checkTime is the time that the database has to show that it is ready.
	checkTime = 3 * time.Second
)

// Health tells whether a server is alive and whether it is ready for requests.
type Health struct {
	check    func(context.Context) error
	log      *slog.Logger
	stopping atomic.Bool

	mu      sync.Mutex
	checked time.Time
	err     error
}

// NewHealth returns the health of a server that is ready while check returns nil; see
// Backend.Ready.
func NewHealth(check func(context.Context) error, log *slog.Logger) *Health {
	return &Health{check: check, log: log}
}

// stop makes the server not ready for the rest of its life: it is about to end.
func (h *Health) stop() { h.stopping.Store(true) }

// wrap answers the two paths and passes all other requests to next.
func (h *Health) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = &closingWriter{ResponseWriter: w, health: h}
		switch r.URL.Path {
		case healthPath, readyPath:
			h.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// closingWriter closes the connection after the reply when the server is about to end, so that the
// client sends its next request to another server. The writer decides this when the reply begins,
// because a request may have arrived before the server was told to stop.
type closingWriter struct {
	http.ResponseWriter
	health *Health
	begun  bool
}

func (w *closingWriter) begin() {
	if !w.begun && w.health.stopping.Load() {
		w.Header().Set("Connection", "close")
	}
	w.begun = true
}

// WriteHeader implements http.ResponseWriter.
func (w *closingWriter) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *closingWriter) Write(body []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(body)
}

// Unwrap lets http.ResponseController through.
func (w *closingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ServeHTTP answers /healthz and /readyz.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		_, _ = fmt.Fprintf(w, `{"error":%q}`, store.NewError(store.MethodNotAllowed).Message)
		return
	}
	if r.URL.Path == healthPath {
		_, _ = w.Write([]byte(`{"status":"ok"}`))
		return
	}
	if reason := h.reason(r.Context()); reason != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintf(w, `{"status":"not ready","reason":%q}`, reason)
		return
	}
	_, _ = w.Write([]byte(`{"status":"ready"}`))
}

// reason returns why the server is not ready for requests, or "" when it is.
func (h *Health) reason(ctx context.Context) string {
	if h.stopping.Load() {
		return "stopping"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checked.IsZero() || time.Since(h.checked) > readyFor {
		// The answer serves every request of the next second, so the deadline of the first one must
		// not cut it short.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
		defer cancel()
		before := h.err
		h.err = h.check(ctx)
		h.checked = time.Now()
		h.report(ctx, before)
	}
	return reasonOf(h.err)
}

func reasonOf(err error) string {
	var why *schema.NotReadyError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &why):
		return why.Reason
	default:
		return schema.NoDatabase
	}
}

// report logs a change of readiness with its cause, which no reply contains.
func (h *Health) report(ctx context.Context, before error) {
	switch now := reasonOf(h.err); {
	case now == reasonOf(before):
	case now == "":
		h.log.InfoContext(ctx, "ready again")
	default:
		h.log.WarnContext(ctx, "not ready", "error", h.err)
	}
}
