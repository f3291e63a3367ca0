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

// scene is a service on a Postgres of its own, with a stretch of network between them, and what goes on there.
type scene struct {
	db   *storetest.Breakable
	wire *wire
	s    *service
	m    storetest.Merchant
	ids  []string // of customers that nobody changes
	log  *tally
	idle int // descriptors, while nothing goes on

	writers *writers
	readers sync.WaitGroup
	vitals  *vitals
}

// newScene sets everything up.
func newScene(t *testing.T, options storetest.BreakableOptions, env ...string) *scene {
	t.Helper()
	sc := &scene{db: storetest.NewBreakable(t, options), log: &tally{}}
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

func (sc *scene) caller() *caller { return newCaller(sc.s.url, sc.m.WriteKey, sc.log) }

// begin has clients write and read, and an orchestrator look after the service, until end.
func (sc *scene) begin(t *testing.T) {
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
					sc.writers.complain("a read of %s is %v: %+v", id, o, p)
				}
				time.Sleep(5 * time.Millisecond) // or reading would be all that is done
			}
		})
	}
	sc.vitals = monitor(sc.s)
}

// end stops what goes on and holds the scene to what has to be so whatever happened.
func (sc *scene) end(t *testing.T) {
	t.Helper()
	sc.writers.stop()
	sc.readers.Wait()
	sc.vitals.stop()
	require.Empty(t, sc.log.complaints())
	require.True(t, sc.s.runs(), "the service ended")
	require.Empty(t, sc.vitals.sick, "/healthz")
	sc.writers.compare(t, sc.db, sc.m)
	requireTidy(t, sc.s, sc.db, sc.idle)
}

// awaitRecovery returns when reads and writes succeed and /readyz is green, and how long each took.
func (sc *scene) awaitRecovery(t *testing.T, within time.Duration) string {
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

// requireOnly holds exchanges to statuses. A create that is tried again may meet its first try.
func requireOnly(t *testing.T, when string, samples []exchanged, reads, writes []int) {
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
			t.Errorf("%s only %v are allowed: %s", when, allowed, x.complaint)
			return
		}
	}
}

// requireWithin holds exchanges to the time that an answer may take.
func requireWithin(t *testing.T, bound time.Duration, samples []exchanged) {
	t.Helper()
	for _, x := range samples {
		require.Less(t, x.end.Sub(x.began), bound, x.complaint)
	}
}

// vitals are what /healthz and /readyz said, asked all the time.
type vitals struct {
	stopped chan struct{}
	busy    sync.WaitGroup

	mu   sync.Mutex
	sick []string // what /healthz said besides 200 within two seconds
	said []readiness
}

// readiness is an answer of /readyz.
type readiness struct {
	at     time.Time
	status int
	body   string
}

func monitor(s *service) *vitals {
	v := &vitals{stopped: make(chan struct{})}
	poll := func(path string, note func(began time.Time, status int, body string)) {
		v.busy.Go(func() {
			for {
				began := time.Now()
				status, body := probe(s.url + path)
				v.mu.Lock()
				note(began, status, body)
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
			v.sick = append(v.sick, fmt.Sprintf("%d after %v: %s", status, took, strings.TrimSpace(body)))
		}
	})
	poll("/readyz", func(began time.Time, status int, body string) {
		v.said = append(v.said, readiness{time.Now(), status, body})
	})
	return v
}

func (v *vitals) stop() {
	close(v.stopped)
	v.busy.Wait()
}

// between returns what /readyz said in this time.
func (v *vitals) between(from, to time.Time) (said []readiness) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range v.said {
		if r.at.After(from) && r.at.Before(to) {
			said = append(said, r)
		}
	}
	return said
}
