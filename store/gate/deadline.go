package gate

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// statementTimeout bounds one statement on this side, the wait for a connection included. It is
	// longer than the server's own limit, which gives the better reason. It is for a server that does
	// not answer at all.
	statementTimeout = 6 * time.Second

	// requestTimeout bounds all statements of a request together, the look-up of its credential
	// included: a request that meets a slow database several times is answered in time as well. The
	// parts of a list after the first do not count.
	requestTimeout = 7 * time.Second
)

type arrivalKey struct{}

// arrival is when a request came, and how long the server waited for the rest of it.
type arrival struct {
	at     time.Time
	waited atomic.Int64 // nanoseconds
}

// WithArrival returns the context of a request that arrives now, and a function to call with the time
// spent waiting for the rest of it. The request's statements end in time for an answer within 8 s, that
// wait aside, however many they are.
func WithArrival(ctx context.Context) (arrived context.Context, waited func(time.Duration)) {
	a := &arrival{at: time.Now()}
	return context.WithValue(ctx, arrivalKey{}, a), func(d time.Duration) { a.waited.Add(int64(d)) }
}

// WithDeadline returns the context of a statement that begins now.
func WithDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	until := time.Now().Add(statementTimeout)
	if a, ok := ctx.Value(arrivalKey{}).(*arrival); ok && !isContinued(ctx) {
		if last := a.at.Add(requestTimeout + time.Duration(a.waited.Load())); last.Before(until) {
			until = last
		}
	}
	return context.WithDeadline(ctx, until)
}

type continuedKey struct{}

// Continue marks the statements that run under ctx as parts of work that is half done, such as a list of
// which a client has received the beginning.
func Continue(ctx context.Context) context.Context {
	return context.WithValue(ctx, continuedKey{}, true)
}

func isContinued(ctx context.Context) bool { return ctx.Value(continuedKey{}) != nil }
