package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"
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
	if merchant == "" {
		return nil, NewError(Unauthenticated)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rows, err := s.db.DB.QueryContext(ctx, statement, append([]any{merchant, customer}, args...)...)
	if err != nil {
		return nil, err
	}
	var customers []Customer
	if err := s.db.ScanRows(ctx, rows, &customers); err != nil {
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

// selecting starts a query over the merchant's customers, into model, for what has too many forms to be built once.
func (s scope) selecting(ctx context.Context, model any) (*bun.SelectQuery, error) {
	merchant, customer := scopeFrom(ctx)
	if merchant == "" {
		return nil, NewError(Unauthenticated)
	}
	q := s.db.NewSelect().Model(model).Where("c.merchant_id = ?", merchant)
	if customer != "" {
		q = q.Where("c.id = ?", customer)
	}
	return q, nil
}
