//go:build faults

package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// scenario is a service with its own Postgres, a controlled network between them, and clients of
// the service.
type scenario struct {
	db   *storetest.Breakable
	wire *wire
	s    *service
	m    storetest.Merchant
	ids  []string // customers that no client changes
	log  *exchangeLog
	idle int // open descriptors before the clients start

	writers  *writers
	readers  sync.WaitGroup
	probeLog *probeLog
}

// newScenario starts Postgres, the network and the service.
func newScenario(t *testing.T, options storetest.BreakableOptions, env ...string) *scenario {
	t.Helper()
	sc := &scenario{db: storetest.NewBreakable(t, options), log: &exchangeLog{}}
	sc.m = sc.db.Merchant(t, "Calm")
	sc.ids = sc.db.Fill(t, sc.m, 50)
	sc.wire = newWire(t, sc.db.Address())
	sc.s = startService(t, sc.db.AppURLAt(sc.wire.Listen), env...)
	c := sc.caller()
	o, _ := c.get(t.Context(), sc.ids[0])
	require.Equal(t, done, o, sc.s.p.Stderr.String())
	c.close()
	sc.idle = sc.s.descriptors(t)
	return sc
}

func (sc *scenario) caller() *caller { return newCaller(sc.s.url, sc.m.WriteKey, sc.log) }

// begin starts clients that write and read, and the health checks of an orchestrator. They run
// until end.
func (sc *scenario) begin(t *testing.T) {
	sc.writers = startWriters(t, 3, sc.s.url, sc.m, sc.log)
	ctx := context.WithoutCancel(t.Context())
	for i := range 3 {
		sc.readers.Go(func() {
			c := sc.caller()
			c.turns = i
			defer c.close()
			for turn := i; !sc.writers.isStopped(); turn++ {
				id := sc.ids[turn%len(sc.ids)]
				if o, p := c.get(ctx, id); o != unknown && (o != done || p.ID != id) {
					sc.writers.report("a read of %s is %v: %+v", id, o, p)
				}
				time.Sleep(5 * time.Millisecond) // leave time for the writers
			}
		})
	}
	sc.probeLog = startProbing(sc.s)
}

// end stops the clients and requires what must hold after every fault: no violation, no lost write,
// no failed health check and no leaked connection.
func (sc *scenario) end(t *testing.T) {
	t.Helper()
	sc.writers.stop()
	sc.readers.Wait()
	sc.probeLog.stop()
	require.Empty(t, sc.log.violations())
	require.True(t, sc.s.runs(), "the service ended")
	require.Empty(t, sc.probeLog.healthFailures, "/healthz")
	sc.writers.compare(t, sc.db, sc.m)
	requireNoLeaks(t, sc.s, sc.db, sc.idle)
}

// awaitRecovery waits until a read and a write succeed and /readyz returns 200, and returns how
// long each took.
func (sc *scenario) awaitRecovery(t *testing.T, within time.Duration) string {
	t.Helper()
	c := sc.caller()
	defer c.close()
	began := time.Now()
	eventually(t, within, "a read", func() bool {
		o, _ := c.get(t.Context(), sc.ids[0])
		return o == done
	})
	read := time.Since(began)
	eventually(t, within-read, "a write", func() bool {
		o, _ := c.update(t.Context(), sc.ids[1], map[string]any{"name": "Recovered"})
		return o == done
	})
	wrote := time.Since(began)
	sc.s.awaitReadiness(t, 200, within-wrote)
	return fmt.Sprintf("recovered: a read after %v, a write after %v, ready after %v", read.Round(time.Millisecond), wrote.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
}

// requireStatuses requires that exchanges have allowed statuses. If writes may fail with 503, they
// may also get 409, since a repeated create may conflict with its first attempt.
func requireStatuses(t *testing.T, when string, samples []exchange, reads, writes []int) {
	t.Helper()
	for _, x := range samples {
		allowed := reads
		if x.write {
			allowed = writes
			if slices.Contains(writes, 503) {
				allowed = append([]int{409}, writes...)
			}
		}
		if !slices.Contains(allowed, x.status) {
			t.Errorf("%s: the allowed statuses are %v: %s", when, allowed, x.message)
			return
		}
	}
}

// requireWithin requires that each exchange took less than maxLatency.
func requireWithin(t *testing.T, maxLatency time.Duration, samples []exchange) {
	t.Helper()
	for _, x := range samples {
		require.Less(t, x.end.Sub(x.began), maxLatency, x.message)
	}
}

// probeLog records the replies of /healthz and /readyz, which it polls every 50 ms.
type probeLog struct {
	stopped chan struct{}
	busy    sync.WaitGroup

	mu             sync.Mutex
	healthFailures []string // replies of /healthz other than 200 within 2 s
	replies        []readiness
}

// readiness is a reply of /readyz.
type readiness struct {
	at     time.Time
	status int
	body   string
}

func startProbing(s *service) *probeLog {
	v := &probeLog{stopped: make(chan struct{})}
	poll := func(path string, observe func(began time.Time, status int, body string)) {
		v.busy.Go(func() {
			for {
				began := time.Now()
				status, body := probe(s.url + path)
				v.mu.Lock()
				observe(began, status, body)
				v.mu.Unlock()
				select {
				case <-v.stopped:
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
	poll("/healthz", func(began time.Time, status int, body string) {
		if took := time.Since(began); status != 200 || took > 2*time.Second {
			v.healthFailures = append(v.healthFailures, fmt.Sprintf("%d after %v: %s", status, took, strings.TrimSpace(body)))
		}
	})
	poll("/readyz", func(began time.Time, status int, body string) {
		v.replies = append(v.replies, readiness{time.Now(), status, body})
	})
	return v
}

func (v *probeLog) stop() {
	close(v.stopped)
	v.busy.Wait()
}

// between returns the replies of /readyz in this period.
func (v *probeLog) between(from, to time.Time) (replies []readiness) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range v.replies {
		if r.at.After(from) && r.at.Before(to) {
			replies = append(replies, r)
		}
	}
	return replies
}
