package postgres

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

func TestFlowBelowTLS(t *testing.T) {
	t.Parallel()
	config, err := pgconn.ParseConfig("postgres://user@127.0.0.1/db")
	require.NoError(t, err)
	f := &flow{}
	for name, conn := range map[string]net.Conn{"plain": f, "TLS": tls.Client(f, &tls.Config{ServerName: "db"})} {
		pg, err := pgconn.Construct(&pgconn.HijackedConn{Conn: conn, Frontend: pgproto3.NewFrontend(f, f), Config: config})
		require.NoError(t, err)
		require.Same(t, f, flowOf(pg), name)
	}
}

// The server's statement timeout must have ended a statement before silence counts as a lost
// connection.
func TestServerLimit(t *testing.T) {
	t.Parallel()
	limit, err := time.ParseDuration(StatementTimeout)
	require.NoError(t, err)
	require.Equal(t, limit, serverLimit)
}

// A long statement takes time to arrive, so the server is asked about it later.
func TestLongStatementsHaveMoreTime(t *testing.T) {
	t.Parallel()
	for sent, want := range map[int]int{0: 1, 500: 1, minBandwidth: 0} {
		l := &Losses{}
		l.inquiry.running = true // prevents an inquiry
		f := &flow{Conn: discarding{}, losses: l, opened: time.Now().Add(-time.Minute)}
		f.timer = time.AfterFunc(time.Hour, func() {})
		f.pid.Store(1)
		_, err := f.Write(make([]byte, sent))
		require.NoError(t, err)
		f.asked.Store(int64(time.Minute - 700*time.Millisecond))
		f.overdue()
		require.Len(t, l.inquiry.overdue, want, "%d bytes", sent)
		f.timer.Stop()
	}
}

// If pgx's background reader received the answer, it leaves a read behind that waits for no answer.
// pgx starts that reader when a write takes more than 15 ms, as on a busy machine.
func TestReadAheadIsNoSilence(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	l := &Losses{}
	l.inquiry.running = true // prevents an inquiry
	f := &flow{Conn: here, losses: l, opened: time.Now().Add(-time.Minute)}
	f.timer = time.AfterFunc(time.Hour, f.overdue)
	f.timer.Stop()
	f.pid.Store(1)
	go func() { // acts as the server
		question := make([]byte, 10)
		n, _ := there.Read(question)
		_, _ = there.Write(question[:n])
	}()
	var reader sync.WaitGroup
	reader.Go(func() {
		for answer := make([]byte, 10); ; {
			if _, err := f.Read(answer); err != nil {
				return
			}
		}
	})
	_, err := f.Write([]byte("question"))
	require.NoError(t, err)
	time.Sleep(2 * maxSilence)
	l.inquiry.mu.Lock()
	require.Empty(t, l.inquiry.overdue, "the answer arrived")
	l.inquiry.mu.Unlock()
	require.NoError(t, here.Close())
	reader.Wait()
}

// discarding is a connection that discards what is written.
type discarding struct{ net.Conn }

func (discarding) Write(b []byte) (int, error) { return len(b), nil }
