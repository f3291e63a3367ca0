package rest_test

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"lumen/rest"
)

// The routes have the patterns of http.ServeMux and an operation each, which logs and metrics use.
func ExampleRoutes() {
	for _, r := range rest.Routes() {
		fmt.Printf("%-6s %-29s %s\n", r.Method, r.Pattern, r.Operation)
	}
	// Output:
	// POST   /api/access-tokens            createAccessToken
	// GET    /api/changes                  listChanges
	// GET    /api/customers                listCustomers
	// POST   /api/customers                createCustomer
	// GET    /api/customers/{id}           getCustomer
	// POST   /api/customers/{id}           updateCustomer
	// PATCH  /api/customers/{id}           updateCustomer
	// DELETE /api/customers/{id}           deleteCustomer
	// GET    /api/customers/{id}/history   listCustomerHistory
}

// The document names the base path of the server, so that generated clients need no other setting.
func ExampleOpenAPIJSON() {
	var document struct {
		Servers []struct {
			URL string `json:"url"`
		} `json:"servers"`
	}
	if err := json.Unmarshal(rest.OpenAPIJSON("/lumen"), &document); err != nil {
		panic(err)
	}
	fmt.Println(document.Servers[0].URL)
	// Output:
	// /lumen
}
