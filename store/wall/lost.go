package wall

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// LostError says that a connection was found dead under a statement: the server ended, ended it, or can't be reached by
// it any more.
type LostError struct {
	// Sent is whether the statement was sent, and so may have been committed.
	Sent bool
	// Rows is whether some of its rows were handed over.
	Rows bool

	cause error
}

func (e *LostError) Error() string { return "the connection was lost: " + e.cause.Error() }

// Unwrap returns what the connection said at last.
func (e *LostError) Unwrap() error { return e.cause }

// IsLost reports whether an error means that the connection it came from is dead, and not that somebody's patience ended.
func IsLost(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "57P01", "57P02", "57P05", "25P03": // told to end, crashed, idle for too long
			return true
		}
		return false
	}
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var operation *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &operation)
}

// Losses remembers when a connection was last found dead. Those that were used before are as likely to be: they are tried
// with a round trip before they are used again. One Losses is for all pools of connections to the same server.
type Losses struct{ last atomic.Pointer[time.Time] }

// Note looks at how a statement ended, and reports whether its connection was found dead.
func (l *Losses) Note(err error) bool {
	lost := err != nil && IsLost(err)
	if lost {
		now := time.Now()
		l.last.Store(&now)
	}
	return lost
}

// doubtful reports whether a connection that was last used then should be tried before it is used again.
func (l *Losses) doubtful(used time.Time) bool {
	last := l.last.Load()
	return time.Since(used) > idleBeforePing || last != nil && !last.Before(used)
}

// ShouldPing is what the connections of another pool to the same server go by: those that were idle for so long.
func ShouldPing(idle time.Duration, losses *Losses) bool {
	return losses.doubtful(time.Now().Add(-idle))
}
