package store

import "context"

// These functions write the restrictions of every statement on a noun's table (I1). Each mention of
// the table gets the merchant's predicate and, if the noun has an owner column, the predicate for
// bound callers.

// merchantPredicate restricts a mention of a table to the caller's merchant.
func merchantPredicate(alias, merchant string) string {
	return alias + ".merchant_id = " + merchant
}

// boundPredicate restricts a bound caller to the rows of the owner. owner is a parameter, which is
// empty if the caller is not bound.
func boundPredicate(column, owner string) string {
	return "(" + owner + "::text = '' OR " + column + " = " + owner + "::text)"
}

// ownerless takes the place of the bound predicate for a noun without an owner column. It is always
// true. The statement needs it because Postgres cannot infer the type of a parameter that is not
// used.
const ownerless = "$2::text IS NOT NULL"

// scoped returns the predicates of a mention of the noun's table in a prepared statement. $1 is the
// merchant, and $2 the owner that the caller is bound to.
func (n *noun[T]) scoped(alias string) string {
	bound := ownerless
	if n.owner != "" {
		bound = boundPredicate(alias+"."+n.owner, "$2")
	}
	return merchantPredicate(alias, "$1") + " AND " + bound
}

// logScoped returns the predicates of a mention of the log of changes in a prepared statement.
func logScoped(alias string) string {
	return merchantPredicate(alias, "$1") + " AND " + boundPredicate(alias+".customer_id", "$2")
}

// headScoped returns the predicate of a mention of the merchants' heads in a prepared statement. Bound
// callers count up the head of their merchant, too.
func headScoped(alias string) string { return merchantPredicate(alias, "$1") }

// scopedArgs returns the arguments of a prepared statement. args are its arguments from $3 on.
func scopedArgs(ctx context.Context, args []any) []any {
	merchant, owner := scopeFrom(ctx)
	return append([]any{merchant, owner}, args...)
}

// restrict adds the predicates to a query, in which the noun's table has the alias c.
func (n *noun[T]) restrict(ctx context.Context, q query) {
	merchant, owner := scopeFrom(ctx)
	q.Where(merchantPredicate("c", "?"), q.value(merchant))
	if owner != "" && n.owner != "" {
		q.Where("c."+n.owner+" = ?", q.value(owner))
	}
}

// insertedMerchant selects the merchant of a row that a prepared statement inserts.
const insertedMerchant = "$1 AS merchant_id"

// boundInsert returns the predicate that refuses a bound caller's insert for another owner.
func (w *writer) boundInsert(owner string) string {
	switch owner {
	case "":
		return ownerless
	case "id":
		return boundPredicate("$3", "$2")
	default:
		return boundPredicate(w.ref(owner), "$2")
	}
}
