package contract_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"lumen/rest"
	"lumen/rest/contract"
)

// Check finds a reply that the document does not describe.
func ExampleContract_Check() {
	documented, err := contract.Load(rest.OpenAPI(""))
	if err != nil {
		panic(err)
	}
	request := httptest.NewRequest(http.MethodGet, "/api/customers/cust_1", nil)
	request.Header.Set("Authorization", "Bearer key")
	header := http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"request-1"}}

	notFound := &http.Response{StatusCode: http.StatusNotFound, Header: header}
	body := []byte(`{"error":"Customer not found or access denied"}`)
	fmt.Println(documented.Check(request, nil, notFound, body))

	gone := &http.Response{StatusCode: http.StatusGone, Header: header}
	fmt.Println(documented.Check(request, nil, gone, body))
	// Output:
	// <nil>
	// GET /api/customers/cust_1 was answered with 410: the status is not documented
}
