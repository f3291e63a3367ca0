package store

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"lumen/store/wall"
)

// Column is one column of a noun's table. It knows how to read the value of a row into a T, how
// both APIs write the value as JSON, and what callers may set it to.
type Column[T any] struct {
	// Field is the documented name in both APIs, or "" for a column that no API shows.
	Field string
	// GraphQLOnly reports whether replies of the REST API leave the field out.
	GraphQLOnly bool
	// AppendJSON appends the JSON of the column's value in a T.
	AppendJSON func([]byte, *T) []byte

	name    string // in Postgres
	sqlType string
	scan    func(*wall.Row, *T)
	// parse sets the value from JSON that is not null, as the log of changes holds it.
	parse func(jsontext.Value, *T) error
	// key returns the value as the text that a cursor holds, and false for null. It is nil for
	// types that no list is sorted by.
	key  func(*T) (string, bool)
	rule *rule // nil if callers cannot set the column
}

// newColumn returns a column whose field is the column's name in camel case.
func newColumn[T any](name, sqlType string) Column[T] {
	words := strings.Split(name, "_")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return Column[T]{name: name, sqlType: sqlType, Field: strings.Join(words, "")}
}

// text returns a text column that is never null.
func text[T any](name string, of func(*T) *string) Column[T] {
	c := newColumn[T](name, "text")
	c.scan = func(row *wall.Row, t *T) { *of(t) = row.Text() }
	c.parse = func(value jsontext.Value, t *T) (err error) {
		*of(t), err = textOf(value)
		return err
	}
	c.AppendJSON = func(to []byte, t *T) []byte { return AppendText(to, *of(t)) }
	c.key = func(t *T) (string, bool) { return *of(t), true }
	return c
}

// nullableText returns a text column.
func nullableText[T any](name string, of func(*T) **string) Column[T] {
	c := newColumn[T](name, "text")
	c.scan = func(row *wall.Row, t *T) { *of(t) = row.NullableText() }
	c.parse = func(value jsontext.Value, t *T) error {
		text, err := textOf(value)
		*of(t) = &text
		return err
	}
	c.AppendJSON = func(to []byte, t *T) []byte { return appendNullable(to, *of(t), AppendText) }
	c.key = func(t *T) (string, bool) {
		if value := *of(t); value != nil {
			return *value, true
		}
		return "", false
	}
	return c
}

// nullableBytes returns a bytea column, which no API shows.
func nullableBytes[T any](name string, of func(*T) **string) Column[T] {
	c := newColumn[T](name, "bytea").hidden()
	c.scan = func(row *wall.Row, t *T) { *of(t) = row.NullableBytes() }
	c.key = func(t *T) (string, bool) {
		if value := *of(t); value != nil {
			return bytea([]byte(*value)), true
		}
		return "", false
	}
	return c
}

// bytea returns octets in Postgres's hexadecimal text format.
func bytea(octets []byte) string { return `\x` + hex.EncodeToString(octets) }

// instant returns a timestamp column that is never null.
func instant[T any](name string, of func(*T) *time.Time) Column[T] {
	c := newColumn[T](name, "timestamptz")
	c.scan = func(row *wall.Row, t *T) { *of(t) = row.Time() }
	c.parse = func(value jsontext.Value, t *T) (err error) {
		*of(t), err = timeOf(value)
		return err
	}
	c.AppendJSON = func(to []byte, t *T) []byte { return AppendTime(to, *of(t)) }
	c.key = func(t *T) (string, bool) { return of(t).UTC().Format(cursorTime), true }
	return c
}

// nullableInstant returns a timestamp column.
func nullableInstant[T any](name string, of func(*T) **time.Time) Column[T] {
	c := newColumn[T](name, "timestamptz")
	c.scan = func(row *wall.Row, t *T) { *of(t) = row.NullableTime() }
	c.parse = func(value jsontext.Value, t *T) error {
		at, err := timeOf(value)
		*of(t) = &at
		return err
	}
	c.AppendJSON = func(to []byte, t *T) []byte { return appendNullable(to, *of(t), AppendTime) }
	return c
}

// boolean returns a boolean column that is never null.
func boolean[T any](name string, of func(*T) *bool) Column[T] {
	c := newColumn[T](name, "bool")
	c.scan = func(row *wall.Row, t *T) { *of(t) = row.Bool() }
	c.parse = func(value jsontext.Value, t *T) (err error) {
		*of(t), err = strconv.ParseBool(string(value))
		return err
	}
	c.AppendJSON = func(to []byte, t *T) []byte { return strconv.AppendBool(to, *of(t)) }
	return c
}

// number returns an integer column that is never null.
func number[T any](name string, of func(*T) *int64) Column[T] {
	c := newColumn[T](name, "int8")
	c.scan = func(row *wall.Row, t *T) { *of(t) = row.Int() }
	c.parse = func(value jsontext.Value, t *T) (err error) {
		*of(t), err = strconv.ParseInt(string(value), 10, 64)
		return err
	}
	c.AppendJSON = func(to []byte, t *T) []byte { return strconv.AppendInt(to, *of(t), 10) }
	c.key = func(t *T) (string, bool) { return strconv.FormatInt(*of(t), 10), true }
	return c
}

// input lets callers set the column, under the rule.
func (c Column[T]) input(r rule) Column[T] {
	c.rule = &r
	return c
}

// inGraphQLOnly leaves the column out of REST replies.
func (c Column[T]) inGraphQLOnly() Column[T] {
	c.GraphQLOnly = true
	return c
}

// hidden leaves the column out of the replies of both APIs.
func (c Column[T]) hidden() Column[T] {
	c.Field = ""
	return c
}

// AppendText appends text from the database as a JSON string.
func AppendText(to []byte, text string) []byte {
	to, _ = jsontext.AppendQuote(to, text) // cannot fail: Postgres stores valid UTF-8
	return to
}

// AppendTime appends a time as a JSON string in the format of both APIs: RFC 3339, UTC, three
// fractional digits.
func AppendTime(to []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(to, `"2006-01-02T15:04:05.000Z"`)
}

// textOf returns the text of a JSON string.
func textOf(value jsontext.Value) (string, error) {
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err
}

// timeOf returns the time that a JSON string holds.
func timeOf(value jsontext.Value) (time.Time, error) {
	text, err := textOf(value)
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, text)
}

func appendNullable[V any](to []byte, value *V, write func([]byte, V) []byte) []byte {
	if value == nil {
		return append(to, "null"...)
	}
	return write(to, *value)
}
