package rest

import "lumen/store"

var customers = register(resource[store.Customer]{
	path:    "/api/customers",
	filters: []string{"email", "userId"},
	rows:    func(s *store.Store) rows[store.Customer] { return s.Customers },
})
