package store

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
