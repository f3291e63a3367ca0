package rest

import "lumen/store"

var customers = register(resource[store.Customer]{
	path:    "/api/customers",
	filters: []string{"email", "userId"},
	misnomers: map[string]string{
		"q": searching, "query": searching, "search": searching,
		"page": paging, "offset": paging, "skip": paging, "perPage": "limit", "pageSize": "limit", "first": "limit",
		"after": "cursor", "startingAfter": "cursor", "endingBefore": "cursor", "since": "updatedSince",
	},
	rows: func(s *store.Store) rows[store.Customer] { return s.Customers },
})

// The parameters that messages suggest to clients that want to search or to page.
const (
	searching = "email or userId"
	paging    = "limit and cursor"
)
