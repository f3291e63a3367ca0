package store

import (
	"github.com/uptrace/bun"
)

// SortField is what a list is ordered by; customers that agree in it are ordered by id.
type SortField string

// The sort fields.
const (
	SortCreatedAt SortField = "CREATED_AT"
	SortUpdatedAt SortField = "UPDATED_AT"
	SortEmail     SortField = "EMAIL" // by the email key
	SortName      SortField = "NAME"  // by the folded name; customers without one last in either direction
)

// SortDirection is the direction of a list.
type SortDirection string

// The directions.
const (
	Ascending  SortDirection = "ASC"
	Descending SortDirection = "DESC"
)

// CustomerSort is the order of a list. Its zero value is the order of the reference: newest first.
type CustomerSort struct {
	Field     SortField
	Direction SortDirection
}

func (s CustomerSort) orDefault() CustomerSort {
	if s.Field == "" {
		s.Field = SortCreatedAt
	}
	if s.Direction == "" {
		s.Direction = Descending
	}
	return s
}

// expression is what an index of the same expression answers. The two stand-ins for a missing name are what puts it
// last: past every name when ascending, before every name when descending. Not COALESCE, which Postgres does not count
// among what is leakproof: under row-level security it would read the index from its start to the cursor.
func (s CustomerSort) expression() string {
	switch {
	case s.Field == SortUpdatedAt:
		return "c.updated_at"
	case s.Field == SortEmail:
		return "c.email_key"
	case s.Field == SortName && s.Direction == Ascending:
		return `CASE WHEN c.name_key IS NULL THEN U&'\+10FFFF' ELSE c.name_key END`
	case s.Field == SortName:
		return "CASE WHEN c.name_key IS NULL THEN '' ELSE c.name_key END"
	default:
		return "c.created_at"
	}
}

// position is a customer's place in a list: the value of the sort's expression and the id.
type position struct {
	key string // a time as RFC 3339
	id  string
}

// lastName is the stand-in for a missing name in an ascending list, the highest code point there is.
const lastName = "\U0010FFFF"

func (s CustomerSort) position(c *Customer) position {
	switch s.Field {
	case SortUpdatedAt:
		return position{c.UpdatedAt.UTC().Format(cursorTime), c.ID}
	case SortEmail:
		return position{c.EmailKey, c.ID}
	case SortName:
		switch {
		case c.NameKey != nil:
			return position{*c.NameKey, c.ID}
		case s.Direction == Ascending:
			return position{lastName, c.ID}
		default:
			return position{"", c.ID}
		}
	default:
		return position{c.CreatedAt.UTC().Format(cursorTime), c.ID}
	}
}

// order sorts the query; backwards reads the same list from its end.
func (s CustomerSort) order(q *bun.SelectQuery, backwards bool) *bun.SelectQuery {
	direction := "ASC"
	if (s.Direction == Descending) != backwards {
		direction = "DESC"
	}
	return q.OrderExpr(s.expression() + " " + direction + ", c.id " + direction)
}

// after keeps what comes after the position in list order, or with inclusive the row at it as well.
func (s CustomerSort) after(q query, at position, inclusive bool) {
	s.compare(q, at, s.Direction == Ascending, inclusive)
}

// before keeps what comes before the position in list order, or with inclusive the row at it as well.
func (s CustomerSort) before(q query, at position, inclusive bool) {
	s.compare(q, at, s.Direction == Descending, inclusive)
}

func (s CustomerSort) compare(q query, at position, greater, inclusive bool) {
	operator := "<"
	if greater {
		operator = ">"
	}
	if inclusive {
		operator += "="
	}
	sqlType := "text"
	if s.Field == SortCreatedAt || s.Field == SortUpdatedAt {
		sqlType = "timestamptz"
	}
	q.Where("("+s.expression()+", c.id) "+operator+" (?::"+sqlType+", ?)", q.value(at.key), q.value(at.id))
}
