package wall

import (
	"bytes"
	stdbinary "encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// rowOf returns a row with a column of each type, in this order.
func rowOf(values ...[]byte) *Row {
	var fields []pgconn.FieldDescription
	for i, oid := range []uint32{pgtype.TextOID, pgtype.VarcharOID, pgtype.BoolOID, pgtype.Int4OID, pgtype.Int8OID, pgtype.TimestamptzOID} {
		fields = append(fields, pgconn.FieldDescription{Name: fmt.Sprint(i), DataTypeOID: oid})
	}
	return NewRow(fields[:len(values)], values)
}

func eight(n int64) []byte { return stdbinary.BigEndian.AppendUint64(nil, uint64(n)) }

func four(n int32) []byte { return stdbinary.BigEndian.AppendUint32(nil, uint32(n)) }

func TestRow(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 3, 4, 5, 6, 789000, time.UTC)
	values := [][]byte{[]byte("të"), {}, {1}, four(-4), eight(-8), eight(at.UnixMicro() - secondsTo2000*1e6)}

	t.Run("each column is read in turn", func(t *testing.T) {
		t.Parallel()
		row := rowOf(values...)
		require.Equal(t, "të", row.Text())
		require.Equal(t, "", *row.NullableText())
		require.True(t, row.Bool())
		require.Equal(t, int64(-4), row.Int())
		require.Equal(t, int64(-8), row.Int())
		require.Equal(t, at, row.Time())
		require.NoError(t, row.err)
	})

	// The methods, by name.
	reads := map[string]func(*Row) any{
		"Text":         func(row *Row) any { return row.Text() },
		"NullableText": func(row *Row) any { return row.NullableText() },
		"Bool":         func(row *Row) any { return row.Bool() },
		"Int":          func(row *Row) any { return row.Int() },
		"Time":         func(row *Row) any { return row.Time() },
		"NullableTime": func(row *Row) any { return row.NullableTime() },
	}
	of := map[string][]int{"Text": {0, 1}, "NullableText": {0, 1}, "Bool": {2}, "Int": {3, 4}, "Time": {5}, "NullableTime": {5}}
	nullable := map[string]bool{"NullableText": true, "NullableTime": true}
	for name, read := range reads {
		zero := read(rowOf())
		for column := range values {
			mine := slices.Contains(of[name], column)
			t.Run(fmt.Sprintf("%s and column %d", name, column), func(t *testing.T) {
				t.Parallel()
				one := func(value []byte) *Row {
					return NewRow([]pgconn.FieldDescription{rowOf(values...).fields[column]}, [][]byte{value})
				}
				row := one(values[column])
				got := read(row)
				if mine {
					require.NoError(t, row.err)
				} else {
					require.Equal(t, zero, got)
					require.ErrorContains(t, row.err, fmt.Sprintf("wall: column %d: unexpected type OID", column))
				}

				row = one(nil)
				require.Equal(t, zero, read(row))
				switch {
				case !mine:
					require.ErrorContains(t, row.err, "unexpected type OID")
				case nullable[name]:
					require.NoError(t, row.err)
				default:
					require.EqualError(t, row.err, fmt.Sprintf("wall: column %d: null", column))
				}

				row = one(values[column])
				if row.column = 1; mine {
					row.column = 0
					read(row)
				}
				require.Equal(t, zero, read(row))
				require.EqualError(t, row.err, "wall: the row has no more columns")
			})
		}
		t.Run(name+" is zero after a fault, and the first fault stays", func(t *testing.T) {
			t.Parallel()
			for _, column := range of[name] {
				row := rowOf(values...)
				row.Int()
				first := row.err
				require.EqualError(t, first, "wall: column 0: unexpected type OID 25")
				row.column = column
				require.Equal(t, zero, read(row))
				require.Equal(t, first, row.err)
			}
		})
	}

	t.Run("an infinite time is a fault", func(t *testing.T) {
		t.Parallel()
		for _, end := range []int64{math.MaxInt64, math.MinInt64} {
			for _, name := range []string{"Time", "NullableTime"} {
				row := NewRow([]pgconn.FieldDescription{{Name: "at", DataTypeOID: pgtype.TimestamptzOID}}, [][]byte{eight(end)})
				require.Zero(t, reads[name](row))
				require.EqualError(t, row.err, "wall: column at: an infinite time")
			}
		}
	})
}

// Row reads the same values as the driver's decode. They stay valid when the buffer is used again.
func TestRowReadsWhatTheDriverReads(t *testing.T) {
	t.Parallel()
	texts := func(t *rapid.T) []byte { return []byte(rapid.String().Draw(t, "text")) }
	kinds := []struct {
		oid  uint32
		raw  func(*rapid.T) []byte
		read func(*Row) any
		null func(*Row) any // if the column may be null
	}{
		{pgtype.TextOID, texts, func(row *Row) any { return row.Text() }, nil},
		{pgtype.VarcharOID, texts, func(row *Row) any { return row.Text() }, nil},
		{pgtype.TextOID, texts, nil, func(row *Row) any { return row.NullableText() }},
		{pgtype.VarcharOID, texts, nil, func(row *Row) any { return row.NullableText() }},
		{pgtype.BoolOID, func(t *rapid.T) []byte { return []byte{rapid.Byte().Draw(t, "bool")} }, func(row *Row) any { return row.Bool() }, nil},
		{pgtype.Int4OID, func(t *rapid.T) []byte { return four(rapid.Int32().Draw(t, "int4")) }, func(row *Row) any { return row.Int() }, nil},
		{pgtype.Int8OID, func(t *rapid.T) []byte { return eight(rapid.Int64().Draw(t, "int8")) }, func(row *Row) any { return row.Int() }, nil},
		{pgtype.TimestamptzOID, func(t *rapid.T) []byte { return eight(rapid.Int64().Draw(t, "time")) }, func(row *Row) any { return row.Time() }, nil},
		{pgtype.TimestamptzOID, func(t *rapid.T) []byte { return eight(rapid.Int64().Draw(t, "time")) }, nil, func(row *Row) any { return row.NullableTime() }},
		{pgtype.Float8OID, func(t *rapid.T) []byte { return eight(rapid.Int64().Draw(t, "float8")) }, func(row *Row) any { return row.Int() }, nil},
	}
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.SliceOfN(rapid.IntRange(0, len(kinds)-1), 1, 12).Draw(t, "columns")
		row := &Row{}
		for i, kind := range columns {
			row.fields = append(row.fields, pgconn.FieldDescription{Name: fmt.Sprint(i), DataTypeOID: kinds[kind].oid})
		}
		var got, want []any
		for range rapid.IntRange(1, 4).Draw(t, "rows") {
			var values [][]byte
			for _, kind := range columns {
				var raw []byte
				if nulls := kinds[kind].null != nil; !nulls || rapid.Bool().Draw(t, "not null") {
					raw = kinds[kind].raw(t)
				}
				values = append(values, raw)
			}
			row.begin(values)
			for i, kind := range columns {
				value, err := decode(kinds[kind].oid, values[i])
				read := kinds[kind].read
				if read == nil {
					read = kinds[kind].null
				}
				mine := read(row)
				if err != nil {
					require.Error(t, row.err)
					require.Zero(t, mine)
					row.err = nil
					return // as Query does
				}
				require.NoError(t, row.err)
				got, want = append(got, mine), append(want, value)
			}
			for _, value := range values { // the connection uses its buffer again
				copy(value, bytes.Repeat([]byte{'#'}, len(value)))
			}
		}
		same := make(map[any]bool)
		for i, value := range got {
			switch pointer := value.(type) {
			case *string:
				if value = nil; pointer != nil {
					require.False(t, same[pointer], "two values share a pointer")
					same[pointer], value = true, *pointer
				}
			case *time.Time:
				if value = nil; pointer != nil {
					value = *pointer
				}
			}
			require.Equal(t, want[i], value)
		}
	})
}
