package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
)

// NewPrivate returns what a server answers to its operator alone, on a listener of its own: metrics at /metrics, Go's
// profiles below /debug/pprof/, and its health, as on the public one.
func NewPrivate(metrics *Metrics, health *Health, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(healthPath, health)
	mux.Handle(readyPath, health)
	mux.Handle("/metrics", metrics.handler(log))
	// The package's own set-up is on http.DefaultServeMux, which nothing serves. Its cmdline is left out: flags may be secrets.
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	return mux
}

// ServePrivate answers on the listener, without a limit on how long a reply may take, as profiles take what they are told,
// until stop is called; replies under way are then cut off.
func ServePrivate(listener net.Listener, handler http.Handler, log *slog.Logger) (stop func()) {
	server := newHTTPServer(handler, log)
	server.WriteTimeout = 0
	go func() {
		if err := server.Serve(boundedListener{listener}); !errors.Is(err, http.ErrServerClosed) {
			log.ErrorContext(context.Background(), "the private listener ended", "error", err)
		}
	}()
	return func() { _ = server.Close() }
}
