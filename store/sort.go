package store

import (
	"slices"

	"github.com/uptrace/bun"
)

// SortField is the field that a list is sorted by. Rows with equal values are sorted by id.
type SortField string

// The sort fields that every noun has.
const (
	SortCreatedAt SortField = "CREATED_AT"
	SortUpdatedAt SortField = "UPDATED_AT"
)

// SortDirection is the direction in which a list is sorted.
type SortDirection string

// The directions.
const (
	Ascending  SortDirection = "ASC"
	Descending SortDirection = "DESC"
)

// Sort is the order of a list. The zero value sorts by CREATED_AT, newest first.
type Sort struct {
	Field     SortField
	Direction SortDirection
}

// sorting declares one order of a noun's lists.
type sorting struct {
	field  SortField
	code   byte   // in cursors; never used again for another field of the noun
	column string // rows without a value come last in either direction
	// nullable reports whether the column, of type text or bytea, may be null.
	nullable bool
	// legacy is the order of this field in earlier releases. The zero value means that it never
	// changed.
	legacy legacyOrder
}

// legacyOrder is an order of an earlier release, whose cursors clients may still hold. code is the
// code in those cursors. key converts a key in them to a key of the current order.
type legacyOrder struct {
	code byte
	key  func(string, SortDirection) string
}

// order is a Sort of a noun, with what statements need.
type order struct {
	sorting
	direction SortDirection
	sqlType   string
}

// order returns the order that a caller asks for, or false if the noun's lists have no such order.
func (n *noun[T]) order(s Sort) (order, bool) {
	if s.Field == "" {
		s.Field = SortCreatedAt
	}
	if s.Direction == "" {
		s.Direction = Descending
	}
	i := slices.IndexFunc(n.sorts, func(declared sorting) bool { return declared.field == s.Field })
	if i < 0 {
		return order{}, false
	}
	return order{n.sorts[i], s.Direction, n.column(n.sorts[i].column).sqlType}, true
}

// maxKey is the key, by column type, of a row without a value in an ascending list: the greatest
// code point, or an octet that no key begins with. In a descending list the key is "".
var maxKey = map[string]struct{ key, expression string }{
	"text":  {"\U0010FFFF", `U&'\+10FFFF'`},
	"bytea": {`\xff`, `'\xff'`},
}

// expression returns the SQL expression that the list is sorted by, which an index has as well. In
// it, a row without a value has a key that puts it last: after every value in an ascending index,
// before every value in an index that is read backwards. It is not COALESCE, which Postgres does
// not count as leakproof: under row-level security Postgres would read the index from its start to
// the cursor.
func (o order) expression() string {
	column := "c." + o.column
	switch {
	case !o.nullable:
		return column
	case o.direction == Ascending:
		return "CASE WHEN " + column + " IS NULL THEN " + maxKey[o.sqlType].expression + " ELSE " + column + " END"
	default:
		return "CASE WHEN " + column + " IS NULL THEN '' ELSE " + column + " END"
	}
}

// position returns the position of a row in a list of this order.
func (n *noun[T]) position(o order, row *T) position {
	key, ok := n.column(o.column).key(row)
	if !ok && o.direction == Ascending {
		key = maxKey[o.sqlType].key
	}
	return position{key: key, id: n.idOf(row)}
}

// apply sorts the query. With backwards, the query reads the list from its end.
func (o order) apply(q *bun.SelectQuery, backwards bool) *bun.SelectQuery {
	direction := "ASC"
	if (o.direction == Descending) != backwards {
		direction = "DESC"
	}
	return q.OrderExpr(o.expression() + " " + direction + ", c.id " + direction)
}

// after restricts q to rows after the position in list order. inclusive adds the row at the
// position.
func (o order) after(q query, at position, inclusive bool) {
	o.compare(q, at, o.direction == Ascending, inclusive)
}

// before restricts q to rows before the position in list order. inclusive adds the row at the
// position.
func (o order) before(q query, at position, inclusive bool) {
	o.compare(q, at, o.direction == Descending, inclusive)
}

func (o order) compare(q query, at position, greater, inclusive bool) {
	operator := "<"
	if greater {
		operator = ">"
	}
	if inclusive {
		operator += "="
	}
	q.Where("("+o.expression()+", c.id) "+operator+" (?::"+o.sqlType+", ?)", q.value(at.key), q.value(at.id))
}
