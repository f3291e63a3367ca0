package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"lumen/graph"
	"lumen/graph/guard"
	"lumen/store"
)

// requestIDHeader carries the request's id in both directions: a well-formed one that a proxy gave is kept. Replies
// that shared caches may keep do not carry it.
const requestIDHeader = "X-Request-Id"

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestInfo is what the log, the metrics and the trace say of a request. Most of it only handlers
// further in know; they annotate it. It also holds the header of the reply, for the limiter, which has
// no http.ResponseWriter.
type requestInfo struct {
	requestID string
	traceID   string // "" when it is not traced
	merchant  string
	operation string
	code      store.Code // "" when nothing was refused
	status    int
	header    http.Header
	aborted   bool
	left      bool // by the client

	cost     int // of a GraphQL operation
	document guard.DocumentSource
}

type requestInfoKey struct{}

// RequestID returns the id of the request that ctx belongs to, "" outside of one.
func RequestID(ctx context.Context) string {
	if n, ok := ctx.Value(requestInfoKey{}).(*requestInfo); ok {
		return n.requestID
	}
	return ""
}

func annotate(ctx context.Context, change func(*requestInfo)) {
	if n, ok := ctx.Value(requestInfoKey{}).(*requestInfo); ok {
		change(n)
	}
}

// annotateREST takes what the REST door reports.
func annotateREST(ctx context.Context, operation string, code store.Code) {
	annotate(ctx, func(n *requestInfo) {
		if operation != "" {
			n.operation = operation
		}
		if code != "" {
			n.code = code
		}
	})
}

// annotateGraphQL takes what the GraphQL door reports.
func annotateGraphQL(ctx context.Context, o graph.Outcome) {
	annotate(ctx, func(n *requestInfo) {
		n.operation, n.code, n.cost, n.document = o.Operation, o.Code, o.Cost, o.Document
	})
}

// The outcomes of a request that was not refused, and of one that its client left before the database
// had answered.
const (
	okCode   store.Code = "OK"
	leftCode store.Code = "CLIENT_CLOSED_REQUEST"
)

// outcome is the code of the request: the one that its door reported, else the one of the status.
func (n *requestInfo) outcome() store.Code {
	switch {
	case n.left && n.code == store.Unavailable:
		return leftCode
	case n.code != "":
		return n.code
	case n.status < http.StatusBadRequest:
		return okCode
	}
	if code, ok := statusCodes[n.status]; ok {
		return code
	}
	if n.status < http.StatusInternalServerError {
		return store.BadRequest
	}
	return store.Internal
}

// statusCodes are the codes of replies that no door gave.
var statusCodes = map[int]store.Code{
	http.StatusForbidden: store.Forbidden, http.StatusNotFound: store.RouteNotFound,
	http.StatusMethodNotAllowed: store.MethodNotAllowed, http.StatusTooManyRequests: store.RateLimited,
	http.StatusServiceUnavailable: store.Unavailable,
}

// observe gives each request an id, a line in the log, if it is not one of very many refusals, and a place in the metrics. None
// of them hold anything that a client can choose: no query, header or body, and of path and method only which of the known
// ones it is.
func observe(log *slog.Logger, metrics *Metrics, next http.Handler) http.Handler {
	var refusals logSampler
	access := accessHandler(log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := &requestInfo{requestID: r.Header.Get(requestIDHeader), status: http.StatusOK, header: w.Header(), operation: guard.NoField, aborted: true}
		if !requestIDForm.MatchString(n.requestID) {
			n.requestID = rand.Text()
		}
		w.Header().Set(requestIDHeader, n.requestID)
		span := trace.SpanFromContext(r.Context())
		if traced := span.SpanContext(); traced.IsValid() {
			n.traceID = traced.TraceID().String()
		}
		ctx := context.WithValue(r.Context(), requestInfoKey{}, n)
		route := routes.of(r.URL.Path)
		metrics.begin(route.door)
		start := time.Now()
		defer func() {
			took := time.Since(start)
			n.left = r.Context().Err() != nil
			n.aborted = n.aborted || n.left
			metrics.end(route.door, n, took)
			n.describe(span, route.pattern)
			code := n.outcome()
			attributes := []slog.Attr{
				slog.String("method", methodOf(r)), slog.String("route", route.pattern), slog.String("operation", n.operation),
				slog.String("code", string(code)), slog.Int("status", n.status), slog.Bool("aborted", n.aborted),
				slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("merchant", n.merchant),
			}
			if code == store.RateLimited || code == store.Unavailable {
				logged, before := refusals.next(start)
				if !logged {
					return
				}
				attributes = append(attributes, slog.Int("unlogged", before))
			}
			if access.Enabled(ctx, slog.LevelInfo) {
				record := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
				record.AddAttrs(attributes...)
				_ = access.Handle(ctx, record)
			}
		}()
		reply := &replyWriter{ResponseWriter: w, notes: n}
		next.ServeHTTP(reply, r.WithContext(ctx))
		reply.begin() // if next wrote nothing
		n.aborted = false
	})
}

// methodOf is the request's method, if it is a usual one: a method can be any word.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// replyWriter remembers the status for the log, and takes the request's id out of replies that shared caches may keep.
type replyWriter struct {
	http.ResponseWriter
	notes *requestInfo
	begun bool
}

// begin completes the header when the reply begins, as only then Cache-Control is known. A shared cache hands out the
// header of the request that filled it with every reply, and a client that reports the id would report a stranger's
// request. Of what Lumen puts into a header, nothing else that varies by request comes with a public reply.
func (w *replyWriter) begin() {
	if !w.begun && strings.Contains(w.Header().Get("Cache-Control"), "public") {
		w.Header().Del(requestIDHeader)
	}
	w.begun = true
}

// WriteHeader implements http.ResponseWriter.
func (w *replyWriter) WriteHeader(status int) {
	w.begin()
	w.notes.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *replyWriter) Write(body []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(body)
}

// Unwrap lets http.ResponseController through.
func (w *replyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WithRequestID returns a handler whose records carry the id of the request that they were logged for, and of its trace.
func WithRequestID(handler slog.Handler) slog.Handler { return requestIDHandler{handler} }

type requestIDHandler struct{ slog.Handler }

func (h requestIDHandler) Handle(ctx context.Context, record slog.Record) error {
	if n, ok := ctx.Value(requestInfoKey{}).(*requestInfo); ok {
		record.AddAttrs(slog.String("requestId", n.requestID))
		if n.traceID != "" {
			record.AddAttrs(slog.String("traceId", n.traceID))
		}
	}
	return h.Handler.Handle(ctx, record)
}

func (h requestIDHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestIDHandler{h.Handler.WithAttrs(attrs)}
}

func (h requestIDHandler) WithGroup(name string) slog.Handler {
	return requestIDHandler{h.Handler.WithGroup(name)}
}
