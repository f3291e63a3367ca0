package storetest

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Sent is a statement as the service sent it to Postgres.
type Sent struct {
	SQL     string
	Values  [][]byte
	Formats []int16
}

// Wire is a proxy between the service and Postgres. It records the statements of the service.
type Wire struct {
	mu         sync.Mutex
	statements []Sent
	executed   int // statements of any kind
}

// Tap returns a Wire in front of the server of a connection string, and a connection string that
// leads through the Wire.
func Tap(t testing.TB, address string) (*Wire, string) {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	w, host := &Wire{}, to.Host
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", host)
			if err != nil {
				t.Errorf("dial: %v", err)
				_ = client.Close()
				return
			}
			both := func() { _, _ = client.Close(), server.Close() }
			running.Go(func() { defer both(); _, _ = io.Copy(client, server) })
			running.Go(func() { defer both(); _ = w.read(client, server) })
		}
	})
	// The test opens its store after this, so that the store is closed before this runs.
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	to.Host, to.RawQuery = listener.Addr().String(), "sslmode=disable"
	return w, to.String()
}

// read records the statements of one connection. It passes a message to Postgres after recording
// it, so that Taken knows each statement that has been answered.
func (w *Wire) read(client io.Reader, server io.Writer) error {
	frame := make([]byte, 4) // the first message has no type
	prepared := make(map[string]string)
	for start := 0; ; start = 1 {
		if _, err := io.ReadFull(client, frame); err != nil {
			return err
		}
		body := make([]byte, binary.BigEndian.Uint32(frame[start:])-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return err
		}
		switch {
		case start == 0:
		case frame[0] == 'P':
			var message pgproto3.Parse
			if err := message.Decode(body); err != nil {
				return err
			}
			prepared[message.Name] = message.Query
		case frame[0] == 'B':
			var message pgproto3.Bind
			if err := message.Decode(body); err != nil {
				return err
			}
			w.mu.Lock()
			w.executed++
			sql := prepared[message.PreparedStatement]
			w.statements = append(w.statements, Sent{sql, message.Parameters, message.ParameterFormatCodes})
			w.mu.Unlock()
		}
		if _, err := server.Write(append(frame, body...)); err != nil {
			return err
		}
		frame = make([]byte, 5)
	}
}

// Executed returns how many statements of any kind were executed.
func (w *Wire) Executed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.executed
}

// Taken returns the statements that name the table and were sent since Taken was last called.
func (w *Wire) Taken(table string) []Sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	statements := slices.DeleteFunc(w.statements, func(s Sent) bool { return !strings.Contains(s.SQL, table) })
	w.statements = nil
	return statements
}
