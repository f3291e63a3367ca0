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

// Querier is what Query needs of a pool's connections, which are the wall's.
type Querier interface {
	Query(ctx context.Context, statement string, args []any, each func(*Row)) error
}

var _ Querier = (*conn)(nil)

// Query runs a statement on a connection of the pool and hands each of its rows to each. What was handed over counts only
// when Query returns nil, which is after the commit.
//
// It is what the driver's QueryContext is, without what that costs: database/sql watches the context of every result with
// a goroutine, and puts every value into an interface. Who takes the pool as any other *sql.DB meets the same wall.
func Query(ctx context.Context, pool *sql.DB, statement string, args []any, each func(*Row)) error {
	held, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = held.Close() }() // gives it back
	return held.Raw(func(c any) error { return c.(Querier).Query(ctx, statement, args, each) })
}

// Query implements Querier. A panic in each leaves the pipeline as it is, and the connection is closed: by database/sql, or by
// IsValid when it does not learn of it.
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

// Row is a row in the making: each method reads the next column. The first fault, such as a column of another type or
// null where there must be a value, is what Query returns; what is read after it is zero.
type Row struct {
	fields []pgconn.FieldDescription
	values [][]byte
	column int  // the next one
	fed    bool // there was a row

	// A customer is mostly text: the texts of a row are parts of one, and those that may be null lie side by side.
	text     string
	nullable []string
	err      error
}

// NewRow returns a row of these columns, for tests of what reads rows. Values are in Postgres's binary format.
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

// next returns the next column, and the same as a text. Nil is null.
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
	r.fail(fmt.Errorf("type OID %d is not what is read", r.fields[r.column].DataTypeOID))
	return nil, ""
}

func (r *Row) fail(why error) {
	r.err = fmt.Errorf("wall: column %s: %w", r.fields[r.column].Name, why)
}

// must notes a null where there must be a value.
func (r *Row) must(value []byte) bool {
	if value == nil && r.err == nil {
		r.column--
		r.fail(errors.New("null"))
	}
	return value != nil
}

// Text reads a text.
func (r *Row) Text() string {
	value, text := r.next(pgtype.TextOID, pgtype.VarcharOID)
	r.must(value)
	return text
}

// NullableText reads a text or null, which is nil.
func (r *Row) NullableText() *string { return r.nullableOf(pgtype.TextOID, pgtype.VarcharOID) }

// NullableBytes reads the octets of a bytea, or null, which is nil.
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

// Bool reads a boolean.
func (r *Row) Bool() bool {
	value, _ := r.next(pgtype.BoolOID)
	return r.must(value) && value[0] != 0
}

// Int reads an int4 or an int8.
func (r *Row) Int() int64 {
	value, _ := r.next(pgtype.Int4OID, pgtype.Int8OID)
	switch {
	case !r.must(value):
		return 0
	case len(value) == 4:
		return int64(int32(stdbinary.BigEndian.Uint32(value)))
	}
	return int64(stdbinary.BigEndian.Uint64(value))
}

// Time reads a timestamptz, in UTC.
func (r *Row) Time() time.Time {
	at, ok := r.time()
	if !ok && r.err == nil {
		r.column--
		r.fail(errors.New("null"))
	}
	return at
}

// NullableTime reads a timestamptz or null, which is nil.
func (r *Row) NullableTime() *time.Time {
	at, ok := r.time()
	if !ok {
		return nil
	}
	some := at // at itself would be made for null as well
	return &some
}

// time returns the next time, false when there is none.
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
