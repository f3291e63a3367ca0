// Package server puts both APIs behind one HTTP server: request ids, authentication, compression,
// the log.
package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"strings"

	"github.com/klauspost/compress/gzhttp"

	"lumen/cmd/internal/pages"
	"lumen/graph"
	"lumen/rest"
	"lumen/store"
)

// Options configure the handler.
type Options struct {
	// Demo lists the merchants of a development server. Pages show their keys to readers on this
	// machine.
	Demo []pages.Merchant
	// MetricsURL is the address of the metrics on the private listener, "" without one. Pages link to
	// it for readers on this machine.
	MetricsURL string
	// Playground reports whether the server has the playground.
	Playground bool
	// BasePath is the path in front of the server's own paths wherever replies name them: "", or
	// "/" and segments. Serve removes it from the paths of requests.
	BasePath string
	// GraphQL are the options of that API. NewHandler sets the log, the request id and the charge
	// itself.
	GraphQL graph.Options
	// Origins are the origins whose pages may call the APIs from a browser. A development server
	// also allows those of its own machine.
	Origins []string
	// LoopbackOnly refuses requests for any Host that is not a loopback address, so that a page
	// elsewhere cannot reach a development server under a name of its own (DNS rebinding).
	LoopbackOnly bool
	// Limiter limits the requests of keys and merchants; nil for no limits.
	Limiter *Limiter
	Log     *slog.Logger
	// Metrics count the requests; nil for none.
	Metrics *Metrics
	// Tracing traces the APIs' requests; nil for none.
	Tracing *Tracing
}

// NewHandler returns the handler of all paths of a Lumen server.
func NewHandler(b *Backend, options Options) http.Handler {
	authenticate := Authenticate(b.Auth.Authenticator)
	if options.Limiter != nil {
		authenticate, options.GraphQL.Charge = options.Limiter.limit(authenticate), options.Limiter.chargeCost
	}
	authenticate = admitEarly(authenticate, b.Store)
	apiLog := slog.New(outageSampler{options.Log.Handler(), new(logSampler)})
	restAPI := rest.NewHandler(b.Store, b.Auth.Tokens, authenticate, rest.Options{
		BasePath: options.BasePath, Log: apiLog, Annotate: annotateREST, Found: annotateRow, Waited: annotateWait,
	})

	options.GraphQL.RequestID, options.GraphQL.Log, options.GraphQL.Observe = RequestID, apiLog, annotateGraphQL
	mux := http.NewServeMux()
	site, notFound := newPages(options, restAPI)
	mux.Handle("/", crossOrigin(options, notFound)) // the REST API, and 404 for all other paths
	mount(mux, graphQLPath, crossOrigin(options, graph.NewHandler(b.Store, b.Auth.Tokens, authenticate, options.GraphQL)))
	mount(mux, jwksPath, rest.NewJWKS(b.Auth.Tokens, apiLog))
	mux.Handle("/docs/", site) // says 404 for what is no asset
	for _, pattern := range pages.Paths {
		mount(mux, pattern, site)
	}

	return wrapped(mux, notFound, options)
}

// wrapped returns the handler inside of what every request needs.
func wrapped(handler, notFound http.Handler, options Options) http.Handler {
	handler = noRedirects(handler, notFound)
	if options.LoopbackOnly {
		handler = loopbackOnly(handler)
	}
	handler = recoverPanics(options.Log, forbidCaching(compress(handler)))
	return options.Tracing.wrap(observe(options.Log, options.Metrics, handler))
}

// The values of headers that many replies share. Nothing changes them in place: the methods of
// http.Header replace a value, or copy it before they append to it.
var (
	noStore        = []string{"no-store"}
	noSniff        = []string{"nosniff"}
	acceptEncoding = []string{"Accept-Encoding"}
)

// compress compresses replies of 1 KiB or more for clients that accept it.
func compress(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(1024))
	if err != nil {
		panic(err) // the options are constants
	}
	compressing := wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Accept-Encoding"]) > 0 {
			compressing.ServeHTTP(w, r)
			return
		}
		w.Header()["Vary"] = acceptEncoding // nothing else was set yet
		next.ServeHTTP(w, r)
	})
}

// newPages returns the handler of the pages, and api with a page for the paths that neither has. Only
// readers on this machine get the demo merchants' keys and the address of the metrics, even when the
// server listens on other addresses than loopback.
func newPages(options Options, api http.Handler) (site, notFound http.Handler) {
	public := pages.Options{
		Playground: options.Playground, Introspection: options.GraphQL.Introspection,
		TrustedOnly: options.GraphQL.Trusted.Only(), BasePath: options.BasePath,
	}
	notFound = pages.NotFound(public, api)
	site = pages.NewHandler(public, notFound)
	if options.Demo == nil && options.MetricsURL == "" {
		return site, notFound
	}
	local := public
	local.Demo, local.MetricsURL = options.Demo, options.MetricsURL
	everybody, here := site, pages.NewHandler(local, notFound)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, err := netip.ParseAddrPort(r.RemoteAddr)
		if err == nil && at.Addr().Unmap().IsLoopback() && isLoopback(r.Host) {
			here.ServeHTTP(w, r)
			return
		}
		everybody.ServeHTTP(w, r)
	}), notFound
}

// noRedirects stops ServeMux from redirecting unclean paths. They are no routes, so the answer is
// 404. The first segment of the path stays: below an API's paths, notFound answers in JSON.
func noRedirects(next, notFound http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if escaped := r.URL.EscapedPath(); escaped != path.Clean(escaped) {
			r = r.Clone(r.Context())
			first, _, _ := strings.Cut(path.Clean("/" + r.URL.Path)[1:], "/")
			r.URL.Path, r.URL.RawPath = path.Join("/", first, "not-a-route"), ""
			notFound.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// forbidCaching keeps replies out of the caches of proxies and browsers, because a reply belongs to
// one merchant. Handlers of public files set their own Cache-Control.
func forbidCaching(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header["Cache-Control"], header["X-Content-Type-Options"] = noStore, noSniff
		next.ServeHTTP(w, r)
	})
}

// recoverPanics answers a panic with the registry's INTERNAL. Only the log gets the cause.
func recoverPanics(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			log.ErrorContext(r.Context(), "panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store") // whatever was set for the reply that failed
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, `{"error":%q}`, store.NewError(store.Internal).Message)
		}()
		next.ServeHTTP(w, r)
	})
}

func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) {
			http.Error(w, "lumen dev answers only to localhost and loopback addresses", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
