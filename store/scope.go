package store

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"lumen/store/gate"
	"lumen/store/wall"
)

// scope is the only way from an operation to the customers' rows (I1). Every statement it runs names the merchant of
// the context in a predicate of its own, and goes through the wall, which sets what row-level security reads and
// refuses without a merchant. Either alone would keep merchants apart. The same holds for the one customer that an access
// token is bound to.
type scope struct {
	db   *bun.DB
	gate *gate.Gate
}

// run executes a statement that was built once, and only reads, and returns the customers it yields. The statement's $1 is
// the merchant, $2 the customer that the caller is bound to; args are $3 and on.
func (s scope) run(ctx context.Context, statement string, args ...any) ([]Customer, error) {
	return s.customers(ctx, reads, statement, args)
}

// one is run for a statement that yields at most one customer; nil when it yields none.
func (s scope) one(ctx context.Context, statement string, args ...any) (*Customer, error) {
	return first(s.customers(ctx, reads, statement, args))
}

// write is one for a statement that changes the customer it yields.
func (s scope) write(ctx context.Context, statement string, args ...any) (*Customer, error) {
	return first(s.customers(ctx, writes, statement, args))
}

func first(customers []Customer, err error) (*Customer, error) {
	if err != nil || len(customers) == 0 {
		return nil, err
	}
	return &customers[0], nil
}

func (s scope) customers(ctx context.Context, effect effect, statement string, args []any) ([]Customer, error) {
	merchant, customer := scopeFrom(ctx)
	var customers []Customer
	err := s.execute(ctx, effect, statement, append([]any{merchant, customer}, args...), func(row *wall.Row) {
		customers = appendCustomer(customers, row)
	})
	if err != nil {
		return nil, err
	}
	return customers, nil
}

// effect says what a statement does.
type effect bool

const (
	reads  effect = false
	writes effect = true
)

// execute runs a statement of the merchant's and hands over its rows, which count when it returns nil.
func (s scope) execute(ctx context.Context, effect effect, statement string, args []any, each func(*wall.Row)) error {
	merchant, _ := scopeFrom(ctx)
	if merchant == "" {
		return NewError(Unauthenticated)
	}
	return RunStatement(ctx, s.gate, merchant, statement, onCustomers, func(ctx context.Context) error {
		err := wall.Query(ctx, s.db.DB, statement, args, each)
		var lost *wall.LostError
		if errors.As(err, &lost) && !lost.Rows && (effect == reads || !lost.Sent) {
			// Once more, on a connection that is alive. Never what may have been committed.
			err = wall.Query(ctx, s.db.DB, statement, args, each)
		}
		return err
	})
}

// query is a query over the merchant's customers that has too many forms to be built once.
//
// Where there is no filter there are few: its values are parameters, its text is prepared. With a filter the best plan
// depends on the values - a country that few are in, a span of a day or of ten years - so they are in the text, and
// Postgres plans for them.
type query struct {
	*bun.SelectQuery
	scope scope
	args  *[]any // nil when values are in the text
}

// selecting starts a query, to be prepared or not.
func (s scope) selecting(ctx context.Context, prepared bool) query {
	q := query{scope: s}
	if prepared {
		q.args = new([]any)
	}
	return q.part(ctx)
}

// part starts a query that becomes a part of this one.
func (q query) part(ctx context.Context) query {
	merchant, customer := scopeFrom(ctx)
	q.SelectQuery = q.scope.db.NewSelect().Model((*Customer)(nil)).Where("c.merchant_id = ?", q.value(merchant))
	if customer != "" {
		q.Where("c.id = ?", q.value(customer))
	}
	return q
}

// value returns what Bun is to put in the place of v: v, or its parameter.
func (q query) value(v string) any {
	if q.args == nil {
		return v
	}
	n := slices.Index(*q.args, any(v)) // a part says the merchant again
	if n < 0 {
		n = len(*q.args)
		*q.args = append(*q.args, v)
	}
	return parameter(n + 1)
}

// parameter is the n-th of a prepared statement, in Bun's hands.
type parameter int

// AppendQuery implements schema.QueryAppender.
func (p parameter) AppendQuery(_ schema.QueryGen, to []byte) ([]byte, error) {
	return strconv.AppendInt(append(to, '$'), int64(p), 10), nil
}

// read runs a query.
func (s scope) read(ctx context.Context, q query, each func(*wall.Row)) error {
	var args []any
	if q.args != nil {
		args = *q.args
	}
	return s.execute(ctx, reads, q.String(), args, each)
}
