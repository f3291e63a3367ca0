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

// RunStatement runs work, which sends a statement: within the statement's deadline, admitted by the
// gate for the tenant, and in a span of its own. on is the attribute that names what the statement is
// on. The caller maps the errors of the gate.
//
// A client that leaves ends the wait for admission. It does not end a statement that was admitted:
// that would cost its connection, and clients that leave by the thousand would take the pool from
// everybody. Most statements are over sooner than a new connection is made.
func RunStatement(
	ctx context.Context, g *gate.Gate, tenant, statement string, on attribute.KeyValue, work func(context.Context) error,
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

// startStatement starts a span for a statement below that of ctx, where that is recorded; else it costs next to nothing. on is
// the attribute that names what the statement is on. The span never holds the statement: there may be values in it.
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

// endStatement ends the span of a statement. Of what went wrong it holds codes, the registry's and Postgres's, and no text.
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
