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

type handler struct {
	customers    *store.Customers
	tokens       *store.Tokens
	authenticate Authenticate
	log          *slog.Logger
}

// NewHandler returns the routes under /api/. Everything else is a 404 in their form. log gets the causes of internal
// errors and outages, which no reply shows.
func NewHandler(customers *store.Customers, tokens *store.Tokens, authenticate Authenticate, log *slog.Logger) http.Handler {
	h := &handler{customers: customers, tokens: tokens, authenticate: authenticate, log: log}
	mux := http.NewServeMux()
	mux.Handle("/api/customers", h.methods(map[string]endpoint{
		http.MethodGet:  h.listCustomers,
		http.MethodPost: h.createCustomer,
	}))
	mux.Handle("/api/customers/{id}", h.methods(map[string]endpoint{
		http.MethodGet:    h.getCustomer,
		http.MethodPost:   h.updateCustomer,
		http.MethodPatch:  h.updateCustomer,
		http.MethodDelete: h.deleteCustomer,
	}))
	mux.Handle("/api/access-tokens", h.methods(map[string]endpoint{
		http.MethodPost: h.createAccessToken,
	}))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.fail(w, r, store.NewError(store.RouteNotFound))
	})
	return mux
}

// endpoint answers an authenticated request, or returns why it can't; then nothing was written.
type endpoint func(http.ResponseWriter, *http.Request) error

// methods picks the endpoint by method, HEAD being GET, and authenticates: first the route, then the credential.
func (h *handler) methods(endpoints map[string]endpoint) http.Handler {
	var allowed []string
	for method := range endpoints {
		allowed = append(allowed, method)
	}
	if _, ok := endpoints[http.MethodGet]; ok {
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		serve, ok := endpoints[method]
		if !ok {
			w.Header().Set("Allow", allow)
			h.fail(w, r, store.NewError(store.MethodNotAllowed))
			return
		}
		ctx, err := h.authenticate(r)
		if err == nil {
			r = r.WithContext(ctx)
			err = serve(w, r)
		}
		if err != nil {
			h.fail(w, r, err)
		}
	})
}
