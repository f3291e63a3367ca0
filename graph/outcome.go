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

	"lumen/graph/generated"
	"lumen/store"
)

// Outcome is what may be told of a request to this door: words of the schema, of the registry of errors and numbers,
// nothing that a client wrote.
type Outcome struct {
	// Operation is the root field's name in the schema: SeveralFields when there are different ones, NoField when the request
	// was refused before that was known.
	Operation string
	// Code is that of the first error, user errors included; "" for none.
	Code store.Code
	// Cost is what the operation costs, 0 when the request was refused before that was known.
	Cost int
	// Document is where its document came from.
	Document DocumentSource
}

// What is told in the place of a root field's name.
const (
	SeveralFields = "several"
	NoField       = "none"
)

// DocumentSource is where the document of a request came from.
type DocumentSource string

// The sources of documents.
const (
	NoDocument      DocumentSource = "" // the request was refused before
	TrustedDocument DocumentSource = "trusted"
	KeptDocument    DocumentSource = "kept" // from an earlier request
	ParsedDocument  DocumentSource = "parsed"
)

// Operations returns all that Outcome.Operation can be.
func Operations() []string {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	names := []string{NoField, SeveralFields, "__typename"}
	for _, field := range append(schema.Query.Fields, schema.Mutation.Fields...) {
		names = append(names, field.Name)
	}
	return names
}

// rootFields finds Outcome.Operation of the operations of one document: what their selections select, whatever they skip. It
// looks at each fragment once, however often it is spread.
type rootFields map[*ast.FragmentDefinition]string

func (known rootFields) of(set ast.SelectionSet) string {
	name := NoField
	for _, selection := range set {
		this := NoField
		switch s := selection.(type) {
		case *ast.Field:
			this = s.Name
		case *ast.InlineFragment:
			this = known.of(s.SelectionSet)
		case *ast.FragmentSpread:
			if _, seen := known[s.Definition]; !seen {
				known[s.Definition] = known.of(s.Definition.SelectionSet)
			}
			this = known[s.Definition]
		}
		switch name {
		case this:
		case NoField:
			name = this
		default:
			return SeveralFields
		}
	}
	return name
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
