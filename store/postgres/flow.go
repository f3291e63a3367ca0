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

// errVanished is the read error of a connection whose server no longer works on its statement.
var errVanished = errors.New("the server no longer works on the statement, and no answer arrived")

// askInterval is the time after which the server is asked again about a statement that it still
// works on.
const askInterval = time.Second

// minBandwidth is the bandwidth of the slowest network that is assumed, in bytes per second. A long
// statement takes time to arrive.
const minBandwidth = 8 << 10

// flow is the network connection below a Postgres connection. It measures how long the statement
// that was sent has had no answer. After a while it has the server asked whether it works on the
// statement; see inquiry.
type flow struct {
	net.Conn
	losses *Losses
	timer  *time.Timer
	armed  atomic.Bool // the timer runs; it keeps running after an answer, so that most writes need not start it

	opened  time.Time     // when the login finished
	pid     atomic.Uint32 // of the backend; 0 before the login has finished, and after a read failed
	asked   atomic.Int64  // when the last write began, in nanoseconds after opened; 0 after an answer
	sent    atomic.Int64  // bytes written since the last answer
	reading atomic.Bool
	dead    atomic.Bool
}

// watch makes every connection of config a flow.
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

// flowOf returns the flow below a connection, or nil if there is none.
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

// Read implements net.Conn. A read that follows no write is not measured: pgx may leave a
// read-ahead running, which receives the next answer.
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
	f.pid.Store(0) // pgx closes the connection after a failed read
	switch {
	case f.dead.Load():
		err = &net.OpError{Op: "read", Net: f.RemoteAddr().Network(), Err: errVanished}
	case isTimeout(err) && asked != 0 && f.waited(asked) > serverLimit:
		// The server itself would have ended a statement before.
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

// waited returns the time since the write at asked.
func (f *flow) waited(asked int64) time.Duration { return time.Since(f.opened) - time.Duration(asked) }

// arm starts the timer unless it runs.
func (f *flow) arm(after time.Duration) {
	if f.armed.CompareAndSwap(false, true) {
		f.timer.Reset(after)
	}
}

// overdue has the server asked about a statement that has waited too long for its answer. The timer
// may have been started for an earlier statement.
func (f *flow) overdue() {
	f.armed.Store(false) // before the load, so that a later write starts the timer again
	asked := f.asked.Load()
	if asked == 0 {
		return
	}
	limit := maxSilence + time.Duration(f.sent.Load())*time.Second/minBandwidth
	if waited := f.waited(asked); waited < limit {
		f.arm(limit - waited)
		return
	}
	f.arm(askInterval)
	f.losses.inquiry.add(f, asked)
}

// end fails the read that waits for the answer to the write at asked, if it still waits.
func (f *flow) end(asked int64) {
	if !f.reading.Load() || f.asked.Load() != asked {
		return
	}
	f.losses.observeSilence() // first, so that no retry uses a connection that is older
	f.dead.Store(true)
	_ = f.Conn.Close()
}
