package rest

import (
	"net/http"
	"slices"
)

// Route is a method and a path of the API, with the operation that serves them.
type Route struct {
	Method string
	// Pattern is the path in the syntax of http.ServeMux.
	Pattern string
	// Operation is the name of the operation that Options.Annotate receives. Two routes can have
	// the same operation.
	Operation string
}

// endpoint answers an authenticated request. If it returns an error, it has written nothing.
type endpoint func(*handler, http.ResponseWriter, *http.Request) error

type route struct {
	Route
	serve endpoint
}

// routes holds all routes below /api/: those of access tokens and of the log of changes, and those of
// each noun. It is the only list of them.
var routes = []route{
	{Route{http.MethodPost, "/api/access-tokens", "createAccessToken"}, (*handler).createAccessToken},
	{Route{http.MethodGet, "/api/changes", "listChanges"}, (*handler).listChanges},
}

// register adds the routes of a noun.
func register[T any](r resource[T]) *service[T] {
	s := r.service()
	routes = append(routes, s.routes()...)
	objects[s.noun.Name()] = s.appendObject
	return s
}

// Routes returns all routes below /api/. A GET route also answers HEAD.
func Routes() []Route {
	var all []Route
	for _, r := range routes {
		all = append(all, r.Route)
	}
	return all
}

// Operations returns the names of all operations that Options.Annotate can receive, each once.
func Operations() []string {
	var names []string
	for _, r := range routes {
		if !slices.Contains(names, r.Operation) {
			names = append(names, r.Operation)
		}
	}
	return names
}
