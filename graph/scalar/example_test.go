package scalar_test

import (
	"fmt"

	"github.com/vektah/gqlparser/v2/ast"

	"lumen/graph/scalar"
)

// A DateTime may have any offset. Replies are in UTC.
func ExampleUnmarshalDateTime() {
	t, err := scalar.UnmarshalDateTime("2026-01-31T10:30:00+01:00")
	if err != nil {
		panic(err)
	}
	fmt.Println(string(scalar.AppendDateTime(nil, t)))

	_, err = scalar.UnmarshalDateTime("31.01.2026")
	fmt.Println(err)
	// Output:
	// "2026-01-31T09:30:00.000Z"
	// INVALID_INPUT: Invalid request data
}

// A String does not accept a number, which gqlgen's own scalar would convert.
func ExampleCoerce() {
	str := &ast.Definition{Kind: ast.Scalar, Name: "String"}
	fmt.Println(scalar.Coerce(str, "5"))
	fmt.Println(scalar.Coerce(str, int64(5)))
	// Output:
	// <nil>
	// input: expected a value of type String
}
