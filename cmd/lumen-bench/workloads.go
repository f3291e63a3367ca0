package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// The requests of each workload, once for each kind of server. All ids are drawn at random.

const (
	allFields = `id email name userId billingAddressLine1 billingAddressLine2 billingCity billingPostalCode billingCountry taxId
		merchantId createdAt updatedAt deletedAt emailShared`
	getQuery  = `query Get($id: ID!) { customer(id: $id) { id email name userId billingCountry createdAt } }`
	pageQuery = `query Page($first: Int!, $after: String) { customers(first: $first, after: $after) {
		edges { cursor node { ` + allFields + ` } } pageInfo { hasNextPage endCursor } } }`
)

// aliases is how many customers the largest operation by id asks for.
const aliases = 30

// aliasedQuery returns a query for n customers by id, each with a variable of its own.
func aliasedQuery(n int) string {
	var variables, fields strings.Builder
	for i := range n {
		fmt.Fprintf(&variables, "$id%d: ID! ", i)
		fmt.Fprintf(&fields, "c%d: customer(id: $id%d) { id email name userId billingCountry createdAt } ", i, i)
	}
	return "query Get(" + variables.String() + ") { " + fields.String() + "}"
}

// requests makes requests to one server for the customers of one database.
type requests struct {
	server *server
	of     *database
}

func (q requests) to(r *fasthttp.Request, method, path string) {
	r.Header.SetMethod(method)
	r.SetRequestURI(q.server.url + path)
}

func (q requests) lumen(r *fasthttp.Request, m merchant, method, path string, body []byte) {
	q.to(r, method, path)
	r.Header.Set("Authorization", "Bearer "+m.key)
	if body != nil {
		r.Header.SetContentType("application/json")
		r.SetBody(body)
	}
}

// operation returns a function that makes the bodies of one operation. It encodes everything but
// the variables once, because the client shares the processors with the servers.
func operation(query, name string) func(variables string) []byte {
	head := `{"query":` + string(encode(query)) + `,"operationName":` + string(encode(name)) + `,"variables":{`
	return func(variables string) []byte { return append(append([]byte(head), variables...), "}}"...) }
}

// variable is a variable whose value is a text without special characters.
func variable(name, value string) string { return `"` + name + `":"` + value + `"` }

var (
	getOperation  = operation(getQuery, "Get")
	pageOperation = operation(pageQuery, "Page")
)

func (q requests) get(r *fasthttp.Request, random *rand.Rand) {
	m, id := q.of.any(random)
	q.lumen(r, m, "GET", "/api/customers/"+id, nil)
}

func (q requests) getByGraphQL(r *fasthttp.Request, random *rand.Rand) {
	m, id := q.of.any(random)
	q.lumen(r, m, "POST", "/graphql", getOperation(variable("id", id)))
}

// getMany asks for n customers of one merchant in one operation.
func (q requests) getMany(n int) prepare {
	body := operation(aliasedQuery(n), "Get")
	return func(r *fasthttp.Request, random *rand.Rand) {
		m, _ := q.of.any(random)
		ids := make([]string, n)
		for i := range ids {
			ids[i] = variable("id"+strconv.Itoa(i), m.customer(1+random.IntN(m.customers)))
		}
		q.lumen(r, m, "POST", "/graphql", body(strings.Join(ids, ",")))
	}
}

// page asks for 50 customers after a cursor, which may depend on the merchant; nil is the start of
// the list.
func (q requests) page(after map[string]string) prepare {
	return func(r *fasthttp.Request, random *rand.Rand) {
		m, _ := q.of.any(random)
		variables := `"first":50`
		if after != nil {
			variables += "," + variable("after", after[m.id])
		}
		q.lumen(r, m, "POST", "/graphql", pageOperation(variables))
	}
}

// creation and change are the bodies of writes.
func creation(random *rand.Rand) []byte {
	return encode(map[string]string{
		"email": fmt.Sprintf("New.%016x@Example.com", random.Uint64()), "name": fmt.Sprintf("New Person %d", random.IntN(1e6)),
		"userId": fmt.Sprintf("new-%d", random.IntN(1e9)), "billingCity": "Shelbyville",
	})
}

func change(random *rand.Rand) []byte {
	return encode(map[string]string{"name": fmt.Sprintf("Changed Person %d", random.IntN(1e6)), "billingCity": fmt.Sprintf("City %d", random.IntN(1e6))})
}

func (q requests) create(r *fasthttp.Request, random *rand.Rand) {
	m, _ := q.of.any(random)
	q.lumen(r, m, "POST", "/api/customers", creation(random))
}

func (q requests) update(r *fasthttp.Request, random *rand.Rand) {
	m, id := q.of.any(random)
	q.lumen(r, m, "PATCH", "/api/customers/"+id, change(random))
}

func (q requests) bareGet(r *fasthttp.Request, random *rand.Rand) {
	m, id := q.of.any(random)
	q.to(r, "GET", "/"+m.id+"/customers/"+id)
}

func (q requests) barePage(r *fasthttp.Request, random *rand.Rand) {
	m, _ := q.of.any(random)
	q.to(r, "GET", "/"+m.id+"/page")
}

func (q requests) bareCreate(r *fasthttp.Request, random *rand.Rand) {
	m, _ := q.of.any(random)
	q.to(r, "POST", "/"+m.id+"/customers")
	r.SetBody(creation(random))
}

func (q requests) bareUpdate(r *fasthttp.Request, random *rand.Rand) {
	m, id := q.of.any(random)
	q.to(r, "PATCH", "/"+m.id+"/customers/"+id)
	r.SetBody(change(random))
}

// peer runs an operation of the peer's own document, with the variables merchantId and id.
func (q requests) peer(document, name string) prepare {
	body := operation(document, name)
	return func(r *fasthttp.Request, random *rand.Rand) {
		m, id := q.of.any(random)
		variables := variable("merchantId", m.id)
		if name == "Get" {
			variables += "," + variable("id", id)
		}
		q.to(r, "POST", "")
		r.Header.SetContentType("application/json")
		r.SetBody(body(variables))
	}
}

func encode(body any) []byte {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return encoded
}
