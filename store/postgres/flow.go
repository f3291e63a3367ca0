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

// slowest is the rate in bytes a second at which a network is taken to pass on what was sent. A long
// statement may be on its way for a while.
const slowest = 8 << 10

// flow is the network connection below a connection to Postgres. It knows for how long a read has
// waited for an answer. When that is long, it has the server asked whether it works on one; see
// inquiry.
//
// A flow must not wait for what the server says unasked, as LISTEN does: that looks like a vanished
// peer.
type flow struct {
	net.Conn
	losses *Losses
	timer  *time.Timer
	armed  atomic.Bool // the timer runs. It outlasts a read that is short, so that most reads need not set it

	opened  time.Time     // when the login was over
	pid     atomic.Uint32 // the backend's, 0 before the login is over, and after a read failed
	waiting atomic.Int64  // since when a read has waited, in nanoseconds after opened; 0 while none does
	sent    atomic.Int64  // bytes since the last read that ended
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
	f.sent.Add(int64(len(b)))
	return f.Conn.Write(b)
}

// Read implements net.Conn.
func (f *flow) Read(b []byte) (int, error) {
	if f.pid.Load() == 0 {
		return f.Conn.Read(b)
	}
	f.waiting.Store(int64(time.Since(f.opened)))
	if !f.armed.Load() {
		f.arm(maxSilence)
	}
	n, err := f.Conn.Read(b)
	began := f.waiting.Swap(0)
	f.sent.Store(0)
	if err != nil {
		f.pid.Store(0) // pgx gives it up
		switch waited := f.waited(began); {
		case f.dead.Load():
			err = &net.OpError{Op: "read", Net: f.RemoteAddr().Network(), Err: errVanished}
		case isTimeout(err) && waited > serverLimit: // the server would have ended a statement before
			f.losses.observeSilence()
		}
	}
	return n, err
}

// waited returns how long a read has waited that began then.
func (f *flow) waited(began int64) time.Duration { return time.Since(f.opened) - time.Duration(began) }

// arm sets the timer unless it runs.
func (f *flow) arm(after time.Duration) {
	if f.armed.CompareAndSwap(false, true) {
		f.timer.Reset(after)
	}
}

// overdue has the server asked about a read that has waited for long. The timer may be from a read
// before.
func (f *flow) overdue() {
	f.armed.Store(false) // before the load: a read that begins from now on sets the timer
	began := f.waiting.Load()
	if began == 0 {
		return
	}
	patience := maxSilence + time.Duration(f.sent.Load())*time.Second/slowest
	if waited := f.waited(began); waited < patience {
		f.arm(patience - waited)
		return
	}
	f.arm(askAgain)
	f.losses.inquiry.add(f, began)
}

// end ends the read that began then, if it is still waiting.
func (f *flow) end(began int64) {
	if f.waiting.Load() != began {
		return
	}
	f.losses.observeSilence() // first, so that no retry takes a connection that is older
	f.dead.Store(true)
	_ = f.Conn.Close()
}
