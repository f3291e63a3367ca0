package graph

import (
	"context"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/graph/model"
	"lumen/graph/scalar"
	"lumen/store"
)

// plain writes customers, and the edges of their pages, straight from the store's structs, by a plan that is made once
// for each selection and not once for each customer. Nothing in a customer is resolved, fails, or is null against the
// schema, so that what the executor keeps for each value - a context, a path for its error, a net for its panic - would
// never be looked at; on a page it is nine tenths of the work.
type plain struct{}

var (
	_ graphql.HandlerExtension = plain{}
	_ graphql.FieldInterceptor = plain{}
)

// ExtensionName implements graphql.HandlerExtension.
func (plain) ExtensionName() string { return "Plain" }

// Validate implements graphql.HandlerExtension.
func (plain) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptField implements graphql.FieldInterceptor: what is not plain stays as it is.
func (plain) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	resolved, err := next(ctx)
	if err != nil {
		return resolved, err
	}
	selected := func() ast.SelectionSet { return graphql.GetFieldContext(ctx).Field.Selections }
	switch value := resolved.(type) {
	case *store.Customer:
		if value != nil {
			return one(planCustomer(ctx, selected()), value), nil
		}
	case []*store.Customer:
		return each(planCustomer(ctx, selected()), value), nil
	case []*model.CustomerEdge:
		return each(planEdge(ctx, selected()), value), nil
	}
	return resolved, nil
}

// plan is how one selection on values of a type is written: member by member.
type plan[T any] []member[T]

type member[T any] struct {
	key   string // with its quotes and its colon
	write appender[T]
}

// appender appends a value as JSON.
type appender[T any] func([]byte, T) []byte

func (p plan[T]) append(to []byte, value T) []byte {
	to = append(to, '{')
	for i, m := range p {
		if i > 0 {
			to = append(to, ',')
		}
		to = m.write(append(to, m.key...), value)
	}
	return append(to, '}')
}

// rendered is a value as JSON. It is made while its field is resolved: there, a panic is that field's error, where later
// it would be the whole reply's.
type rendered []byte

// MarshalGQL implements graphql.Marshaler.
func (w rendered) MarshalGQL(to io.Writer) { _, _ = to.Write(w) }

func one[T any](p plan[T], value T) rendered { return p.append(make([]byte, 0, 512), value) }

func each[T any](p plan[T], values []T) rendered {
	to := append(make([]byte, 0, 512), '[')
	for i, value := range values {
		if i > 0 {
			to = append(to, ',')
		}
		to = p.append(to, value)
		if i == 0 { // the others are about as long
			to = slices.Grow(to, len(to)*len(values))
		}
	}
	return append(to, ']')
}

// newPlan collects the fields of a selection on a type, its fragments and conditions included. appenders has those that
// are values, own makes those that have selections of their own.
func newPlan[T any](ctx context.Context, selected ast.SelectionSet, typeNames []string, appenders map[string]appender[T], own func(graphql.CollectedField) appender[T]) plan[T] {
	fields := graphql.CollectFields(graphql.GetOperationContext(ctx), selected, typeNames)
	p := make(plan[T], len(fields))
	for i, field := range fields {
		write := appenders[field.Name]
		switch {
		case field.Name == "__typename":
			write = func(to []byte, _ T) []byte { return appendString(to, typeNames[0]) }
		case write == nil:
			write = own(field)
		}
		p[i] = member[T]{`"` + field.Alias + `":`, write}
	}
	return p
}

func planCustomer(ctx context.Context, selected ast.SelectionSet) plan[*store.Customer] {
	return newPlan(ctx, selected, []string{"Customer", "Node"}, customerFields, nil)
}

func planEdge(ctx context.Context, selected ast.SelectionSet) plan[*model.CustomerEdge] {
	return newPlan(ctx, selected, []string{"CustomerEdge"}, edgeFields, func(field graphql.CollectedField) appender[*model.CustomerEdge] {
		node := planCustomer(ctx, field.Selections)
		return func(to []byte, e *model.CustomerEdge) []byte { return node.append(to, e.Node) }
	})
}

var edgeFields = map[string]appender[*model.CustomerEdge]{
	"cursor": value(func(e *model.CustomerEdge) string { return e.Cursor }, appendString),
}

var customerFields = map[string]appender[*store.Customer]{
	"id":                  value(func(c *store.Customer) string { return c.ID }, appendString),
	"email":               value(func(c *store.Customer) string { return c.Email }, appendString),
	"name":                nullable(func(c *store.Customer) *string { return c.Name }, appendString),
	"userId":              nullable(func(c *store.Customer) *string { return c.UserID }, appendString),
	"billingAddressLine1": nullable(func(c *store.Customer) *string { return c.BillingAddressLine1 }, appendString),
	"billingAddressLine2": nullable(func(c *store.Customer) *string { return c.BillingAddressLine2 }, appendString),
	"billingCity":         nullable(func(c *store.Customer) *string { return c.BillingCity }, appendString),
	"billingPostalCode":   nullable(func(c *store.Customer) *string { return c.BillingPostalCode }, appendString),
	"billingCountry":      nullable(func(c *store.Customer) *string { return c.BillingCountry }, appendString),
	"taxId":               nullable(func(c *store.Customer) *string { return c.TaxID }, appendString),
	"merchantId":          value(func(c *store.Customer) string { return c.MerchantID }, appendString),
	"createdAt":           value(func(c *store.Customer) time.Time { return c.CreatedAt }, scalar.AppendDateTime),
	"updatedAt":           value(func(c *store.Customer) time.Time { return c.UpdatedAt }, scalar.AppendDateTime),
	"deletedAt":           nullable(func(c *store.Customer) *time.Time { return c.DeletedAt }, scalar.AppendDateTime),
	"emailShared":         value(func(c *store.Customer) bool { return c.EmailShared }, strconv.AppendBool),
}

// value appends what there always is, nullable what may be missing.
func value[T, V any](of func(T) V, write appender[V]) appender[T] {
	return func(to []byte, t T) []byte { return write(to, of(t)) }
}

func nullable[T, V any](of func(T) *V, write appender[V]) appender[T] {
	return func(to []byte, t T) []byte {
		if v := of(t); v != nil {
			return write(to, *v)
		}
		return append(to, "null"...)
	}
}

func appendString(to []byte, text string) []byte {
	to, _ = jsontext.AppendQuote(to, text) // what Postgres holds is UTF-8
	return to
}
