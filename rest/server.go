// Package rest is the API for clients of the documented REST routes. It translates between HTTP and the
// store; the rules are the store's.
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

// Options configure the API.
type Options struct {
	// BasePath is what stands before the API's paths in those that replies name, "" or as in "/lumen".
	BasePath string
	// Log gets the causes of internal errors and outages, which no reply shows.
	Log *slog.Logger
	// Annotate is told of each request to one of the operations, first which it is, then, when it fails, the
	// code of its error. What it is not told is "". Nil tells nobody.
	Annotate func(ctx context.Context, operation string, code store.Code)
}

func (o Options) annotate(ctx context.Context, operation string, code store.Code) {
	if o.Annotate != nil {
		o.Annotate(ctx, operation, code)
	}
}

type handler struct {
	store        *store.Store
	tokens       *auth.Tokens
	authenticate Authenticate
	Options
}

// NewHandler returns the routes under /api/. Everything else is a 404 in their form.
func NewHandler(s *store.Store, tokens *auth.Tokens, authenticate Authenticate, options Options) http.Handler {
	h := &handler{s, tokens, authenticate, options}
	byPattern := make(map[string]map[string]route) // by method
	for _, r := range routes {
		if byPattern[r.Pattern] == nil {
			byPattern[r.Pattern] = make(map[string]route)
		}
		byPattern[r.Pattern][r.Method] = r
	}
	mux := http.NewServeMux()
	for pattern, byMethod := range byPattern {
		mux.Handle(pattern, h.methods(byMethod))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.writeError(w, r, store.NewError(store.RouteNotFound))
	})
	return mux
}

// methods picks the route by method, HEAD being GET, and authenticates: first the route, then the credential.
func (h *handler) methods(byMethod map[string]route) http.Handler {
	var allowed []string
	for method := range byMethod {
		allowed = append(allowed, method)
	}
	if _, ok := byMethod[http.MethodGet]; ok {
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		route, ok := byMethod[method]
		if !ok {
			w.Header().Set("Allow", allow)
			h.writeError(w, r, store.NewError(store.MethodNotAllowed))
			return
		}
		h.annotate(r.Context(), route.Operation, "")
		ctx, err := h.authenticate(r)
		if err == nil {
			r = r.WithContext(ctx)
			err = route.serve(h, w, r)
		}
		if err != nil {
			h.writeError(w, r, err)
		}
	})
}
