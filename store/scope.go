package store

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
	"go.opentelemetry.io/otel/attribute"

	"lumen/store/gate"
	"lumen/store/wall"
)

// scope is the only way from an operation to the rows of merchants (I1). Every statement it runs names
// the merchant of the context in a predicate of its own, and goes through the wall, which sets what
// row-level security reads and refuses without a merchant. Either alone would keep merchants apart. The
// same holds for the one owner that an access token is bound to.
type scope struct {
	db   *bun.DB
	gate *gate.Gate
	on   attribute.KeyValue // what statements are on, for traces
}

// effect says what a statement does.
type effect bool

const (
	reads  effect = false
	writes effect = true
)

// execute runs a statement of the merchant's and hands over its rows, which count when it returns nil.
func (s scope) execute(ctx context.Context, effect effect, statement string, args []any, each func(*wall.Row)) error {
	merchant, err := requireMerchant(ctx)
	if err != nil {
		return err
	}
	return RunStatement(ctx, s.gate, merchant, statement, s.on, func(ctx context.Context) error {
		err := wall.Query(ctx, s.db.DB, statement, args, each)
		var lost *wall.LostError
		if errors.As(err, &lost) && !lost.Rows && (effect == reads || !lost.Sent) {
			// Once more, on a connection that is alive. Never what may have been committed.
			err = wall.Query(ctx, s.db.DB, statement, args, each)
		}
		return err
	})
}

// now returns the database's time, in milliseconds.
func (s scope) now(ctx context.Context) (at time.Time, err error) {
	err = s.execute(ctx, reads, "SELECT "+sqlNow, nil, func(row *wall.Row) { at = row.Time() })
	return at, err
}

// requireMerchant returns the caller's merchant, and Unauthenticated without one.
func requireMerchant(ctx context.Context) (string, error) {
	merchant, _ := scopeFrom(ctx)
	if merchant == "" {
		return "", NewError(Unauthenticated)
	}
	return merchant, nil
}

// run executes a statement that was built once. Its $1 is the merchant and its $2 the owner that the
// caller is bound to; args are $3 and on.
func (s scope) run(ctx context.Context, effect effect, statement string, args []any, each func(*wall.Row)) error {
	return s.execute(ctx, effect, statement, scopedArgs(ctx, args), each)
}

// query is a query over the merchant's rows that has too many forms to be built once.
//
// A query without a filter has few forms: its values are parameters, and its text is prepared. With a
// filter the best plan depends on the values, such as a rare country or a span of a day or of ten years,
// so they are in the text and Postgres plans for them.
type query struct {
	*bun.SelectQuery
	args *[]any // nil when values are in the text
}

// selecting starts a query over the rows of the caller's merchant, to be prepared or not.
func (r *Rows[T]) selecting(ctx context.Context, prepared bool) query {
	q := query{}
	if prepared {
		q.args = new([]any)
	}
	return r.part(ctx, q)
}

// part starts a query that becomes a part of another one.
func (r *Rows[T]) part(ctx context.Context, of query) query {
	of.SelectQuery = r.scope.db.NewSelect().Model((*T)(nil))
	r.noun.restrict(ctx, of)
	return of
}

// value returns what Bun is to put in the place of v: v, or its parameter.
func (q query) value(v string) any {
	if q.args == nil {
		return v
	}
	n := slices.Index(*q.args, any(v)) // a part names the merchant again
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
