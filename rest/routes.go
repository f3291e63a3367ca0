package rest

import (
	"net/http"
	"slices"
)

// Route is a method and a path that the API answers, and the operation that answers it.
type Route struct {
	Method string
	// Pattern is the path as http.ServeMux writes it.
	Pattern string
	// Operation names what the route does, as Options.Annotate is told. Two routes may do the same.
	Operation string
}

// endpoint answers an authenticated request, or returns why it can't; then nothing was written.
type endpoint func(*handler, http.ResponseWriter, *http.Request) error

type route struct {
	Route
	serve endpoint
}

// routes are all routes under /api/: access tokens, and those of each noun. Nothing else repeats them.
var routes = []route{
	{Route{http.MethodPost, "/api/access-tokens", "createAccessToken"}, (*handler).createAccessToken},
}

// register adds the routes of a noun.
func register[T any](r resource[T]) *service[T] {
	s := r.service()
	routes = append(routes, s.routes()...)
	return s
}

// Routes returns all routes under /api/. GET routes answer HEAD as well.
func Routes() []Route {
	var all []Route
	for _, r := range routes {
		all = append(all, r.Route)
	}
	return all
}

// Operations returns all names of operations that Options.Annotate is told of, each once.
func Operations() []string {
	var names []string
	for _, r := range routes {
		if !slices.Contains(names, r.Operation) {
			names = append(names, r.Operation)
		}
	}
	return names
}
