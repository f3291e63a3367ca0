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

// isLost reports whether an error means that the connection is dead. An expired deadline does not
// mean that.
func isLost(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "57P01", "57P02", "57P05", "25P03": // told to end, crashed, idle for too long
			return true
		}
		return false
	}
	if isTimeout(err) || errors.Is(err, context.Canceled) {
		return false
	}
	var operation *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &operation)
}

const (
	// idleBeforePing is the idle time after which a pooled connection is pinged before it is used.
	idleBeforePing = time.Second

	// maxSilence is the longest time to wait for the answer to that ping. When a statement has had
	// no answer for that long, Lumen asks the server whether it works on it.
	maxSilence = time.Second / 2
)

// Losses records when a connection was last found dead. Connections that were last used before then
// are probably dead, too, so each is pinged before it is used again. All pools of connections to
// one server share one Losses.
type Losses struct {
	last   atomic.Pointer[time.Time] // the last loss of any kind
	silent atomic.Pointer[time.Time] // the last loss of a connection whose server stopped answering

	inquiry inquiry
}

// Observe records the error that a statement ended with, or nil. It reports whether the statement's
// connection is dead.
func (l *Losses) Observe(err error) bool {
	lost := err != nil && isLost(err)
	if lost {
		now := time.Now()
		l.last.Store(&now)
	}
	return lost
}

// observeSilence records that a server stopped answering without closing the connection, as when it
// fails over or when a NAT drops its connections.
func (l *Losses) observeSilence() {
	now := time.Now()
	l.silent.Store(&now)
}

// Admit reports whether a pooled connection that was last used at this time may be used again. It
// pings a doubtful connection. After a server has stopped answering, it closes older connections
// without a ping: a ping would take maxSilence for each, and a new connection takes a few
// milliseconds.
func (l *Losses) Admit(ctx context.Context, pg *pgconn.PgConn, used time.Time) bool {
	if f := flowOf(pg); f != nil && used.Before(f.opened) { // not used since it was opened
		used = f.opened
	}
	switch {
	case isAfter(&l.silent, used):
		_ = pg.Close(ctx)
		return false
	case time.Since(used) <= idleBeforePing && !isAfter(&l.last, used):
		return true
	}
	began := time.Now()
	pingCtx, cancel := context.WithTimeout(ctx, maxSilence)
	defer cancel()
	err := pg.Ping(pingCtx)
	if err != nil && pingCtx.Err() != nil && ctx.Err() == nil {
		l.silent.Store(&began)
	}
	l.Observe(err)
	return err == nil
}

func isAfter(loss *atomic.Pointer[time.Time], used time.Time) bool {
	at := loss.Load()
	return at != nil && !at.Before(used)
}
