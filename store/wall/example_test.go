package wall_test

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"lumen/store/wall"
)

// Query passes each row to a function that reads its columns in their order. NewRow makes a row for
// the tests of such a function.
func ExampleRow() {
	type customer struct {
		email string
		name  *string
		live  bool
	}
	read := func(row *wall.Row) customer {
		return customer{email: row.Text(), name: row.NullableText(), live: row.Bool()}
	}
	columns := []pgconn.FieldDescription{
		{Name: "email", DataTypeOID: pgtype.TextOID}, {Name: "name", DataTypeOID: pgtype.TextOID},
		{Name: "live", DataTypeOID: pgtype.BoolOID},
	}
	c := read(wall.NewRow(columns, [][]byte{[]byte("jane@example.com"), nil, {1}}))
	fmt.Println(c.email, c.name == nil, c.live)
	// Output: jane@example.com true true
}
