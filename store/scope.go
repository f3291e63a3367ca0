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

// scope runs every statement on merchants' rows (I1). The statement names the caller's merchant in
// a predicate of its own. Package wall sends it together with the settings that row-level security
// reads, and refuses it without a merchant. Either guard alone isolates the merchants. The owner
// that an access token is bound to is guarded in the same two ways.
type scope struct {
	db    *bun.DB
	gate  *gate.Gate
	waker *waker
	on    attribute.KeyValue // what statements work on, for traces
}

// effect is the kind of a statement.
type effect bool

const (
	reads  effect = false
	writes effect = true
)

// execute runs a statement for the caller's merchant and passes its rows to each. The rows count
// only if it returns nil.
func (s scope) execute(ctx context.Context, effect effect, statement string, args []any, each func(*wall.Row)) error {
	merchant, err := requireMerchant(ctx)
	if err != nil {
		return err
	}
	return RunStatement(ctx, s.gate, merchant, statement, s.on, func(ctx context.Context) error {
		err := wall.Query(ctx, s.db.DB, statement, args, each)
		var lost *wall.LostError
		if errors.As(err, &lost) && !lost.Rows && (effect == reads || !lost.Sent) {
			// Run it once more, on another connection. A statement that may have been committed is
			// never repeated.
			err = wall.Query(ctx, s.db.DB, statement, args, each)
		}
		return err
	})
}

// now returns the database's time, to the millisecond.
func (s scope) now(ctx context.Context) (at time.Time, err error) {
	err = s.execute(ctx, reads, "SELECT "+sqlNow, nil, func(row *wall.Row) { at = row.Time() })
	return at, err
}

// requireMerchant returns the caller's merchant, or Unauthenticated if there is none.
func requireMerchant(ctx context.Context) (string, error) {
	merchant, _ := scopeFrom(ctx)
	if merchant == "" {
		return "", NewError(Unauthenticated)
	}
	return merchant, nil
}

// run executes a statement that was built once. $1 is the merchant, and $2 the owner that the
// caller is bound to. args are its arguments from $3 on.
func (s scope) run(ctx context.Context, effect effect, statement string, args []any, each func(*wall.Row)) error {
	return s.execute(ctx, effect, statement, scopedArgs(ctx, args), each)
}

// query is a query on the merchant's rows that has too many forms to be built once.
//
// Without a filter it has few forms: its values are parameters, and its text is prepared. With a
// filter the best plan depends on the values, such as a rare country or a long span of time. The
// values are then in the text, and Postgres plans for them.
type query struct {
	*bun.SelectQuery
	args *[]any // nil if the values are in the text
}

// selecting starts a query on the rows of the caller's merchant. prepared makes its values
// parameters.
func (r *Rows[T]) selecting(ctx context.Context, prepared bool) query {
	q := query{}
	if prepared {
		q.args = new([]any)
	}
	return r.part(ctx, q)
}

// part starts a query that becomes a part of q, and shares its parameters.
func (r *Rows[T]) part(ctx context.Context, q query) query {
	q.SelectQuery = r.scope.db.NewSelect().Model((*T)(nil))
	r.noun.restrict(ctx, q)
	return q
}

// value returns the argument for Bun that stands for v: v itself, or its parameter.
func (q query) value(v string) any {
	if q.args == nil {
		return v
	}
	n := slices.Index(*q.args, any(v)) // a part uses the merchant's parameter again
	if n < 0 {
		n = len(*q.args)
		*q.args = append(*q.args, v)
	}
	return parameter(n + 1)
}

// parameter is the number of a parameter, which Bun writes as $n.
type parameter int

// AppendQuery implements schema.QueryAppender.
func (p parameter) AppendQuery(_ schema.QueryGen, to []byte) ([]byte, error) {
	return strconv.AppendInt(append(to, '$'), int64(p), 10), nil
}

// read runs the query.
func (s scope) read(ctx context.Context, q query, each func(*wall.Row)) error {
	var args []any
	if q.args != nil {
		args = *q.args
	}
	return s.execute(ctx, reads, q.String(), args, each)
}
