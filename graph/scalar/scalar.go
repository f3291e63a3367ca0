// Package scalar implements the scalars and shared enums of the schema. They refuse a value of
// another type. The scalars of gqlgen would convert it: the number 5 would be stored as the text
// "5".
package scalar

import (
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"lumen/store"
)

// wrongType returns the error for a value of another type, with the code that validation against
// the schema uses.
func wrongType(expected string) error {
	err := gqlerror.Errorf("expected a value of type %s", expected)
	errcode.Set(err, errcode.ValidationFailed)
	return err
}

// coercions holds the Unmarshal functions by the names of the scalars.
var coercions = map[string]func(any) error{
	"String":   coercion(UnmarshalString),
	"ID":       coercion(UnmarshalID),
	"Boolean":  coercion(UnmarshalBoolean),
	"Int":      coercion(UnmarshalInt),
	"DateTime": coercion(UnmarshalDateTime),
}

func coercion[T any](unmarshal func(any) (T, error)) func(any) error {
	return func(value any) error {
		_, err := unmarshal(value)
		return err
	}
}

// Coerce returns nil if an enum or a scalar of the schema accepts a value, else the error of the
// scalar's Unmarshal function. It refuses every value of a scalar that is missing in coercions.
func Coerce(inputType *ast.Definition, value any) error {
	coerce, known := coercions[inputType.Name]
	text, isText := value.(string)
	switch {
	case known:
		return coerce(value)
	case isText && inputType.EnumValues.ForName(text) != nil:
		return nil
	default:
		return wrongType(inputType.Name)
	}
}

// MarshalString writes a String.
func MarshalString(text string) graphql.Marshaler { return graphql.MarshalString(text) }

// UnmarshalString reads a String.
func UnmarshalString(value any) (string, error) {
	text, ok := value.(string)
	if !ok {
		return "", wrongType("String")
	}
	return text, nil
}

// MarshalID writes an ID.
func MarshalID(id string) graphql.Marshaler { return graphql.MarshalString(id) }

// UnmarshalID reads an ID. As the GraphQL specification allows, it also reads an integer.
func UnmarshalID(value any) (string, error) {
	switch id := value.(type) {
	case string:
		return id, nil
	case int64:
		return strconv.FormatInt(id, 10), nil
	default:
		return "", wrongType("ID")
	}
}

// MarshalBoolean writes a Boolean.
func MarshalBoolean(b bool) graphql.Marshaler { return graphql.MarshalBoolean(b) }

// UnmarshalBoolean reads a Boolean.
func UnmarshalBoolean(value any) (bool, error) {
	b, ok := value.(bool)
	if !ok {
		return false, wrongType("Boolean")
	}
	return b, nil
}

// MarshalInt writes an Int.
func MarshalInt(n int) graphql.Marshaler { return graphql.MarshalInt(n) }

// MarshalInt64 writes an Int that the store has as an int64.
func MarshalInt64(n int64) graphql.Marshaler { return graphql.MarshalInt64(n) }

// UnmarshalInt64 reads an Int.
func UnmarshalInt64(value any) (int64, error) {
	n, err := UnmarshalInt(value)
	return int64(n), err
}

// UnmarshalInt reads an Int, which has 32 bits. Default values of the schema have the type int, all
// other values int64.
func UnmarshalInt(value any) (int, error) {
	if schemaDefault, ok := value.(int); ok {
		value = int64(schemaDefault)
	}
	n, ok := value.(int64)
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		return 0, wrongType("Int")
	}
	return int(n), nil
}

// DateTime stands for the name of the field in the fault of a DateTime: a scalar does not know the
// argument that it reads.
const DateTime = "DateTime"

// MarshalDateTime writes a DateTime in RFC 3339, in UTC and with milliseconds.
func MarshalDateTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = w.Write(AppendDateTime(nil, t)) })
}

// AppendDateTime appends a DateTime, as MarshalDateTime writes it.
func AppendDateTime(to []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(to, `"2006-01-02T15:04:05.000Z"`)
}

// UnmarshalDateTime reads a DateTime, RFC 3339 with any offset. Other values are
// store.InvalidInput.
func UnmarshalDateTime(value any) (time.Time, error) {
	text, _ := value.(string)
	t, ok := store.ParseTime(text)
	if !ok {
		return time.Time{}, store.Invalid(store.NewFault(DateTime, store.InvalidFormat, store.TimeForm))
	}
	return t, nil
}

// enum reads a value of the enum with this name. The letter case must match.
func enum[E ~string](name string, value any, values ...E) (E, error) {
	text, ok := value.(string)
	for _, known := range values {
		if ok && text == string(known) {
			return known, nil
		}
	}
	return "", wrongType(name)
}

// MarshalSortField writes a sort field.
func MarshalSortField(field store.SortField) graphql.Marshaler {
	return graphql.MarshalString(string(field))
}

// UnmarshalSortField reads a sort field of any noun. It accepts every text, because Coerce has
// compared the text with the enum of the schema before.
func UnmarshalSortField(value any) (store.SortField, error) {
	field, ok := value.(string)
	if !ok {
		return "", wrongType("sort field")
	}
	return store.SortField(field), nil
}

// MarshalSortDirection writes a SortDirection.
func MarshalSortDirection(direction store.SortDirection) graphql.Marshaler {
	return graphql.MarshalString(string(direction))
}

// UnmarshalSortDirection reads a SortDirection.
func UnmarshalSortDirection(value any) (store.SortDirection, error) {
	return enum("SortDirection", value, store.Ascending, store.Descending)
}

// MarshalAccess writes an Access.
func MarshalAccess(access store.Access) graphql.Marshaler {
	return graphql.MarshalString(strings.ToUpper(string(access)))
}

// UnmarshalAccess reads an Access.
func UnmarshalAccess(value any) (store.Access, error) {
	access, err := enum("Access", value, "READ", "WRITE")
	return store.Access(strings.ToLower(access)), err
}

// MarshalActorKind writes an ActorKind.
func MarshalActorKind(kind store.ActorKind) graphql.Marshaler {
	return graphql.MarshalString(strings.ToUpper(string(kind)))
}

// UnmarshalActorKind reads an ActorKind.
func UnmarshalActorKind(value any) (store.ActorKind, error) {
	kind, err := enum("ActorKind", value, "API_KEY", "ACCESS_TOKEN", "OPERATOR")
	return store.ActorKind(strings.ToLower(kind)), err
}

// MarshalChangeType writes a ChangeType: customer.created as CUSTOMER_CREATED.
func MarshalChangeType(t store.ChangeType) graphql.Marshaler {
	return graphql.MarshalString(changeTypeName(t))
}

// UnmarshalChangeType reads a ChangeType.
func UnmarshalChangeType(value any) (store.ChangeType, error) {
	for _, t := range store.ChangeTypes() {
		if value == changeTypeName(t) {
			return t, nil
		}
	}
	return "", wrongType("ChangeType")
}

func changeTypeName(t store.ChangeType) string {
	return strings.ToUpper(strings.ReplaceAll(string(t), ".", "_"))
}
