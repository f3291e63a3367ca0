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

// outcome is what a caller learns of an operation.
type verdict int

const (
	done    verdict = iota
	missing         // no such customer
	taken           // another has the address
	unknown         // a 503, a 429, a connection that was cut: it may have happened, or may still happen
	wrong           // what no fault excuses
)

func (o verdict) String() string {
	return [...]string{"done", "missing", "taken", "unknown", "wrong"}[o]
}

// exchanged is one exchange.
type exchanged struct {
	write      bool
	status     int // 0 when there was no reply; of GraphQL what REST would have said
	began, end time.Time
	verdict    verdict
	complaint  string
}

// tally keeps the exchanges of all callers of a test.
type tally struct {
	mu      sync.Mutex
	samples []exchanged
}

func (l *tally) add(s exchanged) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, s)
}

// between returns what began in this time. The zero time is no bound.
func (l *tally) between(from, to time.Time) (found []exchanged) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.samples {
		if !s.began.Before(from) && (to.IsZero() || s.began.Before(to)) {
			found = append(found, s)
		}
	}
	return found
}

// complaints are of what no fault excuses: a 500, a 503 that does not say when to come back, a body that is none. A
// few stand for all of them.
func (l *tally) complaints() (all []string) {
	for _, s := range l.between(time.Time{}, time.Time{}) {
		if s.verdict == wrong && len(all) < 5 {
			all = append(all, s.complaint)
		}
	}
	return all
}

// summary counts statuses and tells the slowest.
func summary(samples []exchanged) string {
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

// caller is a client of both doors, in turn.
type caller struct {
	http  *http.Client
	url   string
	key   auth.Secret
	log   *tally
	turns int
}

func newCaller(url string, key auth.Secret, log *tally) *caller {
	return &caller{
		// Longer than the service takes in any case: what takes longer is a fault of its own.
		http: &http.Client{Timeout: 40 * time.Second, Transport: harness.Watching{Next: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 4}}},
		url:  url, key: key, log: log,
	}
}

// close gives its connections back.
func (c *caller) close() { c.http.CloseIdleConnections() }

// person is what the tests of faults know customers by.
type person struct {
	ID          string `json:"id"`
	Email       string `json:"email"`
	Name        string `json:"name"`
	UserID      string `json:"userId"`
	BillingCity string `json:"billingCity"`
	TaxID       string `json:"taxId"`
}

const personFields = "id email name userId billingCity taxId"

// create adds a customer. What input holds are fields under their documented names.
func (c *caller) create(ctx context.Context, input map[string]any) (verdict, person) {
	if c.turn() {
		o, people := c.graphql(ctx, true, "createCustomer", `mutation($i:CreateCustomerInput!){createCustomer(input:$i){customer{`+personFields+`}userErrors{code}}}`, map[string]any{"i": input})
		return o, first(people)
	}
	o, people := c.rest(ctx, "POST", "/api/customers", input)
	return o, first(people)
}

// update changes a customer.
func (c *caller) update(ctx context.Context, id string, input map[string]any) (verdict, person) {
	if c.turn() {
		o, people := c.graphql(ctx, true, "updateCustomer", `mutation($id:ID!,$i:UpdateCustomerInput!){updateCustomer(id:$id,input:$i){customer{`+personFields+`}userErrors{code}}}`, map[string]any{"id": id, "i": input})
		return o, first(people)
	}
	o, people := c.rest(ctx, "POST", "/api/customers/"+id, input)
	return o, first(people)
}

// remove deletes a customer.
func (c *caller) remove(ctx context.Context, id string) verdict {
	if c.turn() {
		o, _ := c.graphql(ctx, true, "deleteCustomer", `mutation($id:ID!){deleteCustomer(id:$id){deletedCustomerId userErrors{code}}}`, map[string]any{"id": id})
		return o
	}
	o, _ := c.rest(ctx, "DELETE", "/api/customers/"+id, nil)
	return o
}

// get reads a customer.
func (c *caller) get(ctx context.Context, id string) (verdict, person) {
	if c.turn() {
		o, people := c.graphql(ctx, false, "customer", `query($id:ID!){customer(id:$id){`+personFields+`}}`, map[string]any{"id": id})
		return o, first(people)
	}
	o, people := c.rest(ctx, "GET", "/api/customers/"+id, nil)
	return o, first(people)
}

// holders reads the live customers with an address.
func (c *caller) holders(ctx context.Context, email string) (verdict, []person) {
	if c.turn() {
		return c.graphql(ctx, false, "customers", `query($e:String){customers(filter:{email:$e}){nodes{`+personFields+`}}}`, map[string]any{"e": email})
	}
	return c.rest(ctx, "GET", "/api/customers?limit=50&email="+url.QueryEscape(email), nil)
}

// turn reports whether it is GraphQL's.
func (c *caller) turn() bool {
	c.turns++
	return c.turns%2 == 0
}

func first(people []person) person {
	if len(people) == 0 {
		return person{}
	}
	return people[0]
}

// exchange sends a request. An error means that there was no whole reply.
func (c *caller) exchange(ctx context.Context, method, path string, input any) (status int, header http.Header, body []byte, err error) {
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

// note adds an exchange that began then.
func (c *caller) note(began time.Time, write bool, status int, o verdict, format string, args ...any) {
	c.log.add(exchanged{write, status, began, time.Now(), o, fmt.Sprintf(format, args...)})
}

func (c *caller) rest(ctx context.Context, method, path string, input any) (verdict, []person) {
	began := time.Now()
	status, header, body, err := c.exchange(ctx, method, path, input)
	if err != nil {
		c.note(began, method != "GET", 0, unknown, "%v", err)
		return unknown, nil
	}
	var reply struct {
		Customer  person   `json:"customer"`
		Customers []person `json:"customers"`
	}
	err = json.Unmarshal(body, &reply)
	o, people := wrong, []person{reply.Customer}
	switch {
	case err != nil:
	case status == 200 || status == 201:
		o = done
		if reply.Customer.ID == "" {
			people = reply.Customers
		}
	case status == 404:
		o = missing
	case status == 409:
		o = taken
	case (status == 503 || status == 429) && header.Get("Retry-After") != "":
		o = unknown
	}
	c.note(began, method != "GET", status, o, "%s %s: %d %v %s", method, path, status, header["Retry-After"], shorten(string(body)))
	return o, people
}

// statusOf says what REST answers for a code of GraphQL's.
var statusOf = map[string]int{"": 200, "NOT_FOUND": 404, "EMAIL_TAKEN": 409, "UNAVAILABLE": 503, "RATE_LIMITED": 429}

func (c *caller) graphql(ctx context.Context, write bool, field, query string, variables map[string]any) (verdict, []person) {
	began := time.Now()
	httpStatus, header, body, err := c.exchange(ctx, "POST", "/graphql", map[string]any{"query": query, "variables": variables})
	if err != nil {
		c.note(began, write, 0, unknown, "%v", err)
		return unknown, nil
	}
	code, people, err := readGraphQL(field, body)
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
	case httpStatus == 200 || header.Get("Retry-After") != "": // where data came along there is no place for it
		o = unknown
	}
	c.note(began, write, status, o, "%s: %d %v %s", field, httpStatus, header["Retry-After"], shorten(string(body)))
	return o, people
}

// readGraphQL reads a reply to an operation of one field: the code of its first error, or of one that no fault excuses, or the
// customers in it.
func readGraphQL(field string, body []byte) (code string, people []person, err error) {
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
		person
		Customer   *person
		Nodes      []person
		UserErrors []coded
	}
	if err := json.Unmarshal(value, &found); err != nil {
		return "", nil, err
	}
	switch {
	case len(found.UserErrors) > 0:
		return found.UserErrors[0].Code, nil, nil
	case found.Customer != nil:
		return "", []person{*found.Customer}, nil
	case found.ID != "":
		return "", []person{found.person}, nil
	}
	return "", found.Nodes, nil
}
