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

// drainTime is how long Serve waits for requests under way when it stops.
const drainTime = 20 * time.Second

const (
	// headerTime is how long a client may take to send the header of a request.
	headerTime = 5 * time.Second
	// writeTime is how long a client may take to receive a reply, or one batch of a streamed list.
	writeTime = 30 * time.Second
	// maxStreams is how many requests a client may have open at once on one HTTP/2 connection.
	maxStreams = 100
)

// Serving is what Serve needs besides the handler.
type Serving struct {
	Health *Health
	// Delay is how long requests are still taken after the server has said that it is not ready: who sends them has to hear
	// of it first.
	Delay time.Duration
	// IdleTimeout is how long a connection is kept after a request without another one.
	IdleTimeout time.Duration
	// BasePath is the path in front of all others, as in Options.
	BasePath string
	Log      *slog.Logger
}

// Serve answers on the listener until ctx is done. Then it is not ready any more, goes on for the delay, stops listening,
// and lets the requests under way finish.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, serving Serving) error {
	defer endBuffering(serving.Log)
	server := newHTTPServer(cutBasePath(serving.BasePath, serving.Health.wrap(handler)), serving.Log)
	server.IdleTimeout = serving.IdleTimeout
	var idle idleTracker
	server.ConnState = idle.observe
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(boundedListener{listener}) }()
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

// newHTTPServer returns the server of either listener, the public or the private one. It speaks
// HTTP/1.1, and HTTP/2 without TLS to clients that begin with its preface (prior knowledge).
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           stopFirstRequestTimer(closeAfterAmbiguousFraming(handler)),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      writeTime,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		Protocols:         &protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			// net/http allocates a frame when it has read the frame's length. Its default is 1 MiB.
			MaxReadFrameSize: 16 << 10,
		},
		ConnContext: newConnection,
		ErrorLog:    slog.NewLogLogger(connectionSampler{log.Handler(), new(logSampler)}, slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // which would answer OPTIONS * past the handler
	}
}
