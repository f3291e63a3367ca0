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

// Outcome is what may be told of a request to this door: words of the schema, of the registry of errors and numbers,
// nothing that a client wrote.
type Outcome struct {
	// Operation is the root field's name in the schema: guard.SeveralFields when there are different ones, guard.NoField when the request
	// was refused before that was known.
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

// telling is an outcome in the making.
type telling struct {
	mu sync.Mutex
	Outcome
}

type tellingKey struct{}

func (t *telling) outcome() Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Outcome
}

// end ends the span of the operation.
func (t *telling) end(span trace.Span) {
	if code := t.outcome().Code; code != "" && span.IsRecording() {
		span.SetAttributes(codeKey.String(string(code)))
	}
	span.End()
}

// tell takes note of an error's code: the outcome's when it is the first, and that of the span that ctx is in.
func tell(ctx context.Context, code store.Code) trace.Span {
	if t, ok := ctx.Value(tellingKey{}).(*telling); ok {
		t.mu.Lock()
		if t.Code == "" {
			t.Code = code
		}
		t.mu.Unlock()
	}
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		span.SetAttributes(codeKey.String(string(code)))
	}
	return span
}

// codeKey is the attribute of spans that holds the registry's code.
const codeKey = attribute.Key("lumen.code")

// fails is tell for an error that the span ends with. What caused it is for the log alone.
func fails(ctx context.Context, code store.Code) {
	tell(ctx, code).SetStatus(codes.Error, string(code))
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
