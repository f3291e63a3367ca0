package graph

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"lumen/graph/guard"
	"lumen/store"
)

// Outcome is what logs, metrics and traces may tell of a request: words of the schema and of the
// registry of errors, numbers, and for the log the id of a row. Nothing in it comes from a client.
type Outcome struct {
	// Operation is the name of the root field in the schema. It is guard.SeveralFields when the
	// operation has different root fields, and guard.NoField when the request was refused earlier.
	Operation string
	// Code is the code of the first error, including user errors; "" for none.
	Code store.Code
	// Cost is the cost of the operation, or 0 when the request was refused earlier.
	Cost int
	// Document is the source of the document.
	Document guard.DocumentSource
	// Noun and ID name the one row that the operation found by id, created, changed or deleted.
	// They are "" if there was no such row or more than one. The rows of lists do not count.
	Noun, ID string
}

// Operations returns all values that Outcome.Operation can have.
func Operations() []string {
	schema := schema()
	names := []string{guard.NoField, guard.SeveralFields, "__typename"}
	for _, field := range append(schema.Query.Fields, schema.Mutation.Fields...) {
		names = append(names, field.Name)
	}
	return names
}

// outcomeRecorder collects the outcome of one request. It has a lock because fields of an operation
// run, and fail, concurrently.
type outcomeRecorder struct {
	mu sync.Mutex
	Outcome
	severalRows bool
	receipt     store.Receipt // of the last write; mutations write one after the other
}

type recorderKey struct{}

func (r *outcomeRecorder) outcome() Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Outcome
}

// recordRow records a row that the operation found by id or wrote.
func recordRow(ctx context.Context, noun, id string) {
	r, ok := ctx.Value(recorderKey{}).(*outcomeRecorder)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.severalRows = r.severalRows || r.ID != "" && r.ID != id; r.severalRows {
		noun, id = "", ""
	}
	r.Noun, r.ID = noun, id
}

// end ends the span of the operation.
func (r *outcomeRecorder) end(span trace.Span) {
	if code := r.outcome().Code; code != "" && span.IsRecording() {
		span.SetAttributes(codeKey.String(string(code)))
	}
	span.End()
}

// recordCode records the code of an error in the span of ctx, which it returns, and in the outcome
// unless that has one already.
func recordCode(ctx context.Context, code store.Code) trace.Span {
	if r, ok := ctx.Value(recorderKey{}).(*outcomeRecorder); ok {
		r.mu.Lock()
		if r.Code == "" {
			r.Code = code
		}
		r.mu.Unlock()
	}
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		span.SetAttributes(codeKey.String(string(code)))
	}
	return span
}

// codeKey is the span attribute for a code of the error registry.
const codeKey = attribute.Key("lumen.code")

// recordFailure records the code of an error and marks the span of ctx as failed. The cause of the
// error goes only to the log.
func recordFailure(ctx context.Context, code store.Code) {
	recordCode(ctx, code).SetStatus(codes.Error, string(code))
}

// startSpan starts a child of the span of ctx. If that span is not recorded, it returns noSpan,
// which costs hardly any time.
func startSpan(ctx context.Context, name string) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, noSpan
	}
	return parent.TracerProvider().Tracer("lumen/graph").Start(ctx, name)
}

var noSpan = trace.SpanFromContext(context.Background())

// traceField wraps each root field in a span with the field's name in the schema.
func traceField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return next(ctx)
	}
	field := graphql.GetRootFieldContext(ctx).Field
	ctx, span := startSpan(ctx, field.ObjectDefinition.Name+"."+field.Name)
	defer span.End()
	return next(ctx)
}

// operationTypes holds the span attribute of each type of operation.
var operationTypes = map[ast.Operation]attribute.KeyValue{
	ast.Query:    semconv.GraphQLOperationTypeQuery,
	ast.Mutation: semconv.GraphQLOperationTypeMutation,
}
