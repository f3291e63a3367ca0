package wall

import (
	"context"
	"database/sql"
	stdbinary "encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Querier is the method that Query needs of a connection. Connections of a Connector have it.
type Querier interface {
	Query(ctx context.Context, statement string, args []any, each func(*Row)) error
}

var _ Querier = (*conn)(nil)

// Query runs a statement on a connection of the pool and calls each with every row. The rows count
// only if Query returns nil, which it does after the commit.
//
// Query does what the driver's QueryContext does, at a lower cost: database/sql starts a goroutine
// that watches the context of each result, and converts every value to an interface. A caller that
// uses the pool as an ordinary *sql.DB gets the same tenant isolation.
func Query(ctx context.Context, pool *sql.DB, statement string, args []any, each func(*Row)) error {
	held, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = held.Close() }() // returns the connection to the pool
	return held.Raw(func(c any) error { return c.(Querier).Query(ctx, statement, args, each) })
}

// Query implements Querier. After a panic in each the pipeline is left half read, and the
// connection is closed: by database/sql, or through IsValid if database/sql does not learn of the
// panic.
func (c *conn) Query(ctx context.Context, statement string, args []any, each func(*Row)) error {
	pipeline, result, err := c.send(ctx, statement, args)
	if err != nil {
		return err
	}
	row := Row{fields: result.FieldDescriptions()}
	for row.err == nil && result.NextRow() {
		row.begin(result.Values())
		each(&row)
	}
	_, err = result.Close()
	if row.err != nil {
		err = row.err
	}
	err = c.end(pipeline, err)
	if lost, ok := err.(*LostError); ok {
		lost.Rows = row.fed
	}
	return err
}

// Row is one row of a result. Each method reads the next column. Query returns the first fault,
// such as a column of another type or a null where the method allows none. After a fault, the
// methods return zero values.
type Row struct {
	fields []pgconn.FieldDescription
	values [][]byte
	column int  // the next column to read
	fed    bool // a row was received

	// Most columns are text. The texts of a row share one string, and the nullable ones one slice.
	text     string
	nullable []string
	err      error
}

// NewRow returns a Row for tests. The values are in Postgres's binary format.
func NewRow(fields []pgconn.FieldDescription, values [][]byte) *Row {
	row := &Row{fields: fields}
	row.begin(values)
	return row
}

func (r *Row) begin(values [][]byte) {
	r.values, r.column, r.nullable, r.fed = values, 0, nil, true
	var all strings.Builder
	size := 0
	for _, value := range values {
		size += len(value)
	}
	all.Grow(size)
	for _, value := range values {
		all.Write(value)
	}
	r.text = all.String()
}

// next returns the next column, as bytes and as text. The bytes are nil for null. oids are the
// types that the caller can read.
func (r *Row) next(oids ...uint32) ([]byte, string) {
	if r.err != nil {
		return nil, ""
	}
	if r.column >= len(r.values) {
		r.err = errors.New("wall: the row has no more columns")
		return nil, ""
	}
	value := r.values[r.column]
	text := r.text[:len(value)]
	r.text = r.text[len(value):]
	for _, oid := range oids {
		if r.fields[r.column].DataTypeOID == oid {
			r.column++
			return value, text
		}
	}
	r.fail(fmt.Errorf("unexpected type OID %d", r.fields[r.column].DataTypeOID))
	return nil, ""
}

func (r *Row) fail(why error) {
	r.err = fmt.Errorf("wall: column %s: %w", r.fields[r.column].Name, why)
}

// requireValue reports whether value is not null, and records the fault if it is.
func (r *Row) requireValue(value []byte) bool {
	if value == nil && r.err == nil {
		r.column--
		r.fail(errors.New("null"))
	}
	return value != nil
}

// Text reads a text column that is not null.
func (r *Row) Text() string {
	value, text := r.next(pgtype.TextOID, pgtype.VarcharOID)
	r.requireValue(value)
	return text
}

// NullableText reads a text column, and returns nil for null.
func (r *Row) NullableText() *string { return r.nullableOf(pgtype.TextOID, pgtype.VarcharOID) }

// NullableBytes reads the octets of a bytea column, and returns nil for null.
func (r *Row) NullableBytes() *string { return r.nullableOf(pgtype.ByteaOID) }

func (r *Row) nullableOf(oids ...uint32) *string {
	value, text := r.next(oids...)
	if value == nil {
		return nil
	}
	if r.nullable == nil {
		r.nullable = make([]string, 0, len(r.fields))
	}
	r.nullable = append(r.nullable, text)
	return &r.nullable[len(r.nullable)-1]
}

// Bool reads a boolean column that is not null.
func (r *Row) Bool() bool {
	value, _ := r.next(pgtype.BoolOID)
	return r.requireValue(value) && value[0] != 0
}

// Int reads an int4 or int8 column that is not null.
func (r *Row) Int() int64 {
	value, _ := r.next(pgtype.Int4OID, pgtype.Int8OID)
	switch {
	case !r.requireValue(value):
		return 0
	case len(value) == 4:
		return int64(int32(stdbinary.BigEndian.Uint32(value)))
	}
	return int64(stdbinary.BigEndian.Uint64(value))
}

// Time reads a timestamptz column that is not null, in UTC.
func (r *Row) Time() time.Time {
	at, ok := r.time()
	if !ok && r.err == nil {
		r.column--
		r.fail(errors.New("null"))
	}
	return at
}

// NullableTime reads a timestamptz column, in UTC, and returns nil for null.
func (r *Row) NullableTime() *time.Time {
	at, ok := r.time()
	if !ok {
		return nil
	}
	some := at // a copy, so that at is not allocated for null
	return &some
}

// time returns the next time, or false if the column is null or cannot be read.
func (r *Row) time() (time.Time, bool) {
	value, _ := r.next(pgtype.TimestamptzOID)
	if value == nil {
		return time.Time{}, false
	}
	at, err := timeOf(value)
	if err != nil {
		r.column--
		r.fail(err)
		return time.Time{}, false
	}
	return at, true
}
