package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// isLost reports whether an error means that its connection is dead. A deadline that ended is not a
// lost connection.
func isLost(err error) bool {
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

// idleBeforePing is how long a pooled connection may be idle before it is tried with a round trip of
// its own.
const idleBeforePing = time.Second

// Losses remembers when a connection was last found dead. Connections that were last used before that
// are as likely to be dead, so they are tried with a round trip before they are used again. All pools
// of connections to one server share one Losses.
type Losses struct{ last atomic.Pointer[time.Time] }

// Observe takes the error that a statement ended with, or nil. It reports whether the statement's
// connection was found dead.
func (l *Losses) Observe(err error) bool {
	lost := err != nil && isLost(err)
	if lost {
		now := time.Now()
		l.last.Store(&now)
	}
	return lost
}

// IsDoubtful reports whether a connection that was last used at this time should be tried before it is
// used again.
func (l *Losses) IsDoubtful(used time.Time) bool {
	last := l.last.Load()
	return time.Since(used) > idleBeforePing || last != nil && !last.Before(used)
}
