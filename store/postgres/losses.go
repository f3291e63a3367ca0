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
	if isTimeout(err) || errors.Is(err, context.Canceled) {
		return false
	}
	var operation *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &operation)
}

const (
	// idleBeforePing is how long a pooled connection may be idle before it is tried with a round
	// trip of its own.
	idleBeforePing = time.Second

	// maxSilence is how long the answer to that round trip may take. A statement that has no answer for
	// that long makes Lumen ask the server whether it works on it.
	maxSilence = time.Second / 2
)

// Losses remembers when a connection was last found dead. Connections that were last used before
// that are as likely to be dead, so they are tried with a round trip before they are used again.
// All pools of connections to one server share one Losses.
type Losses struct {
	last   atomic.Pointer[time.Time] // any loss
	silent atomic.Pointer[time.Time] // the loss of a connection whose peer said nothing

	inquiry inquiry
}

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

// observeSilence notes that a peer vanished without a word, as it does when a server fails over or
// a NAT forgets its flows.
func (l *Losses) observeSilence() {
	now := time.Now()
	l.silent.Store(&now)
}

// Admit reports whether a pooled connection that was last used at this time may be used again. It
// tries a doubtful one with a round trip. When a peer has vanished without a word, connections that
// are older are closed untried: each trial would cost maxSilence, and a new connection costs a few
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
	trial, cancel := context.WithTimeout(ctx, maxSilence)
	defer cancel()
	err := pg.Ping(trial)
	if err != nil && trial.Err() != nil && ctx.Err() == nil {
		l.silent.Store(&began)
	}
	l.Observe(err)
	return err == nil
}

func isAfter(loss *atomic.Pointer[time.Time], used time.Time) bool {
	at := loss.Load()
	return at != nil && !at.Before(used)
}
