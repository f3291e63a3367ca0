package wall

import (
	"database/sql/driver"
	stdbinary "encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// binary requests every column in Postgres's binary format.
var binary = []int16{pgtype.BinaryFormatCode}

// rows is the result of one statement. When the last row is read, it ends the pipeline.
type rows struct {
	conn     *conn
	pipeline *pgconn.Pipeline
	result   *pgconn.ResultReader
	columns  []string
	done     bool
}

// Columns implements driver.Rows.
func (r *rows) Columns() []string {
	if r.columns == nil {
		fields := r.result.FieldDescriptions()
		r.columns = make([]string, len(fields))
		for i := range fields {
			r.columns[i] = fields[i].Name
		}
	}
	return r.columns
}

// Next implements driver.Rows. It returns io.EOF only after Postgres has confirmed the commit, so a
// caller that reads all rows learns of a commit that failed.
func (r *rows) Next(dest []driver.Value) error {
	if r.done {
		return io.EOF
	}
	if r.result.NextRow() {
		fields := r.result.FieldDescriptions()
		for i, raw := range r.result.Values() {
			value, err := decode(fields[i].DataTypeOID, raw)
			if err != nil {
				return fmt.Errorf("wall: column %s: %w", fields[i].Name, err)
			}
			dest[i] = value
		}
		return nil
	}
	if err := r.Close(); err != nil {
		return err
	}
	return io.EOF
}

// Close implements driver.Rows.
func (r *rows) Close() error {
	if r.done {
		return nil
	}
	r.done = true
	_, err := r.result.Close()
	return r.conn.end(r.pipeline, err)
}

// secondsTo2000 is the epoch of Postgres's binary times, in Unix seconds.
var secondsTo2000 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// decode converts a binary value to a Go type of database/sql. raw is valid only until the next
// row.
func decode(oid uint32, raw []byte) (driver.Value, error) {
	if raw == nil {
		return nil, nil
	}
	switch oid {
	case pgtype.TextOID, pgtype.VarcharOID:
		return string(raw), nil
	case pgtype.BoolOID:
		return raw[0] != 0, nil
	case pgtype.Int4OID:
		return int64(int32(stdbinary.BigEndian.Uint32(raw))), nil
	case pgtype.Int8OID:
		return int64(stdbinary.BigEndian.Uint64(raw)), nil
	case pgtype.TimestamptzOID:
		return timeOf(raw)
	default:
		return nil, fmt.Errorf("no decoding for type OID %d", oid)
	}
}

func timeOf(raw []byte) (time.Time, error) {
	since2000 := int64(stdbinary.BigEndian.Uint64(raw))
	if since2000 == math.MaxInt64 || since2000 == math.MinInt64 {
		return time.Time{}, errors.New("an infinite time")
	}
	// Not microseconds since 1970: Postgres's latest times overflow an int64.
	return time.Unix(since2000/1e6+secondsTo2000, since2000%1e6*1e3).UTC(), nil
}
