// Package encode writes rows, and edges of pages, as JSON directly from the column tables of the
// nouns. It reads a selection once and not once for each row. gqlgen's executor keeps a context, a
// path for errors and a recover for each value, which is nine tenths of the work for a page. The
// fields of a row need none of that: they have no resolvers, cannot fail and always fit the schema.
package encode

import (
	"context"
	"io"
	"reflect"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/graph/guard"
	"lumen/graph/model"
	"lumen/store"
)

// Rows is an extension of the executor that writes each field whose value is a row, a list of rows
// or a list of edges. It leaves a selection to the executor if the column table of the noun lacks
// one of the fields.
type Rows struct{ encoders map[reflect.Type]encoder }

var (
	_ graphql.HandlerExtension = Rows{}
	_ graphql.FieldInterceptor = Rows{}
)

// encoder returns a resolved value as JSON, or false to leave the value to the executor.
type encoder func(ctx context.Context, resolved any) (JSON, bool)

// NewRows returns the extension for the nouns.
func NewRows(nouns ...Noun) Rows {
	r := Rows{make(map[reflect.Type]encoder)}
	for _, noun := range nouns {
		noun(r.encoders)
	}
	return r
}

// Noun adds the encoders of one noun.
type Noun func(map[reflect.Type]encoder)

// Of returns the Noun with rows of type T and with this type name in the schema.
func Of[T any](typeName string) Noun {
	rows := rowFields[T]()
	row := func(ctx context.Context, selected ast.SelectionSet) (object[*T], bool) {
		appenderOf := func(f graphql.CollectedField) appender[*T] { return rows[f.Name] }
		return newObject(ctx, selected, []string{typeName, "Node"}, appenderOf)
	}
	edge := func(ctx context.Context, selected ast.SelectionSet) (object[*model.Edge[T]], bool) {
		appenderOf := func(f graphql.CollectedField) appender[*model.Edge[T]] {
			switch f.Name {
			case "cursor":
				return func(to []byte, e *model.Edge[T]) []byte { return store.AppendText(to, e.Cursor) }
			case "node":
				if node, ok := row(ctx, f.Selections); ok {
					return func(to []byte, e *model.Edge[T]) []byte { return node.append(to, e.Node) }
				}
			}
			return nil
		}
		return newObject(ctx, selected, []string{typeName + "Edge"}, appenderOf)
	}
	return func(encoders map[reflect.Type]encoder) {
		encoders[reflect.TypeFor[*T]()] = func(ctx context.Context, resolved any) (JSON, bool) {
			value := resolved.(*T)
			if value == nil {
				return nil, false
			}
			o, ok := memoized(ctx, row)
			if !ok {
				return nil, false
			}
			return o.append(make([]byte, 0, 512), value), true
		}
		encoders[reflect.TypeFor[[]*T]()] = list(row)
		encoders[reflect.TypeFor[[]*model.Edge[T]]()] = list(edge)
	}
}

// ExtensionName implements graphql.HandlerExtension.
func (Rows) ExtensionName() string { return "Rows" }

// Validate implements graphql.HandlerExtension.
func (Rows) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptField implements graphql.FieldInterceptor.
func (r Rows) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	resolved, err := next(ctx)
	if err != nil || resolved == nil {
		return resolved, err
	}
	if encode, ok := r.encoders[reflect.TypeOf(resolved)]; ok {
		if encoded, ok := encode(ctx, resolved); ok {
			return encoded, nil
		}
	}
	return resolved, nil
}

// memoized returns the object for the selection of the field of ctx. It makes the object once for
// each field of a document, and again for each request if variables decide which fields are
// selected or if the selections of several fields are merged.
func memoized[V any](
	ctx context.Context, objectOf func(context.Context, ast.SelectionSet) (object[V], bool),
) (object[V], bool) {
	field := graphql.GetFieldContext(ctx).Field
	memo := guard.Memo(ctx)
	if memo == nil || len(field.Selections) != len(field.SelectionSet) || hasDirective(field.Selections) {
		return objectOf(ctx, field.Selections)
	}
	if made, ok := memo.Load(field.Field); ok {
		o, ok := made.(object[V])
		return o, ok
	}
	o, ok := objectOf(ctx, field.Selections)
	if ok {
		memo.Store(field.Field, o)
	}
	return o, ok
}

// hasDirective reports whether a selection, including its fragments, has a directive.
func hasDirective(set ast.SelectionSet) bool {
	return slices.ContainsFunc(set, func(selection ast.Selection) bool {
		switch s := selection.(type) {
		case *ast.Field:
			return len(s.Directives) > 0 || hasDirective(s.SelectionSet)
		case *ast.InlineFragment:
			return len(s.Directives) > 0 || hasDirective(s.SelectionSet)
		case *ast.FragmentSpread:
			return len(s.Directives) > 0 || hasDirective(s.Definition.SelectionSet)
		}
		return true
	})
}

// JSON is an encoded value. It is encoded while its field is resolved, so a panic becomes an error
// of that field. A panic while the reply is written would fail the whole request.
type JSON []byte

// MarshalGQL implements graphql.Marshaler.
func (j JSON) MarshalGQL(to io.Writer) { _, _ = to.Write(j) }

// object writes the members of one selection on values of type V, in order.
type object[V any] []member[V]

type member[V any] struct {
	key   string // with quotes and colon
	write appender[V]
}

// appender appends a value as JSON.
type appender[V any] func([]byte, V) []byte

func (o object[V]) append(to []byte, value V) []byte {
	to = append(to, '{')
	for i, m := range o {
		if i > 0 {
			to = append(to, ',')
		}
		to = m.write(append(to, m.key...), value)
	}
	return append(to, '}')
}

// newObject returns the object for a selection on a type, including its fragments and conditions.
// It returns false if appenderOf returns nil for one of the fields.
func newObject[V any](
	ctx context.Context, selected ast.SelectionSet, typeNames []string,
	appenderOf func(graphql.CollectedField) appender[V],
) (object[V], bool) {
	fields := graphql.CollectFields(graphql.GetOperationContext(ctx), selected, typeNames)
	o := make(object[V], len(fields))
	for i, field := range fields {
		write := appenderOf(field)
		if field.Name == "__typename" {
			write = func(to []byte, _ V) []byte { return store.AppendText(to, typeNames[0]) }
		}
		if write == nil {
			return nil, false
		}
		o[i] = member[V]{`"` + field.Alias + `":`, write}
	}
	return o, true
}

// list returns the encoder of a list. objectOf makes the object for each of its values.
func list[V any](objectOf func(context.Context, ast.SelectionSet) (object[V], bool)) encoder {
	return func(ctx context.Context, resolved any) (JSON, bool) {
		o, ok := memoized(ctx, objectOf)
		if !ok {
			return nil, false
		}
		values := resolved.([]V)
		to := append(make([]byte, 0, 512), '[')
		for i, value := range values {
			if i > 0 {
				to = append(to, ',')
			}
			to = o.append(to, value)
			if i == 0 { // The other values are about as long as the first.
				to = slices.Grow(to, len(to)*len(values))
			}
		}
		return append(to, ']'), true
	}
}

// rowFields returns the appenders of the fields of a noun, by name.
func rowFields[T any]() map[string]appender[*T] {
	fields := make(map[string]appender[*T])
	for _, c := range store.ColumnsOf[T]() {
		if c.Field != "" {
			fields[c.Field] = c.AppendJSON
		}
	}
	return fields
}
