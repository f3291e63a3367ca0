// Package rest is the door for clients of the documented REST routes. It translates between HTTP and the store; the
// rules are the store's.
package rest

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"lumen/store"
	"lumen/store/auth"
)

// Authenticate returns the request's context with its credential, or the *store.Error that refuses it.
type Authenticate func(*http.Request) (context.Context, error)

// Options configure the door.
type Options struct {
	// Log gets the causes of internal errors and outages, which no reply shows.
	Log *slog.Logger
	// Note is told of each request to one of the operations, first which it is, then, when it fails, the code of its error. What
	// is not told is "". Nil tells nobody.
	Note func(ctx context.Context, operation string, code store.Code)
}

type handler struct {
	customers    *store.Customers
	tokens       *auth.Tokens
	authenticate Authenticate
	Options
}

// Route is a method and a path that the API answers, and the operation that answers it.
type Route struct {
	Method string
	// Pattern is the path as http.ServeMux writes it.
	Pattern string
	// Operation names what the route does, as Options.Note is told. Two routes may do the same.
	Operation string
}

// routes are all routes under /api/. Nothing else repeats them.
var routes = []struct {
	Route
	serve func(*handler, http.ResponseWriter, *http.Request) error
}{
	{Route{http.MethodGet, "/api/customers", "listCustomers"}, (*handler).listCustomers},
	{Route{http.MethodPost, "/api/customers", "createCustomer"}, (*handler).createCustomer},
	{Route{http.MethodGet, "/api/customers/{id}", "getCustomer"}, (*handler).getCustomer},
	{Route{http.MethodPost, "/api/customers/{id}", "updateCustomer"}, (*handler).updateCustomer},
	{Route{http.MethodPatch, "/api/customers/{id}", "updateCustomer"}, (*handler).updateCustomer},
	{Route{http.MethodDelete, "/api/customers/{id}", "deleteCustomer"}, (*handler).deleteCustomer},
	{Route{http.MethodPost, "/api/access-tokens", "createAccessToken"}, (*handler).createAccessToken},
}

// Routes returns all routes under /api/. GET routes answer HEAD as well.
func Routes() []Route {
	all := make([]Route, len(routes))
	for i, r := range routes {
		all[i] = r.Route
	}
	return all
}

// Operations returns all names of operations that Options.Note is told of, each once.
func Operations() []string {
	var names []string
	for _, r := range routes {
		if !slices.Contains(names, r.Operation) {
			names = append(names, r.Operation)
		}
	}
	return names
}

// NewHandler returns the routes under /api/. Everything else is a 404 in their form.
func NewHandler(customers *store.Customers, tokens *auth.Tokens, authenticate Authenticate, options Options) http.Handler {
	h := &handler{customers, tokens, authenticate, options}
	patterns := make(map[string]map[string]operation) // by method
	for _, r := range routes {
		if patterns[r.Pattern] == nil {
			patterns[r.Pattern] = make(map[string]operation)
		}
		patterns[r.Pattern][r.Method] = operation{r.Operation, func(w http.ResponseWriter, request *http.Request) error {
			return r.serve(h, w, request)
		}}
	}
	mux := http.NewServeMux()
	for pattern, operations := range patterns {
		mux.Handle(pattern, h.methods(operations))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.fail(w, r, store.NewError(store.RouteNotFound))
	})
	return mux
}

// endpoint answers an authenticated request, or returns why it can't; then nothing was written.
type endpoint func(http.ResponseWriter, *http.Request) error

// operation is an endpoint and its name.
type operation struct {
	name  string
	serve endpoint
}

func (h *handler) note(ctx context.Context, operation string, code store.Code) {
	if h.Note != nil {
		h.Note(ctx, operation, code)
	}
}

// methods picks the operation by method, HEAD being GET, and authenticates: first the route, then the credential.
func (h *handler) methods(operations map[string]operation) http.Handler {
	var allowed []string
	for method := range operations {
		allowed = append(allowed, method)
	}
	if _, ok := operations[http.MethodGet]; ok {
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		operation, ok := operations[method]
		if !ok {
			w.Header().Set("Allow", allow)
			h.fail(w, r, store.NewError(store.MethodNotAllowed))
			return
		}
		h.note(r.Context(), operation.name, "")
		ctx, err := h.authenticate(r)
		if err == nil {
			r = r.WithContext(ctx)
			err = operation.serve(w, r)
		}
		if err != nil {
			h.fail(w, r, err)
		}
	})
}
