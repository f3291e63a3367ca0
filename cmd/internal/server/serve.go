package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// sendBuffer is how much of a reply the kernel is asked to take of one connection, in octets. Left to itself it takes megabytes:
// of a list that nobody reads, all of which had to be fetched.
const sendBuffer = 256 << 10

// drainTime is how long Serve waits for requests under way when it stops.
const drainTime = 20 * time.Second

// Serving is what Serve needs besides the handler.
type Serving struct {
	Health *Health
	// Delay is how long requests are still taken after the server has said that it is not ready: who sends them has to hear
	// of it first.
	Delay time.Duration
	Log   *slog.Logger
}

// Serve answers on the listener until ctx is done. Then it is not ready any more, goes on for the delay, stops listening,
// and lets the requests under way finish.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, serving Serving) error {
	defer endBuffering(serving.Log)
	server := newHTTPServer(serving.Health.wrap(handler), serving.Log)
	var idle idleTracker
	server.ConnState = idle.observe
	server.ConnContext = func(ctx context.Context, connection net.Conn) context.Context {
		if tcp, ok := connection.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(sendBuffer)
		}
		return ctx
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	serving.Health.stop()
	serving.Log.InfoContext(ctx, "stopping", "delay", serving.Delay.String())
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-time.After(serving.Delay):
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	// Shutdown drops whatever request is read from then on, those included of connections that were made just before.
	_ = listener.Close()
	idle.wait(time.Second)
	if err := server.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("requests under way were cut off: %w", err), server.Close())
	}
	return nil
}

// idleTracker knows the connections on which nothing was sent yet.
type idleTracker struct{ connections sync.Map }

func (t *idleTracker) observe(connection net.Conn, state http.ConnState) {
	if state == http.StateNew {
		t.connections.Store(connection, nil)
	} else {
		t.connections.Delete(connection)
	}
}

// wait returns when there are none, or after that long.
func (t *idleTracker) wait(most time.Duration) {
	for until := time.Now().Add(most); time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond) // net/http may not have reported an accepted connection yet
		found := false
		t.connections.Range(func(any, any) bool { found = true; return false })
		if !found {
			return
		}
	}
}

// newHTTPServer returns the server of either listener, the public or the private one.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           closeAfterAmbiguousFraming(handler),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // which would answer OPTIONS * past the handler
	}
}
