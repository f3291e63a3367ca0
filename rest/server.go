// Package rest serves the REST API below /api/, which openapi.yaml documents. It translates between
// HTTP and package store, which holds the rules.
package rest

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"lumen/store"
	"lumen/store/auth"
)

// Authenticate returns the context of a request with its credential, or the *store.Error that
// refuses the request.
type Authenticate func(*http.Request) (context.Context, error)

// Options configure the REST API.
type Options struct {
	// BasePath is the prefix of paths in replies, such as "/lumen"; "" for none.
	BasePath string
	// Log receives the causes of internal errors and outages, which no reply shows.
	Log *slog.Logger
	// Annotate receives the operation of each request with an empty code, and then, if the request
	// fails, the code of its error with an empty operation. It may be nil.
	Annotate func(ctx context.Context, operation string, code store.Code)
	// Found receives the noun and the id of the one row that a request read, created, changed or
	// deleted. It is not called for a request that failed. It may be nil.
	Found func(ctx context.Context, noun, id string)
	// Waited receives how long a request waited for changes. It may be nil.
	Waited func(ctx context.Context, d time.Duration)
}

func (o Options) annotate(ctx context.Context, operation string, code store.Code) {
	if o.Annotate != nil {
		o.Annotate(ctx, operation, code)
	}
}

func (o Options) found(ctx context.Context, noun, id string) {
	if o.Found != nil {
		o.Found(ctx, noun, id)
	}
}

func (o Options) waited(ctx context.Context, d time.Duration) {
	if o.Waited != nil {
		o.Waited(ctx, d)
	}
}

type handler struct {
	store        *store.Store
	tokens       *auth.Tokens
	authenticate Authenticate
	Options
}

// NewHandler returns the handler of all routes below /api/. It answers every other path with a 404.
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

// methods returns the handler of the routes of one path. It treats HEAD as GET. It selects the
// route before it checks the credential, so an unknown method is a 405 even without a credential.
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
