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
	tokens       *store.Tokens
	authenticate Authenticate
	Options
}

// The operations, as openapi.yaml names them.
const (
	listCustomers     = "listCustomers"
	getCustomer       = "getCustomer"
	createCustomer    = "createCustomer"
	updateCustomer    = "updateCustomer"
	deleteCustomer    = "deleteCustomer"
	createAccessToken = "createAccessToken"
)

// Operations returns all that Options.Note is told of as operations.
func Operations() []string {
	return []string{listCustomers, getCustomer, createCustomer, updateCustomer, deleteCustomer, createAccessToken}
}

// NewHandler returns the routes under /api/. Everything else is a 404 in their form.
func NewHandler(customers *store.Customers, tokens *store.Tokens, authenticate Authenticate, options Options) http.Handler {
	h := &handler{customers, tokens, authenticate, options}
	mux := http.NewServeMux()
	mux.Handle("/api/customers", h.methods(map[string]operation{
		http.MethodGet:  {listCustomers, h.listCustomers},
		http.MethodPost: {createCustomer, h.createCustomer},
	}))
	mux.Handle("/api/customers/{id}", h.methods(map[string]operation{
		http.MethodGet:    {getCustomer, h.getCustomer},
		http.MethodPost:   {updateCustomer, h.updateCustomer},
		http.MethodPatch:  {updateCustomer, h.updateCustomer},
		http.MethodDelete: {deleteCustomer, h.deleteCustomer},
	}))
	mux.Handle("/api/access-tokens", h.methods(map[string]operation{
		http.MethodPost: {createAccessToken, h.createAccessToken},
	}))
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
