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

// stopDelay is the shutdown delay of the service. drainTime is how long the process may take after
// it.
const (
	stopDelay = time.Second
	drainTime = 20 * time.Second
)

// stopObserver records what clients that send requests all the time see of a stopping service.
type stopObserver struct {
	mu       sync.Mutex
	signaled time.Time // when the stop signal was sent; zero before
	answered int
	closing  int // replies with Connection: close
	faults   []string
}

// run sends requests until the service no longer listens: then a connection is refused, or reset
// before the service accepted it. The transport does not retry requests with a body.
func (e *stopObserver) run(ctx context.Context, url string, m storetest.Merchant, body string) {
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
			e.faults = append(e.faults, fmt.Sprintf("%v, on a reused connection: %v, %v after the request began", err, reused, time.Since(began)))
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

// isOver reports whether the shutdown delay is over, so that the service need not listen any more.
func (e *stopObserver) isOver() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.signaled.IsZero() && time.Since(e.signaled) >= stopDelay
}

// TestFaultsStopUnderLoad sends SIGTERM under load. The service must report that it is not ready,
// go on serving for the shutdown delay, finish every request that it accepted, and exit with code
// 0.
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
		e := &stopObserver{}
		for i := range 8 {
			body := ""
			if i%2 == 0 {
				body = `{"name": "Under load"}`
			}
			clients.Go(func() { e.run(context.WithoutCancel(t.Context()), s.url+"/api/customers/"+ids[i], m, body) })
		}
		eventually(t, 20*time.Second, "answers", func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.answered > 100
		})
		s.awaitReadiness(t, 200, 5*time.Second)
		signaled := time.Now()
		e.mu.Lock()
		e.signaled = signaled
		e.mu.Unlock()
		s.signal(t, syscall.SIGTERM)
		red := s.awaitReadiness(t, 503, time.Second)
		_, body := probe(s.url + "/readyz")
		require.JSONEq(t, `{"status":"not ready","reason":"stopping"}`, body)
		s.awaitReadiness(t, 0, stopDelay+5*time.Second) // the service no longer listens
		listened := time.Since(signaled)
		require.GreaterOrEqual(t, listened, stopDelay)
		require.NoError(t, s.p.Wait(t), "the exit code must be 0: %s", s.p.Stderr)
		ended := time.Since(signaled)
		require.Less(t, ended, stopDelay+drainTime)
		clients.Wait()
		require.Empty(t, e.faults)
		require.Positive(t, e.closing)
		t.Logf("not ready after %v, stopped listening after %v, ended after %v; %d replies, %d of them closed their connection, none failed",
			red.Round(time.Millisecond), listened.Round(time.Millisecond), ended.Round(time.Millisecond), e.answered, e.closing)
	}
}

// TestFaultsStopFinishesRequests sends SIGTERM while a long list is being read slowly and a write
// waits for a lock. The service must finish both before it ends.
func TestFaultsStopFinishesRequests(t *testing.T) {
	t.Parallel()
	db := storetest.NewBreakable(t, storetest.BreakableOptions{})
	m := db.Merchant(t, "Stopped")
	const many = 20_000
	ids := db.Fill(t, m, many)
	s := startService(t, db.AppURL(), "LUMEN_SHUTDOWN_DELAY=200ms")
	log := &exchangeLog{}
	c := newCaller(s.url, m.WriteKey, log)
	defer c.close()

	unlock := holdLock(t, db, "SELECT FROM customers WHERE id = $1 FOR UPDATE", ids[0])
	list := make(chan int, 1)
	first := make(chan struct{})
	go func() { list <- readListSlowly(t, s.url, m, first) }()
	<-first
	wrote := make(chan verdict, 1)
	go func() {
		o, _ := c.update(context.WithoutCancel(t.Context()), ids[0], map[string]any{"name": "Late"})
		wrote <- o
	}()
	eventually(t, 5*time.Second, "a write that waits for the lock", func() bool { return lockWaiters(t, db) > 0 })

	s.signal(t, syscall.SIGTERM)
	s.awaitReadiness(t, 0, 5*time.Second)
	require.True(t, s.runs(), "the service must not end before its requests")
	unlock()
	require.Equal(t, done, <-wrote, log.violations())
	require.Equal(t, many, <-list)
	require.NoError(t, s.p.Wait(t))
}

// lockWaiters returns the number of sessions that wait for a lock.
func lockWaiters(t testing.TB, db *storetest.Breakable) (n int) {
	t.Helper()
	conn := db.Connect(t)
	defer func() { _ = conn.Close(context.Background()) }()
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").Scan(&n))
	return n
}

// readListSlowly reads the list over some seconds and returns the number of customers, or -1 if the
// list is incomplete. It closes first after the first part.
func readListSlowly(t *testing.T, url string, m storetest.Merchant, first chan<- struct{}) int {
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
		time.Sleep(50 * time.Millisecond) // read slowly
	}
	var whole struct{ Customers []json.RawMessage }
	if json.Unmarshal([]byte(text.String()), &whole) != nil {
		return -1
	}
	return len(whole.Customers)
}

// TestFaultsSecondSignalEndsAtOnce sends a second signal during the shutdown delay. The service
// must end within 1 s.
func TestFaultsSecondSignalEndsAtOnce(t *testing.T) {
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
