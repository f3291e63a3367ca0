package store_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lumen/store"
	"lumen/store/gate"
	"lumen/store/postgres"
)

// shopDatabase returns a store for the examples. It connects when the first statement is sent,
// which the examples do not do.
func shopDatabase() *store.Store {
	database, err := postgres.ParseDatabase("postgres://lumen_serve:secret@localhost/lumen", false)
	if err != nil {
		panic(err)
	}
	return store.Open(database, store.Options{})
}

// as returns a context in which the store works for a merchant.
func as(merchant string, access store.Access) context.Context {
	return store.WithCredential(context.Background(), store.Credential{
		Access: access, Merchant: store.Merchant{ID: merchant, Name: "Acme"},
	})
}

// An invalid input is refused before a statement is sent, with all of its faults.
func ExampleCustomers_Create() {
	s := shopDatabase()
	defer func() { _ = s.Close() }()

	_, err := s.Customers.Create(as("merchant_1", store.WriteAccess), store.Input{
		"email": "jane@localhost", "name": "Jane\x00Smith", "billingCountry": "UK",
	}, store.WriteOptions{})
	e := store.AsError(err)
	fmt.Println(e.Status(), e.Code, e.Message)
	for _, fault := range e.Faults {
		fmt.Println("-", fault.Reason, fault.Message)
	}
	// Output:
	// 400 INVALID_INPUT Invalid request data
	// - INVALID_FORMAT email must be an email address
	// - FORBIDDEN_CHARACTER name must not contain control characters
	// - INVALID_FORMAT billingCountry must be an ISO 3166-1 alpha-2 code: use GB for the United Kingdom
}

// The credential decides what a caller may do. A server can ask before it reads a request's body.
func ExampleRows_Authorize() {
	s := shopDatabase()
	defer func() { _ = s.Close() }()

	fmt.Println(s.Customers.Authorize(context.Background(), store.ToList))
	fmt.Println(s.Customers.Authorize(as("merchant_1", store.ReadAccess), store.ToCreate))
	fmt.Println(s.Customers.Authorize(as("merchant_1", store.WriteAccess), store.ToCreate))
	// Output:
	// UNAUTHENTICATED: Unauthorized
	// FORBIDDEN: This credential may not do that
	// <nil>
}

// A cursor is valid for one merchant and one order. Check validates a query without asking the
// database.
func ExampleRows_Check() {
	s := shopDatabase()
	defer func() { _ = s.Close() }()

	const cursor = "AWNkdIwz6IuaobsjFTw5H2N1c3RfMDFqZDh4cTN2NGU1ZjZnN2g4ajlrMG0xbjIyMDI2LTExLTIzVDIyOjM4OjMwLjEyMzAwMFo"
	check := func(merchant string, query store.PageQuery) {
		err := s.Customers.Check(as(merchant, store.ReadAccess), query)
		if err == nil {
			fmt.Println("valid")
			return
		}
		for _, fault := range store.AsError(err).Faults {
			fmt.Println(fault.Message)
		}
	}
	const merchant = "merchant_01h455vb4pex5vsknk084sn02q"
	check(merchant, store.PageQuery{First: new(50), After: new(cursor)})
	check(merchant, store.PageQuery{First: new(500), After: new(cursor), Sort: store.Sort{Field: store.SortEmail}})
	check("merchant_2", store.PageQuery{After: new(cursor)})
	// Output:
	// valid
	// first must be 1 to 250
	// after must be a cursor that this list returned
	// after must be a cursor that this list returned
}

// An operation ends with an *Error, whose message never tells the cause. The log gets the cause.
func ExampleFailed() {
	for _, cause := range []error{errors.New("relation \"customers\" does not exist"), gate.ErrTenantLimit, context.DeadlineExceeded} {
		e := store.AsError(store.Failed("fetch customer", cause))
		fmt.Println(e.Status(), e.Message, e.Headers()["Retry-After"], e.IsLogged())
	}
	// Output:
	// 500 Failed to fetch customer  true
	// 429 Too many requests 1 false
	// 503 Service temporarily unavailable 1 true
}

// The APIs, the metrics and many tests read what they need from a noun's declaration.
func ExampleNounOf() {
	n := store.NounOf[store.Customer]()
	fmt.Println(n.Name(), n.Plural(), n.IsID("cust_stable_123"), n.IsID("merchant_1"))
	fmt.Println(n.Filters())
	fmt.Println(n.NewError(store.NotFound))
	// Output:
	// customer customers true false
	// [email userId billingCountry search createdAt updatedAt includeDeleted]
	// NOT_FOUND: Customer not found or access denied
}

// Both APIs write a row as JSON from the noun's columns.
func ExampleColumnsOf() {
	name := "Jane \"JJ\" Smith"
	c := &store.Customer{ID: "cust_1", Email: "jane@example.com", Name: &name, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	for _, column := range store.ColumnsOf[store.Customer]() {
		switch column.Field {
		case "id", "name", "userId", "createdAt":
			fmt.Printf("%s: %s\n", column.Field, column.AppendJSON(nil, c))
		}
	}
	// Output:
	// id: "cust_1"
	// name: "Jane \"JJ\" Smith"
	// userId: null
	// createdAt: "2026-01-02T03:04:05.000Z"
}

func ExampleInvalid() {
	err := store.Invalid(
		store.NewFault("first", store.InvalidFormat, store.PageSizeForm),
		store.NewFault("ids", store.InvalidFormat, "must be an ID"), store.NewFault("ids", store.InvalidFormat, "must be an ID"),
	)
	for _, fault := range store.AsError(err).Faults {
		fmt.Println(fault.Message)
	}
	// Output:
	// first must be 1 to 250
	// ids must be an ID (2 times)
}

func ExampleParseTime() {
	for _, text := range []string{"2026-01-02T03:04:05+01:00", "2026-01-02 03:04:05Z"} {
		t, ok := store.ParseTime(text)
		fmt.Println(t.UTC().Format(time.RFC3339), ok)
	}
	// Output:
	// 2026-01-02T02:04:05Z true
	// 0001-01-01T00:00:00Z false
}
