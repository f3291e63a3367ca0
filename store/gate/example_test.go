package gate_test

import (
	"context"
	"fmt"
	"time"

	"lumen/store/gate"
)

// A pool has 4 connections, of which one tenant may use 2. A third statement of the same tenant
// waits, and a statement of another tenant does not.
func ExampleGate() {
	g := gate.New(4, 64)
	ctx := context.Background()
	for range 2 {
		busy, err := g.Enter(ctx, "busy shop")
		if err != nil {
			fmt.Println(err)
			return
		}
		defer g.Leave(busy, true) // true: the database answered the statement
	}

	brief, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err := g.Enter(brief, "busy shop")
	fmt.Println("busy shop:", err)

	other, err := g.Enter(ctx, "other shop")
	fmt.Println("other shop:", err)
	g.Leave(other, true)
	fmt.Println("waited:", g.Stats().Waits)
	// Output:
	// busy shop: context deadline exceeded
	// other shop: <nil>
	// waited: 1
}

// A list that is under way does not keep its tenant from starting other statements.
func ExampleContinue() {
	g := gate.New(16, 1)
	ctx := context.Background()
	list, err := g.Enter(gate.Continue(ctx), "shop")
	fmt.Println("the list:", err)
	statement, err := g.Enter(ctx, "shop")
	fmt.Println("a statement:", err)
	g.Leave(statement, true)
	g.Leave(list, true)
	// Output:
	// the list: <nil>
	// a statement: <nil>
}

// All statements of a request share its time, so one that starts late has less of it.
func ExampleWithArrival() {
	ctx, waited := gate.WithArrival(context.Background())
	waited(30 * time.Second) // a slow client sent its body; that time does not count

	statement, cancel := gate.WithDeadline(ctx)
	defer cancel()
	until, _ := statement.Deadline()
	fmt.Println(time.Until(until).Round(time.Second))
	// Output: 6s
}
