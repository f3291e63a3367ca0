package store

import (
	"context"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"lumen/store/wall"
)

// scope is the only way from an operation to the customers' rows (I1). Every statement it runs names the merchant of
// the context in a predicate of its own, and goes through the wall, which sets what row-level security reads and
// refuses without a merchant. Either alone would keep merchants apart. The same holds for the one customer that an access
// token is bound to.
type scope struct{ db *bun.DB }

// patience bounds one statement on this side, the wait for a connection included. It is longer than the server's own
// limit, which gives the better reason, and there for when the server does not answer at all.
const patience = 6 * time.Second

// run executes a statement that was built once and returns the customers it yields. The statement's $1 is the
// merchant, $2 the customer that the caller is bound to; args are $3 and on.
func (s scope) run(ctx context.Context, statement string, args ...any) ([]Customer, error) {
	merchant, customer := scopeFrom(ctx)
	var customers []Customer
	err := s.execute(ctx, statement, append([]any{merchant, customer}, args...), func(row *wall.Row) {
		customers = append(customers, scanCustomer(row))
	})
	if err != nil {
		return nil, err
	}
	return customers, nil
}

// one is run for a statement that yields at most one customer; nil when it yields none.
func (s scope) one(ctx context.Context, statement string, args ...any) (*Customer, error) {
	customers, err := s.run(ctx, statement, args...)
	if err != nil || len(customers) == 0 {
		return nil, err
	}
	return &customers[0], nil
}

// execute runs a statement of the merchant's and hands over its rows, which count when it returns nil.
func (s scope) execute(ctx context.Context, statement string, args []any, each func(*wall.Row)) error {
	if merchant, _ := scopeFrom(ctx); merchant == "" {
		return NewError(Unauthenticated)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return wall.Query(ctx, s.db.DB, statement, args, each)
}

// query is a query over the merchant's customers that has too many forms to be built once. Its values are parameters, so
// that the same form is the same text, which is prepared.
type query struct {
	*bun.SelectQuery
	args *[]any
}

// selecting starts a query. Its $1 is the merchant, and $2 the customer that the caller is bound to, if any.
func (s scope) selecting(ctx context.Context) query {
	merchant, customer := scopeFrom(ctx)
	q := query{args: &[]any{merchant}}
	if customer != "" {
		q.value(customer)
	}
	return s.part(ctx, q)
}

// part starts a query that becomes a part of another.
func (s scope) part(ctx context.Context, of query) query {
	q := query{s.db.NewSelect().Model((*Customer)(nil)), of.args}
	q.where("c.merchant_id = $1")
	if _, customer := scopeFrom(ctx); customer != "" {
		q.where("c.id = $2")
	}
	return q
}

// value makes v a parameter, and returns what stands for it in the text.
func (q query) value(v any) string {
	*q.args = append(*q.args, v)
	return "$" + strconv.Itoa(len(*q.args))
}

func (q query) where(condition string) { q.SelectQuery.Where(condition) }

// read runs a query.
func (s scope) read(ctx context.Context, q query, each func(*wall.Row)) error {
	return s.execute(ctx, q.String(), *q.args, each)
}
