package main

import (
	"math/rand/v2"

	"github.com/valyala/fasthttp"
)

// mix is the traffic of an application. Of ten requests, six read a customer by its id, one of
// these through GraphQL, one reads a page, one creates, and two update. All ids are drawn at
// random, over all merchants of the database.
func (q requests) mix() prepare {
	page := q.page(nil)
	each := []prepare{q.get, q.get, q.get, q.get, q.get, q.getByGraphQL, page, q.create, q.update, q.update}
	return func(r *fasthttp.Request, random *rand.Rand) { each[random.IntN(len(each))](r, random) }
}

// alive asks whether the process is alive.
func (q requests) alive(r *fasthttp.Request, _ *rand.Rand) { q.to(r, "GET", "/healthz") }

// only returns the requests of one of the merchants.
func (q requests) only(m merchant) requests {
	one := *q.of
	one.merchants = []merchant{m}
	return requests{q.server, &one}
}

// searches asks for customers whose email, name or user id holds a rare text. Postgres reads all
// customers of the merchant for it, so no other query costs more.
func (q requests) searches() prepare {
	body := operation(searchQuery, "Search")
	return func(r *fasthttp.Request, random *rand.Rand) {
		m, _ := q.of.any(random)
		q.lumen(r, m, "POST", "/graphql", body(variable("text", searched(random))))
	}
}

const searchQuery = `query Search($text: String!) { customers(first: 50, filter: {search: $text}) { nodes { ` + allFields + ` } totalCount } }`

// searched returns a text of five digits that stands at the end of the local part of an email
// address.
func searched(random *rand.Rand) string {
	digits := []byte("00000@example")
	for i := range 5 {
		digits[i] = '0' + byte(random.IntN(10))
	}
	return string(digits)
}
