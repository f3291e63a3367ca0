package wall

import (
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

// BenchmarkDecode decodes a row as wide as a customer's: 14 texts, two times and a flag.
func BenchmarkDecode(b *testing.B) {
	type column struct {
		oid uint32
		raw []byte
	}
	row := []column{
		{pgtype.TimestamptzOID, make([]byte, 8)}, {pgtype.TimestamptzOID, make([]byte, 8)}, {pgtype.BoolOID, []byte{1}},
	}
	for range 14 {
		row = append(row, column{pgtype.TextOID, []byte("Some text of a usual length")})
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range row {
			if value, err := decode(c.oid, c.raw); err != nil || value == nil {
				b.Fatal(value, err)
			}
		}
	}
}
