package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errVanished ends the read of a connection whose server no longer works for it.
var errVanished = errors.New("the peer vanished: the server waits for a statement, and its answer did not come")

// askAgain is how long after an inquiry the server is asked again about a statement that it still
// works on.
const askAgain = time.Second

// slowest is the rate in bytes a second at which a network is taken to pass on what was sent. A
// long statement may be on its way for a while.
const slowest = 8 << 10

// flow is the network connection below a connection to Postgres. It knows for how long what was
// sent has had no answer. When that is long, it has the server asked whether it works on one; see
// inquiry.
type flow struct {
	net.Conn
	losses *Losses
	timer  *time.Timer
	armed  atomic.Bool // the timer runs. It outlasts a short wait, so that most writes need not set it

	opened  time.Time     // when the login was over
	pid     atomic.Uint32 // the backend's; 0 before the login is over, and after a read failed
	asked   atomic.Int64  // when the last write began, in nanoseconds after opened; 0 once there is an answer
	sent    atomic.Int64  // bytes that were written since the last answer
	reading atomic.Bool
	dead    atomic.Bool
}

// watch makes the connections of config flows.
func (l *Losses) watch(config *pgx.ConnConfig) {
	dial := config.DialFunc
	l.inquiry.config, l.inquiry.dial = config, dial
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		f := &flow{Conn: conn, losses: l}
		f.timer = time.AfterFunc(time.Hour, f.overdue)
		f.timer.Stop()
		return f, nil
	}
	config.AfterConnect = func(_ context.Context, pg *pgconn.PgConn) error {
		if f := flowOf(pg); f != nil {
			f.opened = time.Now()
			f.pid.Store(pg.PID())
		}
		return nil
	}
}

// flowOf returns the flow below a connection, nil when there is none.
func flowOf(pg *pgconn.PgConn) *flow {
	conn := pg.Conn()
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	f, _ := conn.(*flow)
	return f
}

// Write implements net.Conn.
func (f *flow) Write(b []byte) (int, error) {
	if f.pid.Load() != 0 {
		f.asked.Store(int64(time.Since(f.opened)))
		f.sent.Add(int64(len(b)))
		if !f.armed.Load() {
			f.arm(maxSilence)
		}
	}
	return f.Conn.Write(b)
}

// Read implements net.Conn. A read without a write before it is not waited for: pgx may leave one
// behind that reads ahead, which gets the next answer.
func (f *flow) Read(b []byte) (int, error) {
	if f.pid.Load() == 0 {
		return f.Conn.Read(b)
	}
	f.reading.Store(true)
	n, err := f.Conn.Read(b)
	f.reading.Store(false)
	asked := f.asked.Swap(0)
	f.sent.Store(0)
	if err == nil {
		return n, nil
	}
	f.pid.Store(0) // pgx gives it up
	switch {
	case f.dead.Load():
		err = &net.OpError{Op: "read", Net: f.RemoteAddr().Network(), Err: errVanished}
	case isTimeout(err) && asked != 0 && f.waited(asked) > serverLimit:
		// The server would have ended a statement before.
		f.losses.observeSilence()
	}
	return n, err
}

// Close implements net.Conn.
func (f *flow) Close() error {
	f.pid.Store(0)
	f.asked.Store(0)
	return f.Conn.Close()
}

// waited returns how long ago what was asked then was asked.
func (f *flow) waited(asked int64) time.Duration { return time.Since(f.opened) - time.Duration(asked) }

// arm sets the timer unless it runs.
func (f *flow) arm(after time.Duration) {
	if f.armed.CompareAndSwap(false, true) {
		f.timer.Reset(after)
	}
}

// overdue has the server asked about what has had no answer for long. The timer may be from before.
func (f *flow) overdue() {
	f.armed.Store(false) // before the load: what is written from now on sets the timer
	asked := f.asked.Load()
	if asked == 0 {
		return
	}
	patience := maxSilence + time.Duration(f.sent.Load())*time.Second/slowest
	if waited := f.waited(asked); waited < patience {
		f.arm(patience - waited)
		return
	}
	f.arm(askAgain)
	f.losses.inquiry.add(f, asked)
}

// end ends the read that waits for the answer to what was asked then, if it still does.
func (f *flow) end(asked int64) {
	if !f.reading.Load() || f.asked.Load() != asked {
		return
	}
	f.losses.observeSilence() // first, so that no retry takes a connection that is older
	f.dead.Store(true)
	_ = f.Conn.Close()
}
