// Command genqlient takes the same steps as ../typescript/client.ts, in Go, with Khan/genqlient.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/Khan/genqlient/graphql"
	"github.com/oapi-codegen/nullable"

	"lumen/graph/clients/genqlient/generated"
)

// withKey sends the key with every request.
type withKey struct{ key string }

func (w withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+w.key)
	return http.DefaultTransport.RoundTrip(r)
}

func main() {
	log.SetFlags(0)
	ctx := context.Background()
	lumen := graphql.NewClient(os.Getenv("LUMEN_URL"), &http.Client{Transport: withKey{os.Getenv("LUMEN_KEY")}})

	var created []string
	for i := 1; i <= 7; i++ {
		email, name, userID := fmt.Sprintf("jane%d@example.com", i), text("Jane Smith"), text(fmt.Sprintf("user-%d", i))
		reply, err := generated.CreateCustomer(ctx, lumen, email, name, userID)
		check(err)
		equal(len(reply.CreateCustomer.UserErrors), 0)
		stored := reply.CreateCustomer.Customer.Details
		equal(stored, generated.Details{Id: stored.Id, Email: email, Name: name, UserId: userID})
		created = append(created, stored.Id)
	}
	fmt.Printf("created %d customers\n", len(created))

	var listed []string
	var sizes []int
	for after := (nullable.Nullable[string]{}); ; {
		reply, err := generated.CustomersPage(ctx, lumen, 3, after)
		check(err)
		for _, customer := range reply.Customers.Nodes {
			equal(time.Since(customer.CreatedAt) < time.Hour, true)
			listed = append(listed, customer.Id)
		}
		sizes = append(sizes, len(reply.Customers.Nodes))
		if !reply.Customers.PageInfo.HasNextPage {
			break
		}
		after = reply.Customers.PageInfo.EndCursor
	}
	slices.Reverse(listed)
	equal(listed, created)
	equal(sizes, []int{3, 3, 1})
	fmt.Printf("paged through them, each once, in %d pages\n", len(sizes))

	id, absent := created[0], nullable.Nullable[string]{}
	jane := generated.Details{Id: id, Email: "jane1@example.com", Name: text("Jane Doe"), UserId: text("user-1")}
	reply, err := generated.UpdateCustomer(ctx, lumen, id, absent, text("Jane Doe"))
	check(err)
	equal(reply.UpdateCustomer.Customer.Details, jane)
	fmt.Println("updated a name, and nothing else")

	jane.Name = nullable.NewNullNullable[string]()
	reply, err = generated.UpdateCustomer(ctx, lumen, id, absent, nullable.NewNullNullable[string]())
	check(err)
	equal(reply.UpdateCustomer.Customer.Details, jane)
	fmt.Println("cleared the name, and kept what was left out")

	reply, err = generated.UpdateCustomer(ctx, lumen, id, text("JANE2@example.com"), absent)
	check(err)
	equal(reply.UpdateCustomer.Customer == nil, true)
	equal(len(reply.UpdateCustomer.UserErrors), 1)
	taken := reply.UpdateCustomer.UserErrors[0].Fault
	equal(taken.Code, generated.UserErrorCodeEmailTaken)
	equal(taken.Field, []string{"input", "email"})
	fmt.Printf("met a user error: %s, %s\n", taken.Code, taken.Message)

	gone, err := generated.DeleteCustomer(ctx, lumen, id)
	check(err)
	equal(gone.DeleteCustomer.DeletedCustomerId, text(id))
	found, err := generated.GetCustomer(ctx, lumen, id)
	check(err)
	equal(found.Customer == nil, true)
	found, err = generated.GetCustomer(ctx, lumen, created[1])
	check(err)
	equal(found.Customer.Email, "jane2@example.com")
	fmt.Println("deleted a customer: it is gone, the others are not")
}

func text(s string) nullable.Nullable[string] { return nullable.NewNullableWithValue(s) }

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}

// equal panics when the values differ, so that the trace shows the line of the comparison.
func equal[T any](got, want T) {
	if !reflect.DeepEqual(got, want) {
		log.Panicf("got %v, want %v", got, want)
	}
}
