package store

import (
	"slices"

	"github.com/uptrace/bun"
)

// SortField is what a list is sorted by. Rows that agree in it are sorted by id.
type SortField string

// The sort fields that every noun has.
const (
	SortCreatedAt SortField = "CREATED_AT"
	SortUpdatedAt SortField = "UPDATED_AT"
)

// SortDirection is the direction of a list.
type SortDirection string

// The directions.
const (
	Ascending  SortDirection = "ASC"
	Descending SortDirection = "DESC"
)

// Sort is the order of a list. Its zero value is newest first.
type Sort struct {
	Field     SortField
	Direction SortDirection
}

// sorting declares what lists can be sorted by.
type sorting struct {
	field  SortField
	code   byte   // in cursors; once given it is never given to another field of the noun
	column string // whose rows without a value come last in either direction
	// nullable says that the column, of text or bytea, may be null.
	nullable bool
	// earlier is what the field was sorted by in earlier releases; its zero value is nothing else.
	earlier earlier
}

// earlier is an order of cursors that clients still hold: the code that they have, and what their key is
// in the order of today.
type earlier struct {
	code byte
	key  func(string, SortDirection) string
}

// order is a Sort of a noun, ready for statements.
type order struct {
	sorting
	direction SortDirection
	sqlType   string
}

// order returns the order that a caller asks for, false when lists of the noun are not sorted so.
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

// highest stands in for a missing value in an ascending list, by the column's type: the highest code point
// there is, and an octet with which no key begins. In a descending list "" does.
var highest = map[string]struct{ key, expression string }{
	"text":  {"\U0010FFFF", `U&'\+10FFFF'`},
	"bytea": {`\xff`, `'\xff'`},
}

// expression is what an index of the same expression answers. The two stand-ins for a missing value put it
// last: after every value when ascending, before every value when descending. Not COALESCE, which Postgres
// does not count as leakproof: under row-level security it would read the index from its start to the
// cursor.
func (o order) expression() string {
	column := "c." + o.column
	switch {
	case !o.nullable:
		return column
	case o.direction == Ascending:
		return "CASE WHEN " + column + " IS NULL THEN " + highest[o.sqlType].expression + " ELSE " + column + " END"
	default:
		return "CASE WHEN " + column + " IS NULL THEN '' ELSE " + column + " END"
	}
}

// position returns the place of a row in a list of this order.
func (n *noun[T]) position(o order, row *T) position {
	key, ok := n.column(o.column).key(row)
	if !ok && o.direction == Ascending {
		key = highest[o.sqlType].key
	}
	return position{key: key, id: n.idOf(row)}
}

// apply sorts the query. backwards reads the same list from its end.
func (o order) apply(q *bun.SelectQuery, backwards bool) *bun.SelectQuery {
	direction := "ASC"
	if (o.direction == Descending) != backwards {
		direction = "DESC"
	}
	return q.OrderExpr(o.expression() + " " + direction + ", c.id " + direction)
}

// after keeps the rows after the position in list order, and with inclusive the row at it as well.
func (o order) after(q query, at position, inclusive bool) {
	o.compare(q, at, o.direction == Ascending, inclusive)
}

// before keeps the rows before the position in list order, and with inclusive the row at it as well.
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
