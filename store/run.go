package store

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"lumen/store/gate"
	"lumen/store/postgres"
)

// RunStatement calls work, which sends a statement. It waits for the gate to admit the tenant's
// statement, bounds the whole by the statement's deadline, and records a span. on is the span
// attribute that names what the statement works on. The caller translates the gate's errors.
//
// If the client leaves, the wait for admission ends, but a statement that was admitted runs to its
// end. To cancel a statement costs its connection, so clients that leave by the thousand would take
// the pool away from everybody else. Most statements finish sooner than a new connection is made.
func RunStatement(
	ctx context.Context, g *gate.Gate, tenant, statement string, on attribute.KeyValue,
	work func(context.Context) error,
) (err error) {
	ctx, cancel := gate.WithDeadline(ctx)
	defer cancel()
	admitted, err := g.Enter(ctx, tenant)
	if err != nil {
		return err
	}
	defer func() { g.Leave(admitted, err == nil || !postgres.IsOutage(err)) }()
	if err := ctx.Err(); err != nil {
		return err
	}
	until, _ := ctx.Deadline()
	ctx, finish := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer finish()
	ctx, span := startStatement(ctx, statement, on)
	defer func() { endStatement(span, err) }()
	return work(ctx)
}

// startStatement starts a span for a statement, as a child of the span in ctx. If that span is not
// recorded, it costs almost nothing. The span never holds the statement, whose text may hold
// values.
func startStatement(ctx context.Context, statement string, on attribute.KeyValue) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, noSpan
	}
	verb, _, _ := strings.Cut(statement, " ")
	return parent.TracerProvider().Tracer("lumen/store").Start(ctx, verb+" "+on.Value.AsString(),
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(semconv.DBSystemNamePostgreSQL, semconv.DBOperationName(verb), on))
}

var noSpan = trace.SpanFromContext(context.Background())

// endStatement ends the span. For an error the span holds the store's code and Postgres's SQLSTATE,
// and no text.
func endStatement(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		var known *Error
		errors.As(Failed("", err), &known)
		span.SetAttributes(attribute.String("lumen.code", string(known.Code)))
		span.SetStatus(codes.Error, string(known.Code))
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) {
			span.SetAttributes(semconv.DBResponseStatusCode(pgErr.Code))
		}
	}
	span.End()
}
