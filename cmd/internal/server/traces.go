package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"lumen/store"
)

// Tracing sends traces of the requests to the APIs to a collector, as the standard OTEL_ variables
// say.
type Tracing struct{ provider *sdktrace.TracerProvider }

// NewTracing returns Tracing when OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
// is set, else nil. Its errors describe what is wrong with the variables. A collector that does not
// answer is no error: the log gets a warning from time to time.
func NewTracing(ctx context.Context, log *slog.Logger) (*Tracing, error) {
	endpoint := setting("ENDPOINT")
	if endpoint == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") ||
		os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil
	}
	if exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter != "" && exporter != "otlp" {
		return nil, errors.New("OTEL_TRACES_EXPORTER is neither otlp nor none")
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT is not a URL; it looks like http://collector:4318")
	}
	start := map[string]func(context.Context) (*otlptrace.Exporter, error){
		"http/protobuf": overHTTP, "http/json": overHTTP, "grpc": overGRPC,
	}[cmp.Or(setting("PROTOCOL"), "http/protobuf")]
	if start == nil {
		return nil, errors.New("OTEL_EXPORTER_OTLP_PROTOCOL is none of http/protobuf, http/json and grpc")
	}
	// The messages of the library itself go to the log as well.
	otel.SetLogger(logr.FromSlogHandler(messageOnly{log.With("from", "OpenTelemetry").Handler()}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing", "error", err) }))
	exporter, err := start(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	from, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("lumen")), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return newTracing(exporter, from, log), nil
}

// messageOnly drops the attributes of a record. They hold the values of malformed variables, which
// may be secrets.
type messageOnly struct{ slog.Handler }

// Handle implements slog.Handler.
func (h messageOnly) Handle(ctx context.Context, record slog.Record) error {
	return h.Handler.Handle(ctx, slog.NewRecord(record.Time, record.Level, record.Message, record.PC))
}

// WithAttrs implements slog.Handler.
func (h messageOnly) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h messageOnly) WithGroup(string) slog.Handler { return h }

// The exporters read their own variables, including the choice of http/json.
func overHTTP(ctx context.Context) (*otlptrace.Exporter, error) { return otlptracehttp.New(ctx) }
func overGRPC(ctx context.Context) (*otlptrace.Exporter, error) { return otlptracegrpc.New(ctx) }

// setting returns the value of an OTEL_EXPORTER_OTLP_ variable. The variable for traces wins over
// the one for all signals.
func setting(name string) string {
	return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_"+name), os.Getenv("OTEL_EXPORTER_OTLP_"+name))
}

func newTracing(exporter sdktrace.SpanExporter, from *resource.Resource, log *slog.Logger) *Tracing {
	redacting := &redactingExporter{SpanExporter: exporter, log: log}
	return &Tracing{sdktrace.NewTracerProvider(sdktrace.WithBatcher(redacting), sdktrace.WithResource(from))}
}

// flushTime is how long Stop tries to send the remaining spans.
const flushTime = 3 * time.Second

// Stop sends the remaining spans for up to flushTime. On nil Tracing it does nothing.
func (t *Tracing) Stop(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the exporter has logged the error
}

// wrap returns a handler that starts a span for each request to one of the APIs, as a child of the
// span that its traceparent names. On nil Tracing it returns next.
func (t *Tracing) wrap(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return otelhttp.NewHandler(next, "",
		otelhttp.WithTracerProvider(t.provider), otelhttp.WithMeterProvider(noop.NewMeterProvider()),
		otelhttp.WithPropagators(traceparentOnly{}),
		otelhttp.WithFilter(func(r *http.Request) bool { return routes.of(r.URL.Path).api != apiOther }),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
			return methodOf(r) + " " + routes.of(r.URL.Path).pattern
		}))
}

// traceparentOnly reads the W3C traceparent of a request. It ignores tracestate and baggage, which
// are free text from the client.
type traceparentOnly struct{ propagation.TraceContext }

// Extract implements propagation.TextMapPropagator.
func (p traceparentOnly) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	parent := trace.SpanContextFromContext(p.TraceContext.Extract(ctx, carrier))
	return trace.ContextWithRemoteSpanContext(ctx, parent.WithTraceState(trace.TraceState{}))
}

// Lumen's own attributes.
const (
	codeKey      = attribute.Key("lumen.code")
	operationKey = attribute.Key("lumen.operation")
	merchantKey  = attribute.Key("lumen.merchant.id")
)

// describe sets the outcome of the request in its span. The span has failed when the error is the
// server's.
func (i *requestInfo) describe(span trace.Span, route string) {
	if !span.IsRecording() {
		return
	}
	code := i.outcome()
	span.SetAttributes(semconv.HTTPRoute(route), operationKey.String(i.operation), codeKey.String(string(code)))
	if i.merchant != "" {
		span.SetAttributes(merchantKey.String(i.merchant))
	}
	if code == store.Internal || code == store.Unavailable {
		span.SetStatus(codes.Error, string(code))
	}
}

// redactingExporter exports only what cannot hold text from a client: the allowed attributes of a
// span, and the registry's code as its status, but no events and no links. So an attribute that a
// later version of a library adds to spans is not exported.
type redactingExporter struct {
	sdktrace.SpanExporter
	log *slog.Logger

	mu     sync.Mutex
	warned time.Time
	lost   int // spans lost since that warning
}

// allowed lists the exported attributes. Their values are from closed sets, or numbers, or ids that
// Lumen made.
var allowed = map[attribute.Key]bool{
	semconv.HTTPRequestMethodKey: true, semconv.HTTPRouteKey: true, semconv.HTTPResponseStatusCodeKey: true,
	semconv.HTTPRequestBodySizeKey: true, semconv.HTTPResponseBodySizeKey: true,
	semconv.GraphQLOperationTypeKey: true,
	semconv.DBSystemNameKey:         true, semconv.DBOperationNameKey: true, semconv.DBCollectionNameKey: true,
	semconv.DBStoredProcedureNameKey: true, semconv.DBResponseStatusCodeKey: true,
	codeKey: true, operationKey: true, merchantKey: true,
}

type redactedSpan struct{ sdktrace.ReadOnlySpan }

func (s redactedSpan) Attributes() []attribute.KeyValue {
	var kept []attribute.KeyValue
	for _, a := range s.ReadOnlySpan.Attributes() {
		if allowed[a.Key] {
			kept = append(kept, a)
		}
	}
	return kept
}

func (redactedSpan) Events() []sdktrace.Event { return nil }
func (redactedSpan) Links() []sdktrace.Link   { return nil }

func (s redactedSpan) Status() sdktrace.Status {
	status := s.ReadOnlySpan.Status()
	status.Description = ""
	if status.Code != codes.Error {
		return status
	}
	for _, a := range s.ReadOnlySpan.Attributes() {
		if a.Key == codeKey {
			status.Description = a.Value.AsString()
		}
	}
	return status
}

// warnEvery is the shortest time between two warnings that traces cannot be exported.
const warnEvery = time.Minute

// ExportSpans implements sdktrace.SpanExporter.
func (e *redactingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	kept := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		kept[i] = redactedSpan{span}
	}
	err := e.SpanExporter.ExportSpans(ctx, kept)
	if err == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost += len(spans)
	if now := time.Now(); now.Sub(e.warned) >= warnEvery {
		e.log.WarnContext(ctx, "traces cannot be exported", "spans", e.lost, "error", err)
		e.warned, e.lost = now, 0
	}
	return nil // the warning has the error
}
