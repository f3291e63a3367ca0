package server

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"lumen/graph"
	"lumen/graph/guard"
	"lumen/store"
)

// requestIDHeader holds the id of a request in requests and in replies. The server keeps a
// well-formed id from a proxy. Replies that shared caches may store have no id.
const requestIDHeader = "X-Request-Id"

// requestIDForm matches the ids that gateways make: UUIDs, base64, Kong's uuid#counter, Azure's
// |id.
var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._~+/=:|#@-]{1,128}$`)

// requestInfo is what the log, the metrics and the trace report about a request. Most of it is
// known only to inner handlers, which annotate it. It also holds the header of the reply, for the
// limiter, which has no http.ResponseWriter.
type requestInfo struct {
	requestID string
	traceID   string // "" when the request is not traced
	merchant  string
	key       string // the API key, or the one that made the access token
	noun, row string // the row that the request found by id or wrote; "" for none or several
	operation string
	code      store.Code // "" when no error was reported
	status    int
	header    http.Header
	aborted   bool
	waited    time.Duration // for changes; the metrics leave it out

	cost     int // of a GraphQL operation
	document guard.DocumentSource
}

type requestInfoKey struct{}

// RequestID returns the id of the request that ctx belongs to, or "" outside of a request.
func RequestID(ctx context.Context) string {
	if info, ok := ctx.Value(requestInfoKey{}).(*requestInfo); ok {
		return info.requestID
	}
	return ""
}

func annotate(ctx context.Context, change func(*requestInfo)) {
	if info, ok := ctx.Value(requestInfoKey{}).(*requestInfo); ok {
		change(info)
	}
}

// annotateREST records what the REST API reports.
func annotateREST(ctx context.Context, operation string, code store.Code) {
	annotate(ctx, func(info *requestInfo) {
		if operation != "" {
			info.operation = operation
		}
		if code != "" {
			info.code = code
		}
	})
}

// annotateRow records the row that the REST API reports. The caller got this row. The id in a path
// is not recorded, because a client may put any text into the form of an id, for example an email
// address with underscores.
func annotateRow(ctx context.Context, noun, id string) {
	annotate(ctx, func(info *requestInfo) { info.noun, info.row = noun, id })
}

// annotateWait records how long the request waited for changes.
func annotateWait(ctx context.Context, d time.Duration) {
	annotate(ctx, func(info *requestInfo) { info.waited = d })
}

// annotateGraphQL records what the GraphQL API reports.
func annotateGraphQL(ctx context.Context, o graph.Outcome) {
	annotate(ctx, func(info *requestInfo) {
		info.operation, info.code, info.cost, info.document = o.Operation, o.Code, o.Cost, o.Document
		info.noun, info.row = o.Noun, o.ID
	})
}

// okCode is the code of a request that succeeded.
const okCode store.Code = "OK"

// outcome returns the code that the API reported for the request, or else the code of the status.
func (info *requestInfo) outcome() store.Code {
	switch {
	case info.code != "":
		return info.code
	case info.status < http.StatusBadRequest:
		return okCode
	}
	if code, ok := statusCodes[info.status]; ok {
		return code
	}
	if info.status < http.StatusInternalServerError {
		return store.BadRequest
	}
	return store.Internal
}

// statusCodes are the codes of replies that no API wrote.
var statusCodes = map[int]store.Code{
	http.StatusForbidden: store.Forbidden, http.StatusNotFound: store.RouteNotFound,
	http.StatusMethodNotAllowed: store.MethodNotAllowed, http.StatusTooManyRequests: store.RateLimited,
	http.StatusServiceUnavailable: store.Unavailable,
}

// observe gives each request an id, counts it in the metrics, and writes its line of the access
// log, unless the sampler skips it. The records hold no text that a client can choose: no query,
// header or body, and of the path and the method only the name of a known route and method.
func observe(log *slog.Logger, metrics *Metrics, next http.Handler) http.Handler {
	access := newAccessLog(log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		reply := &replyWriter{ResponseWriter: w, requestInfo: requestInfo{
			requestID: requestID(r), status: http.StatusOK, header: header, operation: guard.NoField, aborted: true,
		}}
		info := &reply.requestInfo
		header[requestIDHeader] = []string{info.requestID}
		span := trace.SpanFromContext(r.Context())
		if traced := span.SpanContext(); traced.IsValid() {
			info.traceID = traced.TraceID().String()
		}
		ctx := context.WithValue(r.Context(), requestInfoKey{}, info)
		route := routes.of(r.URL.Path)
		metrics.begin(route.api)
		start := time.Now()
		defer func() {
			end := time.Now()
			info.aborted = info.aborted || r.Context().Err() != nil
			metrics.end(route.api, info, end.Sub(start)-info.waited)
			info.describe(span, route.pattern)
			access.write(ctx, info, methodOf(r), route.pattern, start, end)
		}()
		next.ServeHTTP(reply, r.WithContext(ctx))
		reply.begin() // when next wrote nothing
		info.aborted = false
	})
}

// requestID returns the id that a proxy gave the request, if it is well-formed, or else a new id.
// Ids have to be unique, not hard to guess, so they do not need crypto/rand, which calls the
// kernel.
func requestID(r *http.Request) string {
	if given := r.Header[requestIDHeader]; len(given) > 0 && requestIDForm.MatchString(given[0]) {
		return given[0]
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var id [26]byte
	var random uint64
	for i := range id {
		if i%12 == 0 { // 12 letters take 60 bits
			random = rand.Uint64()
		}
		id[i] = alphabet[random%32]
		random /= 32
	}
	return string(id[:])
}

// methodOf returns the method of the request if it is a usual one. A client may send any word as a
// method.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return r.Method
	}
	return "other"
}

// replyWriter records the status, and removes the request id from replies that shared caches may
// keep. It contains the requestInfo, so that both are one allocation.
type replyWriter struct {
	http.ResponseWriter
	requestInfo
	begun bool
}

// begin completes the header when the reply begins, because Cache-Control is known only then. A
// shared cache repeats the header of the request that filled it in every reply, and a client that
// reports this id would report another client's request. No other header of a public reply depends
// on the request.
func (w *replyWriter) begin() {
	if w.begun {
		return
	}
	w.begun = true
	if cache := w.header["Cache-Control"]; len(cache) > 0 && strings.Contains(cache[0], "public") {
		delete(w.header, requestIDHeader)
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *replyWriter) WriteHeader(status int) {
	w.begin()
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *replyWriter) Write(body []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(body)
}

// Unwrap lets http.ResponseController through.
func (w *replyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WithRequestID returns a handler whose records have the ids of the request and the trace that they
// were logged for.
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
