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

// Serving holds the options of Serve.
type Serving struct {
	Health *Health
	// Delay is how long the server still accepts requests after it has become not ready: proxies
	// and clients need time to notice.
	Delay time.Duration
	// EndWaits answers the requests that wait for something, when the server has stopped listening. It
	// may be nil.
	EndWaits func()
	// IdleTimeout is how long a connection may stay open without a request.
	IdleTimeout time.Duration
	// BasePath is the path in front of all others, as in Options.
	BasePath string
	Log      *slog.Logger
}

// Serve answers requests on the listener until ctx is done. Then it reports not ready, still
// accepts requests for the delay, stops listening, and finishes the requests under way.
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
	// Shutdown drops every request that is read from then on, also on connections that were made
	// just before.
	_ = listener.Close()
	idle.wait(time.Second)
	if serving.EndWaits != nil {
		serving.EndWaits()
	}
	if err := server.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("requests under way were cut off: %w", err), server.Close())
	}
	return nil
}

// idleTracker holds the new connections on which the client has sent nothing yet.
type idleTracker struct{ connections sync.Map }

func (t *idleTracker) observe(connection net.Conn, state http.ConnState) {
	if state == http.StateNew {
		t.connections.Store(connection, nil)
	} else {
		t.connections.Delete(connection)
	}
}

// wait returns when there is no such connection, or when the time is over.
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

// newHTTPServer returns the server of the public or the private listener. It speaks HTTP/1.1, and
// HTTP/2 without TLS with clients that begin with its preface (prior knowledge).
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
			// net/http allocates the memory of a frame as soon as it has read the length of the
			// frame. The default maximum is 1 MiB.
			MaxReadFrameSize: 16 << 10,
		},
		ConnContext: newConnection,
		ErrorLog:    slog.NewLogLogger(connectionSampler{log.Handler(), new(logSampler)}, slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // it would answer OPTIONS * without the handler
	}
}
