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
// registry of errors, and numbers. Nothing in it comes from a client.
type Outcome struct {
	// Operation is the root field's name in the schema. It is guard.SeveralFields when there are
	// different ones, and guard.NoField when the request was refused before that was known.
	Operation string
	// Code is that of the first error, user errors included; "" for none.
	Code store.Code
	// Cost is what the operation costs, 0 when the request was refused before that was known.
	Cost int
	// Document is where its document came from.
	Document guard.DocumentSource
}

// Operations returns all that Outcome.Operation can be.
func Operations() []string {
	schema := schema()
	names := []string{guard.NoField, guard.SeveralFields, "__typename"}
	for _, field := range append(schema.Query.Fields, schema.Mutation.Fields...) {
		names = append(names, field.Name)
	}
	return names
}

// outcomeRecorder collects the outcome of one request. Fields record their errors concurrently.
type outcomeRecorder struct {
	mu sync.Mutex
	Outcome
}

type recorderKey struct{}

func (r *outcomeRecorder) outcome() Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Outcome
}

// end ends the span of the operation.
func (r *outcomeRecorder) end(span trace.Span) {
	if code := r.outcome().Code; code != "" && span.IsRecording() {
		span.SetAttributes(codeKey.String(string(code)))
	}
	span.End()
}

// recordCode records an error's code: in the outcome when it is the first, and in the span of ctx,
// which it returns.
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

// codeKey is the attribute of spans that holds the registry's code.
const codeKey = attribute.Key("lumen.code")

// recordFailure is recordCode for an error that ends the span. Its cause is for the log alone.
func recordFailure(ctx context.Context, code store.Code) {
	recordCode(ctx, code).SetStatus(codes.Error, string(code))
}

// startSpan starts a span below that of ctx, where that is recorded; else it costs next to nothing.
func startSpan(ctx context.Context, name string) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, noSpan
	}
	return parent.TracerProvider().Tracer("lumen/graph").Start(ctx, name)
}

var noSpan = trace.SpanFromContext(context.Background())

// traceField has a span for each root field, by its name in the schema.
func traceField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return next(ctx)
	}
	field := graphql.GetRootFieldContext(ctx).Field
	ctx, span := startSpan(ctx, field.ObjectDefinition.Name+"."+field.Name)
	defer span.End()
	return next(ctx)
}

// operationTypes are the names and the attributes of the spans of operations.
var operationTypes = map[ast.Operation]attribute.KeyValue{
	ast.Query:    semconv.GraphQLOperationTypeQuery,
	ast.Mutation: semconv.GraphQLOperationTypeMutation,
}
