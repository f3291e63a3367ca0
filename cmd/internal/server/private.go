package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
)

// NewPrivate returns the handler of the operator's own listener: metrics at /metrics, Go's profiles
// below /debug/pprof/, and the health checks of the public listener.
func NewPrivate(metrics *Metrics, health *Health, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(healthPath, health)
	mux.Handle(readyPath, health)
	mux.Handle("/metrics", metrics.handler(log))
	// The package pprof registers itself on http.DefaultServeMux, which nothing serves. The private
	// listener does not serve its cmdline, because flags may be secrets.
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	return mux
}

// ServePrivate answers on the listener until stop is called, which cuts off replies under way. It
// has no write timeout, because a profile takes as long as its request says.
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
