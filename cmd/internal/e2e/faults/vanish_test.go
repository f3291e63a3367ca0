//go:build faults

package faults

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// recoveryTime is how long a service may take to recover after its connections vanished silently.
const recoveryTime = 2 * time.Second

// maxStall is the longest normal latency. It is less than the 500 ms for which the service waits
// for a reply on a connection that vanished.
const maxStall = 450 * time.Millisecond

// vanishingPeers is a service whose forwarder to Postgres can silently drop connections, and its
// clients.
type vanishingPeers struct {
	forwarder *storetest.Forwarder
	db        *storetest.Database
	s         *service
	m         storetest.Merchant
	ids       []string
	log       *exchangeLog

	clients      sync.WaitGroup
	stopped      atomic.Bool
	acknowledged sync.Map // addresses of acknowledged creates
	attempts     atomic.Int64
}

func newVanishingPeers(t *testing.T) *vanishingPeers {
	t.Helper()
	db := storetest.New(t)
	v := &vanishingPeers{db: db, m: db.Merchant(t, "Calm"), log: &exchangeLog{}}
	v.ids = db.Fill(t, v.m, 50)
	forwarder, url := storetest.Forward(t, db.AppURL())
	v.forwarder, v.s = forwarder, startService(t, url)
	return v
}

// start starts clients that read and create customers through both APIs until stop.
func (v *vanishingPeers) start(ctx context.Context, clients int) {
	v.stopped.Store(false)
	for i := range clients {
		v.clients.Go(func() {
			c := newCaller(v.s.url, v.m.WriteKey, v.log)
			c.turns = i
			defer c.close()
			for turn := i; !v.stopped.Load(); turn++ {
				v.sendOne(ctx, c, turn)
				time.Sleep(25 * time.Millisecond) // without the pause a busy machine would be slow even without a fault
			}
		})
	}
}

// sendOne sends a read or, every third time, a create.
func (v *vanishingPeers) sendOne(ctx context.Context, c *caller, turn int) {
	if turn%3 != 0 {
		c.get(ctx, v.ids[turn%len(v.ids)])
		return
	}
	email := fmt.Sprintf("%d@example.com", v.attempts.Add(1))
	if o, _ := c.create(ctx, map[string]any{"email": email}); o == done {
		v.acknowledged.Store(email, true)
	}
}

// stop waits for the clients.
func (v *vanishingPeers) stop() {
	v.stopped.Store(true)
	v.clients.Wait()
}

// requireHealed requires the documented behavior after connections vanished: reads succeed all the
// time, only writes may fail, and latency and statuses are normal after recoveryTime. It returns
// how long the recovery took.
func (v *vanishingPeers) requireHealed(t *testing.T, vanished time.Time) time.Duration {
	t.Helper()
	require.Empty(t, v.log.violations())
	took := time.Duration(0)
	for _, x := range v.log.between(time.Time{}, time.Time{}) {
		if x.end.Before(vanished) {
			require.Contains(t, succeeds, x.status, x.message)
			continue
		}
		if x.status == 503 || x.end.Sub(x.began) > maxStall {
			took = max(took, x.end.Sub(vanished))
		}
		if x.status == 503 {
			require.True(t, x.write, "a read failed: %s", x.message)
		}
	}
	require.LessOrEqual(t, took, recoveryTime)
	return took
}

// requireAcknowledgedOnce requires that every acknowledged create is stored, and that no customer
// is stored twice.
func (v *vanishingPeers) requireAcknowledgedOnce(t *testing.T) {
	t.Helper()
	rows, err := v.db.Superuser().Query(t.Context(),
		"SELECT email, count(*) FROM customers WHERE merchant_id = $1 GROUP BY email", v.m.ID)
	require.NoError(t, err)
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var email string
		var n int
		require.NoError(t, rows.Scan(&email, &n))
		counts[email] = n
		require.Equal(t, 1, n, email)
	}
	require.NoError(t, rows.Err())
	v.acknowledged.Range(func(email, _ any) bool {
		require.Equal(t, 1, counts[email.(string)], "the acknowledged create of %s must be stored once", email)
		return true
	})
}

// TestFaultsOfVanishedPeers drops the connections to Postgres silently, as a failed network device
// does. The service must recover within recoveryTime, and /readyz must not return 200 while
// requests fail. Other tests would delay its requests, so it runs before the parallel ones. More clients
// than one keep two processors busy, so the long form alone has them.
func TestFaultsOfVanishedPeers(t *testing.T) {
	numbers := []int{1}
	if storetest.Long() {
		numbers = append(numbers, 8, 32)
	}
	for _, clients := range numbers {
		t.Run("vanished under load by "+strconv.Itoa(clients), func(t *testing.T) {
			t.Parallel()
			newVanishingPeers(t).vanishUnderLoad(t, clients)
		})
		t.Run("vanished while idle, then load by "+strconv.Itoa(clients), func(t *testing.T) {
			t.Parallel()
			newVanishingPeers(t).vanishWhileIdle(t, clients)
		})
	}
	t.Run("vanished, and new connections fail as well", func(t *testing.T) {
		t.Parallel()
		v := newVanishingPeers(t)
		v.start(context.WithoutCancel(t.Context()), 8)
		time.Sleep(time.Second)
		probeLog := startProbing(v.s)
		v.forwarder.Vanish(true)
		v.s.awaitReadiness(t, http.StatusServiceUnavailable, 5*time.Second)
		time.Sleep(5 * time.Second)
		healed := time.Now()
		v.forwarder.Pass()
		v.s.awaitReadiness(t, http.StatusOK, 6*time.Second)
		time.Sleep(time.Second)
		v.stop()
		probeLog.stop()
		v.requireReadinessMatches(t, probeLog)
		require.Empty(t, v.log.violations())
		t.Log(summary(v.log.between(time.Time{}, healed)))
		v.requireAcknowledgedOnce(t)
	})
}

// vanishUnderLoad drops connections while clients use the service.
func (v *vanishingPeers) vanishUnderLoad(t *testing.T, clients int) {
	t.Helper()
	for range 2 {
		v.log = &exchangeLog{}
		v.start(context.WithoutCancel(t.Context()), clients)
		time.Sleep(time.Second)
		probeLog := startProbing(v.s)
		time.Sleep(500 * time.Millisecond)
		vanished := time.Now()
		v.forwarder.Vanish(false)
		time.Sleep(recoveryTime + time.Second)
		v.stop()
		probeLog.stop()
		took := v.requireHealed(t, vanished)
		v.requireReadinessMatches(t, probeLog)
		t.Logf("%d clients: recovered after %v; %s", clients, took.Round(time.Millisecond),
			summary(v.log.between(vanished, time.Time{})))
	}
	v.requireAcknowledgedOnce(t)
}

// vanishWhileIdle drops idle connections before clients send requests again.
func (v *vanishingPeers) vanishWhileIdle(t *testing.T, clients int) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	v.start(ctx, clients)
	time.Sleep(time.Second)
	v.stop()
	v.forwarder.Vanish(false)
	time.Sleep(6 * time.Second) // until cached credentials have to be looked up again
	v.log = &exchangeLog{}
	vanished := time.Now()
	for i := range clients {
		v.clients.Go(func() {
			c := newCaller(v.s.url, v.m.WriteKey, v.log)
			c.turns = i
			defer c.close()
			v.sendOne(ctx, c, i)
		})
	}
	v.clients.Wait()
	took := v.requireHealed(t, vanished)
	requireStatuses(t, "afterwards", v.log.between(vanished, time.Time{}), succeeds, succeeds) // no write was under way
	v.requireAcknowledgedOnce(t)
	t.Logf("%d clients after the idle period: all were answered after %v", clients, took.Round(time.Millisecond))
}

// requireReadinessMatches requires that after a failed request, once /readyz returns 200 again, the
// requests of the next second succeed.
func (v *vanishingPeers) requireReadinessMatches(t *testing.T, probeLog *probeLog) {
	t.Helper()
	require.Empty(t, probeLog.healthFailures, "/healthz")
	samples := v.log.between(time.Time{}, time.Time{})
	for _, failed := range samples {
		if failed.status != 503 {
			continue
		}
		for _, replies := range probeLog.between(failed.end, failed.end.Add(time.Minute)) {
			if replies.status != http.StatusOK {
				continue
			}
			for _, later := range samples {
				if later.began.After(replies.at) && later.began.Before(replies.at.Add(time.Second)) {
					require.NotEqual(t, 503, later.status,
						"a request failed %v after /readyz returned 200: %s", later.began.Sub(replies.at), later.message)
				}
			}
		}
	}
}
