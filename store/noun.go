package store

import (
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"lumen/store/gate"
)

// noun declares a kind of thing that merchants have: what it is called, how its rows are read and
// written, what callers may say of it, and how its lists are sorted and filtered. Rows does the rest.
//
// Its table is in the schema public. It has the columns merchant_id, id, created_at, updated_at and
// deleted_at, and its primary key begins with merchant_id and id.
type noun[T any] struct {
	name, plural string // as in "plan" and "plans", in texts and JSON
	prefix       string // of ids
	table        string
	// owner is the column that must hold the id that a caller is bound to. It is "" for a noun that is of
	// no such owner, whose table has no bound policy.
	owner string
	// columns are what every statement returns, by name, so that a column of a later migration disturbs
	// nothing. Both APIs write the fields in this order.
	columns []Column[T]
	// flags are the boolean inputs that no column holds.
	flags []string
	// derived are the columns that are computed from others and stored, such as comparison keys.
	derived []derived
	// search are the columns whose texts, folded for searches, are the lines of the column search_key.
	search  []string
	sorts   []sorting
	filters []filter
	// bound are the operations that bound callers may ask for, besides reading by id.
	bound []Operation
}

// derived is a column that is computed from the text of another whenever that is written. Postgres does
// not compute it: what lower() does there depends on a locale, and under row-level security only
// leakproof operators may use an index.
type derived struct {
	column, from string
	sqlType      string
	key          func(string) any // nil for a text that has none any more
}

// Noun is what the APIs, metrics, traces, the role check and the safety tests read of a noun.
type Noun interface {
	// Name and Plural are the noun's names, as in "plan" and "plans".
	Name() string
	Plural() string
	// Table is the name of its table, in the schema public.
	Table() string
	// OwnerColumn is the column that must hold the id that a caller is bound to, "" for none.
	OwnerColumn() string
	// IsID reports whether id has the form of an id of this noun.
	IsID(id string) bool
	// Fields are what replies show, in the documented order.
	Fields() []Field
	// Inputs are what callers may say, in the documented order.
	Inputs() []InputField
	// Filters are the documented names of what lists can be filtered by.
	Filters() []string
	// StoredKeys are the columns that are computed from texts.
	StoredKeys() []StoredKey
	// BoundMay reports whether a bound caller may ask for the operation.
	BoundMay(operation Operation) bool
	// NewError returns an Error of this noun, with its text for the code.
	NewError(code Code) *Error

	rows(*bun.DB, *gate.Gate) any // a *Rows[T]
}

// Field is one of the fields that replies show.
type Field struct {
	Name string
	// GraphQLOnly says that replies of the REST API leave it out.
	GraphQLOnly bool
}

// nouns are all nouns, in the order of their files.
var nouns []Noun

// declare adds a noun to all of them.
func declare[T any](n *noun[T]) *noun[T] {
	nouns = append(nouns, n)
	return n
}

// Nouns returns all nouns.
func Nouns() []Noun { return slices.Clone(nouns) }

// RowsOf returns the store's rows that are read into T. They know the rules of fields, and not those that a
// noun has besides, as Customers does.
func RowsOf[T any](s *Store) *Rows[T] { return s.rows[declared[T]().name].(*Rows[T]) }

// NounOf returns the noun whose rows are read into T.
func NounOf[T any]() Noun { return declared[T]() }

// ColumnsOf returns the columns of the noun whose rows are read into T, in the documented order.
func ColumnsOf[T any]() []Column[T] { return declared[T]().columns }

// IDOf returns the id of a row.
func IDOf[T any](row *T) string { return declared[T]().idOf(row) }

func declared[T any]() *noun[T] {
	for _, n := range nouns {
		if n, ok := n.(*noun[T]); ok {
			return n
		}
	}
	panic("store: no noun has this type")
}

func (n *noun[T]) rows(db *bun.DB, g *gate.Gate) any { return newRows(n, db, g) }

func (n *noun[T]) Name() string        { return n.name }
func (n *noun[T]) Plural() string      { return n.plural }
func (n *noun[T]) Table() string       { return n.table }
func (n *noun[T]) OwnerColumn() string { return n.owner }

func (n *noun[T]) IsID(id string) bool { return isID(id, n.prefix) }

func (n *noun[T]) Fields() []Field {
	var fields []Field
	for _, c := range n.columns {
		if c.Field != "" {
			fields = append(fields, Field{c.Field, c.GraphQLOnly})
		}
	}
	return fields
}

func (n *noun[T]) Inputs() []InputField {
	var inputs []InputField
	for _, c := range n.columns {
		if c.rule != nil {
			inputs = append(inputs, InputField{c.Field, c.rule.kind, c.rule.required, c.rule.immutable})
		}
	}
	for _, name := range n.flags {
		inputs = append(inputs, InputField{Name: name, Kind: FlagKind})
	}
	return inputs
}

func (n *noun[T]) Filters() []string {
	names := make([]string, 0, len(n.filters)+1)
	for _, f := range n.filters {
		names = append(names, f.name)
	}
	return append(names, includeDeleted)
}

func (n *noun[T]) BoundMay(operation Operation) bool { return slices.Contains(n.bound, operation) }

func (n *noun[T]) NewError(code Code) *Error { return newError(code, n.name) }

// checkID returns an InvalidID error unless id is well-formed.
func (n *noun[T]) checkID(id string) error {
	if !n.IsID(id) {
		return n.NewError(InvalidID)
	}
	return nil
}

// column returns the column with this name in Postgres, which exists.
func (n *noun[T]) column(name string) *Column[T] {
	return &n.columns[slices.IndexFunc(n.columns, func(c Column[T]) bool { return c.name == name })]
}

func (n *noun[T]) idOf(row *T) string {
	id, _ := n.column("id").key(row)
	return id
}

// columnOf returns the column of a field, nil when there is none.
func (n *noun[T]) columnOf(field string) *Column[T] {
	i := slices.IndexFunc(n.columns, func(c Column[T]) bool { return c.Field == field })
	if i < 0 {
		return nil
	}
	return &n.columns[i]
}

// holds reports whether a field of the row is this text.
func (n *noun[T]) holds(row *T, field, text string) bool {
	c := n.columnOf(field)
	if c == nil || c.sqlType != "text" {
		return false
	}
	stored, ok := c.key(row)
	return ok && stored == text
}

// columnNames are the columns' names in Postgres.
func (n *noun[T]) columnNames() []string {
	names := make([]string, len(n.columns))
	for i, c := range n.columns {
		names[i] = c.name
	}
	return names
}

// returning is the list of columns for a RETURNING clause.
func (n *noun[T]) returning() string { return strings.Join(n.columnNames(), ", ") }

// trace is the attribute of spans that names what a statement is on.
func (n *noun[T]) trace() attribute.KeyValue { return semconv.DBCollectionName(n.table) }
