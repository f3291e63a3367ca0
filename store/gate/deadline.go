package gate

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// statementTimeout bounds a statement on the client's side, including the wait for a
	// connection. It is longer than the server's own timeout, whose error is better, and is there
	// for a server that does not answer.
	statementTimeout = 6 * time.Second

	// requestTimeout bounds all statements of a request, including the lookup of its credential, so
	// that a request with several slow statements is also answered in time. The batches of a list
	// after the first do not count.
	requestTimeout = 7 * time.Second
)

type arrivalKey struct{}

// arrival is when a request arrived, and how long the server waited for the rest of it.
type arrival struct {
	at     time.Time
	waited atomic.Int64 // nanoseconds
}

// WithArrival returns the context of a request that arrives now. The request's statements end in
// time for an answer within 8 s, however many they are. The time that the server spends waiting for
// the rest of the request does not count: report it to the function waited.
func WithArrival(ctx context.Context) (arrived context.Context, waited func(time.Duration)) {
	a := &arrival{at: time.Now()}
	return context.WithValue(ctx, arrivalKey{}, a), func(d time.Duration) { a.waited.Add(int64(d)) }
}

// WithDeadline returns the context, with its deadline, of a statement that begins now.
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

// Continue marks the statements under ctx as continued work, such as the rest of a list of which
// the client has received the beginning.
func Continue(ctx context.Context) context.Context {
	return context.WithValue(ctx, continuedKey{}, true)
}

func isContinued(ctx context.Context) bool { return ctx.Value(continuedKey{}) != nil }
