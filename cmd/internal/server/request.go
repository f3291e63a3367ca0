package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"regexp"
	"time"
)

// requestIDHeader carries the request's id in both directions: a well-formed one that a proxy gave is kept.
const requestIDHeader = "X-Request-Id"

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// notes are what the log says of a request that is known only further in, and the headers of its reply, for those who never
// see that.
type notes struct {
	requestID string
	merchant  string
	status    int
	header    http.Header
}

type notesKey struct{}

// RequestID returns the id of the request that ctx belongs to, "" outside of one.
func RequestID(ctx context.Context) string {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		return n.requestID
	}
	return ""
}

func note(ctx context.Context, change func(*notes)) {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		change(n)
	}
}

// observe gives each request an id, and a line in the log: never its query, headers or body.
func observe(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := &notes{requestID: r.Header.Get(requestIDHeader), status: http.StatusOK, header: w.Header()}
		if !requestIDForm.MatchString(n.requestID) {
			n.requestID = rand.Text()
		}
		w.Header().Set(requestIDHeader, n.requestID)
		ctx := context.WithValue(r.Context(), notesKey{}, n)
		start := time.Now()
		aborted := true
		defer func() {
			log.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("method", r.Method), slog.String("route", route(r.URL.Path)),
				slog.Int("status", n.status), slog.Bool("aborted", aborted || r.Context().Err() != nil),
				slog.Duration("duration", time.Since(start).Round(time.Microsecond)), slog.String("merchant", n.merchant))
		}()
		next.ServeHTTP(&statusWriter{ResponseWriter: w, notes: n}, r.WithContext(ctx))
		aborted = false
	})
}

// statusWriter remembers the status for the log.
type statusWriter struct {
	http.ResponseWriter
	notes *notes
}

func (w *statusWriter) WriteHeader(status int) {
	w.notes.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController through.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WithRequestID returns a handler whose records carry the id of the request that they were logged for.
func WithRequestID(handler slog.Handler) slog.Handler { return requestIDHandler{handler} }

type requestIDHandler struct{ slog.Handler }

func (h requestIDHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := RequestID(ctx); id != "" {
		record.AddAttrs(slog.String("requestId", id))
	}
	return h.Handler.Handle(ctx, record)
}

func (h requestIDHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestIDHandler{h.Handler.WithAttrs(attrs)}
}

func (h requestIDHandler) WithGroup(name string) slog.Handler {
	return requestIDHandler{h.Handler.WithGroup(name)}
}
