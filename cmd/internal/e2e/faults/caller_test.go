//go:build faults

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
)

// verdict is what a caller learns about the outcome of an operation.
type verdict int

const (
	done    verdict = iota
	missing         // the customer does not exist
	taken           // another customer has the address
	unknown         // 503, 429 or a broken connection: the write may have happened or may still happen
	wrong           // a reply that no fault excuses
)

func (o verdict) String() string {
	return [...]string{"done", "missing", "taken", "unknown", "wrong"}[o]
}

// exchange is one request and its reply.
type exchange struct {
	write      bool
	status     int // 0 if there was no reply; for GraphQL the status that REST would have
	began, end time.Time
	verdict    verdict
	message    string
}

// exchangeLog records the exchanges of all callers of a test.
type exchangeLog struct {
	mu      sync.Mutex
	samples []exchange
}

func (l *exchangeLog) add(s exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, s)
}

// between returns the exchanges that began in this period. A zero time means no limit.
func (l *exchangeLog) between(from, to time.Time) (found []exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.samples {
		if !s.began.Before(from) && (to.IsZero() || s.began.Before(to)) {
			found = append(found, s)
		}
	}
	return found
}

// violations returns messages about replies that no fault excuses: a 500, a 503 without Retry-After
// or an invalid body. It returns at most five.
func (l *exchangeLog) violations() (all []string) {
	for _, s := range l.between(time.Time{}, time.Time{}) {
		if s.verdict == wrong && len(all) < 5 {
			all = append(all, s.message)
		}
	}
	return all
}

// summary returns the number of exchanges of each status and the longest time.
func summary(samples []exchange) string {
	counts, slowest := map[int]int{}, time.Duration(0)
	for _, s := range samples {
		counts[s.status]++
		slowest = max(slowest, s.end.Sub(s.began))
	}
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d of %d", counts[status], status))
	}
	return fmt.Sprintf("%s; slowest %v", strings.Join(parts, ", "), slowest.Round(time.Millisecond))
}

// caller is a client that alternates between REST and GraphQL.
type caller struct {
	http  *http.Client
	url   string
	key   auth.Secret
	log   *exchangeLog
	turns int
}

func newCaller(url string, key auth.Secret, log *exchangeLog) *caller {
	return &caller{
		// Longer than the service may take in any case.
		http: &http.Client{Timeout: 40 * time.Second, Transport: harness.Watching{Next: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 4}}},
		url:  url, key: key, log: log,
	}
}

// close closes the caller's connections.
func (c *caller) close() { c.http.CloseIdleConnections() }

// customer holds the fields of a customer that the tests of faults use.
type customer struct {
	ID          string `json:"id"`
	Email       string `json:"email"`
	Name        string `json:"name"`
	UserID      string `json:"userId"`
	BillingCity string `json:"billingCity"`
	TaxID       string `json:"taxId"`
}

const customerFields = "id email name userId billingCity taxId"

// create creates a customer. input has the fields by their documented names.
func (c *caller) create(ctx context.Context, input map[string]any) (verdict, customer) {
	if c.usesGraphQL() {
		o, customers := c.graphql(ctx, true, "createCustomer", `mutation($i:CreateCustomerInput!){createCustomer(input:$i){customer{`+customerFields+`}userErrors{code}}}`, map[string]any{"i": input})
		return o, firstCustomer(customers)
	}
	o, customers := c.rest(ctx, "POST", "/api/customers", input)
	return o, firstCustomer(customers)
}

// update changes a customer.
func (c *caller) update(ctx context.Context, id string, input map[string]any) (verdict, customer) {
	if c.usesGraphQL() {
		o, customers := c.graphql(ctx, true, "updateCustomer", `mutation($id:ID!,$i:UpdateCustomerInput!){updateCustomer(id:$id,input:$i){customer{`+customerFields+`}userErrors{code}}}`, map[string]any{"id": id, "i": input})
		return o, firstCustomer(customers)
	}
	o, customers := c.rest(ctx, "POST", "/api/customers/"+id, input)
	return o, firstCustomer(customers)
}

// remove deletes a customer.
func (c *caller) remove(ctx context.Context, id string) verdict {
	if c.usesGraphQL() {
		o, _ := c.graphql(ctx, true, "deleteCustomer", `mutation($id:ID!){deleteCustomer(id:$id){deletedCustomerId userErrors{code}}}`, map[string]any{"id": id})
		return o
	}
	o, _ := c.rest(ctx, "DELETE", "/api/customers/"+id, nil)
	return o
}

// get reads a customer.
func (c *caller) get(ctx context.Context, id string) (verdict, customer) {
	if c.usesGraphQL() {
		o, customers := c.graphql(ctx, false, "customer", `query($id:ID!){customer(id:$id){`+customerFields+`}}`, map[string]any{"id": id})
		return o, firstCustomer(customers)
	}
	o, customers := c.rest(ctx, "GET", "/api/customers/"+id, nil)
	return o, firstCustomer(customers)
}

// holders reads the customers with an address that are not deleted.
func (c *caller) holders(ctx context.Context, email string) (verdict, []customer) {
	if c.usesGraphQL() {
		return c.graphql(ctx, false, "customers", `query($e:String){customers(filter:{email:$e}){nodes{`+customerFields+`}}}`, map[string]any{"e": email})
	}
	return c.rest(ctx, "GET", "/api/customers?limit=50&email="+url.QueryEscape(email), nil)
}

// usesGraphQL reports whether the next request uses GraphQL: every second one does.
func (c *caller) usesGraphQL() bool {
	c.turns++
	return c.turns%2 == 0
}

func firstCustomer(customers []customer) customer {
	if len(customers) == 0 {
		return customer{}
	}
	return customers[0]
}

// send sends a request. It returns an error unless it received a complete reply.
func (c *caller) send(ctx context.Context, method, path string, input any) (status int, header http.Header, body []byte, err error) {
	var content io.Reader
	if input != nil {
		text, err := json.Marshal(input)
		if err != nil {
			return 0, nil, nil, err
		}
		content = strings.NewReader(string(text))
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, content)
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(c.key))
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header, body, err
}

// observe records an exchange that began at this time and ends now.
func (c *caller) observe(began time.Time, write bool, status int, o verdict, format string, args ...any) {
	c.log.add(exchange{write, status, began, time.Now(), o, fmt.Sprintf(format, args...)})
}

func (c *caller) rest(ctx context.Context, method, path string, input any) (verdict, []customer) {
	began := time.Now()
	status, header, body, err := c.send(ctx, method, path, input)
	if err != nil {
		c.observe(began, method != "GET", 0, unknown, "%v", err)
		return unknown, nil
	}
	var reply struct {
		Customer  customer   `json:"customer"`
		Customers []customer `json:"customers"`
	}
	err = json.Unmarshal(body, &reply)
	o, customers := wrong, []customer{reply.Customer}
	switch {
	case err != nil:
	case status == 200 || status == 201:
		o = done
		if reply.Customer.ID == "" {
			customers = reply.Customers
		}
	case status == 404:
		o = missing
	case status == 409:
		o = taken
	case (status == 503 || status == 429) && header.Get("Retry-After") != "":
		o = unknown
	}
	c.observe(began, method != "GET", status, o, "%s %s: %d %v %s", method, path, status, header["Retry-After"], shorten(string(body)))
	return o, customers
}

// statusOf maps codes of GraphQL to the statuses of REST.
var statusOf = map[string]int{"": 200, "NOT_FOUND": 404, "EMAIL_TAKEN": 409, "UNAVAILABLE": 503, "RATE_LIMITED": 429}

func (c *caller) graphql(ctx context.Context, write bool, field, query string, variables map[string]any) (verdict, []customer) {
	began := time.Now()
	httpStatus, header, body, err := c.send(ctx, "POST", "/graphql", map[string]any{"query": query, "variables": variables})
	if err != nil {
		c.observe(began, write, 0, unknown, "%v", err)
		return unknown, nil
	}
	code, customers, err := readGraphQL(field, body)
	status, known := statusOf[code]
	o := wrong
	switch {
	case err != nil || !known || httpStatus != 200 && httpStatus != status:
	case status == 200:
		o = done
	case status == 404:
		o = missing
	case status == 409:
		o = taken
	case httpStatus == 200 || header.Get("Retry-After") != "": // a reply with data has no Retry-After
		o = unknown
	}
	c.observe(began, write, status, o, "%s: %d %v %s", field, httpStatus, header["Retry-After"], shorten(string(body)))
	return o, customers
}

// readGraphQL reads a reply to an operation of one field. It returns the code of an error that no
// fault excuses, or else the code of the first error, or else the customers in the reply.
func readGraphQL(field string, body []byte) (code string, customers []customer, err error) {
	type coded struct{ Code string }
	var reply struct {
		Data   map[string]json.RawMessage
		Errors []struct{ Extensions coded }
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return "", nil, err
	}
	for _, e := range reply.Errors {
		if _, excused := statusOf[e.Extensions.Code]; !excused || e.Extensions.Code == "" {
			return "error " + e.Extensions.Code, nil, nil
		}
	}
	if len(reply.Errors) > 0 {
		return reply.Errors[0].Extensions.Code, nil, nil
	}
	value := reply.Data[field]
	if string(value) == "null" {
		return "NOT_FOUND", nil, nil
	}
	var found struct {
		customer
		Customer   *customer
		Nodes      []customer
		UserErrors []coded
	}
	if err := json.Unmarshal(value, &found); err != nil {
		return "", nil, err
	}
	switch {
	case len(found.UserErrors) > 0:
		return found.UserErrors[0].Code, nil, nil
	case found.Customer != nil:
		return "", []customer{*found.Customer}, nil
	case found.ID != "":
		return "", []customer{found.customer}, nil
	}
	return "", found.Nodes, nil
}
