package address_test

import (
	"fmt"

	"lumen/store/address"
)

// Two emails belong to the same person if their keys are equal, however they are written.
func ExampleKey() {
	for _, email := range []string{
		"Zoë@Bücher.example", "ZOE\u0308@BÜCHER.EXAMPLE", `"zoë"@xn--bcher-kva.example`, "zoe@bücher.example", "zoë@localhost",
	} {
		if key, ok := address.Key(email); ok {
			fmt.Println(key)
		} else {
			fmt.Println(email, "is no email")
		}
	}
	// Output:
	// zoë@xn--bcher-kva.example
	// zoë@xn--bcher-kva.example
	// zoë@xn--bcher-kva.example
	// zoe@xn--bcher-kva.example
	// zoë@localhost is no email
}

func ExampleIsValid() {
	for _, email := range []string{"ann@example.com", "ann@localhost", "ann@127.0.0.1", `"ann smith"@example.com`, "ann smith@example.com"} {
		fmt.Println(email, address.IsValid(email))
	}
	// Output:
	// ann@example.com true
	// ann@localhost false
	// ann@127.0.0.1 false
	// "ann smith"@example.com true
	// ann smith@example.com false
}
