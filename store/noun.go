package store

import (
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// noun declares a kind of record that merchants have: its names, how its rows are read and written,
// what callers may set, and how its lists are sorted and filtered. Rows implements the operations
// from the declaration.
//
// The noun's table is in the schema public. It has the columns merchant_id, id, created_at,
// updated_at, deleted_at and version, and its primary key begins with merchant_id and id.
type noun[T any] struct {
	name, plural string // "plan" and "plans", in messages and JSON
	prefix       string // of ids
	table        string
	// owner is the column that must equal the id that a bound caller is bound to. It is "" for a
	// noun without an owner, whose table has no policy for bound callers.
	owner string
	// columns are the columns that every statement returns. Statements list them by name, so that a
	// later migration can add a column. Both APIs write the fields in this order.
	columns []Column[T]
	// flags are the boolean inputs that are not stored in a column.
	flags []string
	// derived are the columns that are computed from other columns, such as comparison keys.
	derived []derived
	// search are the columns that a search reads. Their folded texts are the lines of search_key.
	search  []string
	sorts   []sorting
	filters []filter
	// boundOperations are the operations, besides reading by id, that bound callers may ask for.
	boundOperations []Operation
}

// derived is a column that Go code computes from the text of another column when that is written.
// Postgres does not compute it, because its lower() depends on the locale, and because under
// row-level security only leakproof operators may use an index.
type derived struct {
	column, from string
	sqlType      string
	key          func(string) any // returns nil for a stored text that is no longer valid
}

// Noun describes a noun to the APIs, metrics, traces, the role check and the safety tests.
type Noun interface {
	// Name and Plural return the noun's names, as in "plan" and "plans".
	Name() string
	Plural() string
	// Table returns the name of the noun's table, which is in the schema public.
	Table() string
	// OwnerColumn returns the column that must equal the id that a bound caller is bound to, or ""
	// for a noun without an owner.
	OwnerColumn() string
	// IsID reports whether id has the form of an id of this noun.
	IsID(id string) bool
	// Fields returns the fields that replies show, in the documented order.
	Fields() []Field
	// Inputs returns the fields that callers may set, in the documented order.
	Inputs() []InputField
	// Filters returns the documented names of the filters.
	Filters() []string
	// StoredKeys returns the columns that Go code computes from texts.
	StoredKeys() []StoredKey
	// BoundMay reports whether a bound caller may ask for the operation.
	BoundMay(operation Operation) bool
	// NewError returns an Error about this noun, with its message for the code.
	NewError(code Code) *Error

	rows(*Store) any // a *Rows[T]
}

// Field is a field that replies show.
type Field struct {
	Name string
	// GraphQLOnly reports whether REST replies leave the field out.
	GraphQLOnly bool
	// Settable reports whether callers may set the field.
	Settable bool
}

// nouns are all declared nouns, in the order of their files.
var nouns []Noun

// declare adds n to nouns.
func declare[T any](n *noun[T]) *noun[T] {
	nouns = append(nouns, n)
	return n
}

// Nouns returns all nouns.
func Nouns() []Noun { return slices.Clone(nouns) }

// RowsOf returns the store's Rows of the noun whose rows are read into T. They apply the rules of
// the fields. A noun's own rules, such as those of Customers, are not applied.
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

func (n *noun[T]) rows(s *Store) any { return newRows(n, s) }

func (n *noun[T]) Name() string        { return n.name }
func (n *noun[T]) Plural() string      { return n.plural }
func (n *noun[T]) Table() string       { return n.table }
func (n *noun[T]) OwnerColumn() string { return n.owner }

func (n *noun[T]) IsID(id string) bool { return isID(id, n.prefix) }

func (n *noun[T]) Fields() []Field {
	var fields []Field
	for _, c := range n.columns {
		if c.Field != "" {
			fields = append(fields, Field{c.Field, c.GraphQLOnly, c.rule != nil})
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

func (n *noun[T]) BoundMay(operation Operation) bool {
	return slices.Contains(n.boundOperations, operation)
}

func (n *noun[T]) NewError(code Code) *Error { return newError(code, n.name) }

// checkID returns InvalidID unless id is well-formed.
func (n *noun[T]) checkID(id string) error {
	if !n.IsID(id) {
		return n.NewError(InvalidID)
	}
	return nil
}

// column returns the column with this Postgres name, which must exist.
func (n *noun[T]) column(name string) *Column[T] {
	return &n.columns[slices.IndexFunc(n.columns, func(c Column[T]) bool { return c.name == name })]
}

func (n *noun[T]) idOf(row *T) string {
	id, _ := n.column("id").key(row)
	return id
}

// columnOf returns the column of a field, or nil if there is none.
func (n *noun[T]) columnOf(field string) *Column[T] {
	i := slices.IndexFunc(n.columns, func(c Column[T]) bool { return c.Field == field })
	if i < 0 {
		return nil
	}
	return &n.columns[i]
}

// holds reports whether the field of the row equals the text.
func (n *noun[T]) holds(row *T, field, text string) bool {
	c := n.columnOf(field)
	if c == nil || c.sqlType != "text" {
		return false
	}
	stored, ok := c.key(row)
	return ok && stored == text
}

// columnNames returns the Postgres names of all columns.
func (n *noun[T]) columnNames() []string {
	names := make([]string, len(n.columns))
	for i, c := range n.columns {
		names[i] = c.name
	}
	return names
}

// returning returns the columns as a RETURNING clause lists them.
func (n *noun[T]) returning() string { return strings.Join(n.columnNames(), ", ") }

// trace returns the span attribute that names the table of a statement.
func (n *noun[T]) trace() attribute.KeyValue { return semconv.DBCollectionName(n.table) }
