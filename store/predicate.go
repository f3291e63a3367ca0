package store

import "context"

// Every statement on a noun's table names the table through these functions alone (I1): each mention
// has the merchant's predicate, and the bound predicate when the noun has an owner column.

// merchantPredicate restricts a mention of a table to the rows of the caller's merchant.
func merchantPredicate(alias, merchant string) string {
	return alias + ".merchant_id = " + merchant
}

// boundPredicate restricts a bound token to the rows of its owner. owner is "" for a caller who is not bound.
func boundPredicate(column, owner string) string {
	return "(" + owner + "::text = '' OR " + column + " = " + owner + "::text)"
}

// ownerless is what a noun without an owner column has for the bound predicate. It is always true, and
// there because Postgres knows no type of a parameter that a statement does not mention.
const ownerless = "$2::text IS NOT NULL"

// scoped returns the predicates of a mention of the noun's table in a prepared statement, in which $1 is
// the merchant and $2 the owner that the caller is bound to.
func (n *noun[T]) scoped(alias string) string {
	bound := ownerless
	if n.owner != "" {
		bound = boundPredicate(alias+"."+n.owner, "$2")
	}
	return merchantPredicate(alias, "$1") + " AND " + bound
}

// scopedArgs returns the arguments of a prepared statement, of which args are $3 and on.
func scopedArgs(ctx context.Context, args []any) []any {
	merchant, owner := scopeFrom(ctx)
	return append([]any{merchant, owner}, args...)
}

// restrict adds the predicates of a query's mention of the noun's table, whose alias is c.
func (n *noun[T]) restrict(ctx context.Context, q query) {
	merchant, owner := scopeFrom(ctx)
	q.Where(merchantPredicate("c", "?"), q.value(merchant))
	if owner != "" && n.owner != "" {
		q.Where("c."+n.owner+" = ?", q.value(owner))
	}
}

// insertedMerchant is the merchant of a row that a prepared statement inserts.
const insertedMerchant = "$1 AS merchant_id"

// boundInsert returns the predicate that keeps a bound token from inserting a row of another owner.
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
