//go:build faults

package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// The delay of a graceful stop, and how long after it the process may take.
const (
	stopDelay = time.Second
	drainTime = 20 * time.Second
)

// ending is what clients that ask all the time see of a service that is told to stop.
type ending struct {
	mu       sync.Mutex
	told     time.Time // to stop; zero before
	answered int
	closing  int // answers that told the client to close its connection
	faults   []string
}

// load asks until nothing listens any more: then no connection is made, or one is made that the service never took. What it
// sends with a body, nobody sends a second time.
func (e *ending) load(ctx context.Context, url string, m storetest.Merchant, body string) {
	transport := harness.Watching{Next: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer transport.CloseIdleConnections()
	for {
		reused, began := false, time.Now()
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }})
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		request, err := http.NewRequestWithContext(traced, method, url, strings.NewReader(body))
		if err != nil {
			panic(err) // the test's own address
		}
		request.Header.Set("Authorization", "Bearer "+string(m.WriteKey))
		request.Header.Set("Content-Type", "application/json")
		response, err := transport.RoundTrip(request)
		if (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) && !reused) && e.isOver() {
			return
		}
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
		e.mu.Lock()
		switch {
		case err != nil:
			e.faults = append(e.faults, fmt.Sprintf("%v, on a connection that is used again: %v, %v after it began", err, reused, time.Since(began)))
		case response.StatusCode != 200:
			e.faults = append(e.faults, response.Status)
		case response.Close:
			e.closing++
		}
		e.answered++
		stop := len(e.faults) > 5
		e.mu.Unlock()
		if stop {
			return
		}
	}
}

// isOver reports whether the service need not listen any more.
func (e *ending) isOver() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.told.IsZero() && time.Since(e.told) >= stopDelay
}

// A service that is told to stop says so first, and goes on; no request that it took fails, and it ends in order.
func TestFaultsStopUnderLoad(t *testing.T) {
	t.Parallel()
	db := storetest.NewBreakable(t, storetest.BreakableOptions{})
	m := db.Merchant(t, "Stopped")
	ids := db.Fill(t, m, 20)
	s := startService(t, db.AppURL(), "LUMEN_SHUTDOWN_DELAY="+stopDelay.String())
	for round := range rounds(2, 20) {
		if round > 0 {
			s.start(t)
		}
		var clients sync.WaitGroup
		e := &ending{}
		for i := range 8 {
			body := ""
			if i%2 == 0 {
				body = `{"name": "Under load"}`
			}
			clients.Go(func() { e.load(context.WithoutCancel(t.Context()), s.url+"/api/customers/"+ids[i], m, body) })
		}
		eventually(t, 20*time.Second, "answers", func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.answered > 100
		})
		s.awaitReadiness(t, 200, 5*time.Second)
		told := time.Now()
		e.mu.Lock()
		e.told = told
		e.mu.Unlock()
		s.signal(t, syscall.SIGTERM)
		red := s.awaitReadiness(t, 503, time.Second)
		_, body := probe(s.url + "/readyz")
		require.JSONEq(t, `{"status":"not ready","reason":"stopping"}`, body)
		s.awaitReadiness(t, 0, stopDelay+5*time.Second) // nobody listens
		listened := time.Since(told)
		require.GreaterOrEqual(t, listened, stopDelay)
		require.NoError(t, s.p.Wait(t), "exit code 0: %s", s.p.Stderr)
		ended := time.Since(told)
		require.Less(t, ended, stopDelay+drainTime)
		clients.Wait()
		require.Empty(t, e.faults)
		require.Positive(t, e.closing)
		t.Logf("not ready after %v, stopped listening after %v, ended after %v; %d answers, %d of which closed their connection, none failed",
			red.Round(time.Millisecond), listened.Round(time.Millisecond), ended.Round(time.Millisecond), e.answered, e.closing)
	}
}

// What is under way is finished: a long list that is being read slowly, and a write that waits.
func TestFaultsStopFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	db := storetest.NewBreakable(t, storetest.BreakableOptions{})
	m := db.Merchant(t, "Stopped")
	const many = 20_000
	ids := db.Fill(t, m, many)
	s := startService(t, db.AppURL(), "LUMEN_SHUTDOWN_DELAY=200ms")
	log := &tally{}
	c := newCaller(s.url, m.WriteKey, log)
	defer c.close()

	unlock := locking(t, db, "SELECT FROM customers WHERE id = $1 FOR UPDATE", ids[0])
	list := make(chan int, 1)
	first := make(chan struct{})
	go func() { list <- readSlowly(t, s.url, m, first) }()
	<-first
	wrote := make(chan verdict, 1)
	go func() {
		o, _ := c.update(context.WithoutCancel(t.Context()), ids[0], map[string]any{"name": "Late"})
		wrote <- o
	}()
	eventually(t, 5*time.Second, "the write waits", func() bool { return waiting(t, db) > 0 })

	s.signal(t, syscall.SIGTERM)
	s.awaitReadiness(t, 0, 5*time.Second)
	require.True(t, s.runs(), "with requests under way")
	unlock()
	require.Equal(t, done, <-wrote, log.complaints())
	require.Equal(t, many, <-list)
	require.NoError(t, s.p.Wait(t))
}

// waiting counts the sessions that wait for a lock.
func waiting(t testing.TB, db *storetest.Breakable) (n int) {
	t.Helper()
	conn := db.Connect(t)
	defer func() { _ = conn.Close(context.Background()) }()
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").Scan(&n))
	return n
}

// readSlowly reads the whole list over some seconds and counts it; -1 when it is not whole.
func readSlowly(t *testing.T, url string, m storetest.Merchant, first chan<- struct{}) int {
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url+"/api/customers", nil)
	if err != nil {
		return -1
	}
	request.Header.Set("Authorization", "Bearer "+string(m.ReadKey))
	response, err := harness.Watching{Next: &http.Transport{DisableCompression: true}}.RoundTrip(request)
	if err != nil {
		return -1
	}
	defer func() { _ = response.Body.Close() }()
	var text strings.Builder
	reader := bufio.NewReaderSize(response.Body, 64<<10)
	for part := 0; ; part++ {
		n, err := io.CopyN(&text, reader, 256<<10)
		if part == 0 {
			close(first)
		}
		if err != nil && (!errors.Is(err, io.EOF) || n == 256<<10) {
			return -1
		}
		if err != nil {
			break
		}
		time.Sleep(50 * time.Millisecond) // it is to be slow
	}
	var whole struct{ Customers []json.RawMessage }
	if json.Unmarshal([]byte(text.String()), &whole) != nil {
		return -1
	}
	return len(whole.Customers)
}

// Who does not want to wait says so once more.
func TestFaultsASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	db := storetest.NewBreakable(t, storetest.BreakableOptions{})
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s := startService(t, db.AppURL(), "LUMEN_SHUTDOWN_DELAY=1m")
		s.signal(t, signal)
		s.awaitReadiness(t, 503, time.Second)
		require.True(t, s.runs())
		again := time.Now()
		s.signal(t, signal)
		_ = s.p.Wait(t)
		require.Less(t, time.Since(again), time.Second)
	}
}
