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

// healing is how long a service may need after its connections vanished without a word.
const healing = 2 * time.Second

// silent is less than the wait for an answer that does not come, which is half a second.
const silent = 450 * time.Millisecond

// vanishing is a service behind a forwarder that swallows flows, and its clients.
type vanishing struct {
	forwarder *storetest.Forwarder
	db        *storetest.Database
	s         *service
	m         storetest.Merchant
	ids       []string
	log       *tally

	clients  sync.WaitGroup
	stopped  atomic.Bool
	made     sync.Map // the addresses of creates that were acknowledged
	attempts atomic.Int64
}

func newVanishing(t *testing.T) *vanishing {
	t.Helper()
	db := storetest.New(t)
	v := &vanishing{db: db, m: db.Merchant(t, "Calm"), log: &tally{}}
	v.ids = db.Fill(t, v.m, 50)
	forwarder, url := storetest.Forward(t, db.AppURL())
	v.forwarder, v.s = forwarder, startService(t, url)
	return v
}

// start has this many clients read and create, one after the other, until stop. They come to both
// APIs.
func (v *vanishing) start(ctx context.Context, clients int) {
	v.stopped.Store(false)
	for i := range clients {
		v.clients.Go(func() {
			c := newCaller(v.s.url, v.m.WriteKey, v.log)
			c.turns = i
			defer c.close()
			for turn := i; !v.stopped.Load(); turn++ {
				v.once(ctx, c, turn)
				time.Sleep(25 * time.Millisecond) // a busy machine would be slow without any fault
			}
		})
	}
}

// once is a read or, one time in three, a write.
func (v *vanishing) once(ctx context.Context, c *caller, turn int) {
	if turn%3 != 0 {
		c.get(ctx, v.ids[turn%len(v.ids)])
		return
	}
	email := fmt.Sprintf("%d@example.com", v.attempts.Add(1))
	if o, _ := c.create(ctx, map[string]any{"email": email}); o == done {
		v.made.Store(email, true)
	}
}

// stop waits for the clients.
func (v *vanishing) stop() {
	v.stopped.Store(true)
	v.clients.Wait()
}

// requireHealed holds exchanges to what is promised after flows vanished: reads succeed all the
// time; writes that were under way may fail; and all is as usual soon. It returns how long that
// took.
func (v *vanishing) requireHealed(t *testing.T, vanished time.Time) time.Duration {
	t.Helper()
	require.Empty(t, v.log.complaints())
	took := time.Duration(0)
	for _, x := range v.log.between(time.Time{}, time.Time{}) {
		if x.end.Before(vanished) {
			require.Contains(t, fine, x.status, x.complaint)
			continue
		}
		if x.status == 503 || x.end.Sub(x.began) > silent {
			took = max(took, x.end.Sub(vanished))
		}
		if x.status == 503 {
			require.True(t, x.write, "a read failed: %s", x.complaint)
		}
	}
	require.LessOrEqual(t, took, healing)
	return took
}

// requireOnce holds the database to what was acknowledged: each of it is there, and nothing is
// there twice.
func (v *vanishing) requireOnce(t *testing.T) {
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
	v.made.Range(func(email, _ any) bool {
		require.Equal(t, 1, counts[email.(string)], "an acknowledged create of %s", email)
		return true
	})
}

// A peer that vanished costs no more than a moment, and /readyz does not say ready while requests
// fail.
func TestFaultsOfVanishedPeers(t *testing.T) {
	t.Parallel()
	for _, clients := range []int{1, 8, 32} {
		t.Run("vanished under "+strconv.Itoa(clients), func(t *testing.T) {
			t.Parallel()
			newVanishing(t).underLoad(t, clients)
		})
		t.Run("vanished while idle, then "+strconv.Itoa(clients), func(t *testing.T) {
			t.Parallel()
			newVanishing(t).whileIdle(t, clients)
		})
	}
	t.Run("vanished with the way to new ones", func(t *testing.T) {
		t.Parallel()
		v := newVanishing(t)
		v.start(context.WithoutCancel(t.Context()), 8)
		time.Sleep(time.Second)
		vitals := monitor(v.s)
		v.forwarder.Vanish(true)
		v.s.awaitReadiness(t, http.StatusServiceUnavailable, 5*time.Second)
		time.Sleep(5 * time.Second)
		healed := time.Now()
		v.forwarder.Pass()
		v.s.awaitReadiness(t, http.StatusOK, 6*time.Second)
		time.Sleep(time.Second)
		v.stop()
		vitals.stop()
		v.requireReadinessIsTrue(t, vitals)
		require.Empty(t, v.log.complaints())
		t.Log(summary(v.log.between(time.Time{}, healed)))
		v.requireOnce(t)
	})
}

// underLoad has flows vanish while clients use them.
func (v *vanishing) underLoad(t *testing.T, clients int) {
	t.Helper()
	for range 2 {
		v.log = &tally{}
		v.start(context.WithoutCancel(t.Context()), clients)
		time.Sleep(time.Second)
		vitals := monitor(v.s)
		time.Sleep(500 * time.Millisecond)
		vanished := time.Now()
		v.forwarder.Vanish(false)
		time.Sleep(healing + time.Second)
		v.stop()
		vitals.stop()
		took := v.requireHealed(t, vanished)
		v.requireReadinessIsTrue(t, vitals)
		t.Logf("%d clients: recovered after %v; %s", clients, took.Round(time.Millisecond),
			summary(v.log.between(vanished, time.Time{})))
	}
	v.requireOnce(t)
}

// whileIdle has flows vanish that nobody uses, and clients come back.
func (v *vanishing) whileIdle(t *testing.T, clients int) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	v.start(ctx, clients)
	time.Sleep(time.Second)
	v.stop()
	v.forwarder.Vanish(false)
	time.Sleep(6 * time.Second) // credentials are looked up again, too
	v.log = &tally{}
	vanished := time.Now()
	for i := range clients {
		v.clients.Go(func() {
			c := newCaller(v.s.url, v.m.WriteKey, v.log)
			c.turns = i
			defer c.close()
			v.once(ctx, c, i)
		})
	}
	v.clients.Wait()
	took := v.requireHealed(t, vanished)
	requireOnly(t, "afterwards", v.log.between(vanished, time.Time{}), fine, fine) // no write had been sent
	v.requireOnce(t)
	t.Logf("%d clients after idleness: all were answered after %v", clients, took.Round(time.Millisecond))
}

// requireReadinessIsTrue holds /readyz to requests: once it has said ready after a request failed,
// those that come next succeed.
func (v *vanishing) requireReadinessIsTrue(t *testing.T, vitals *vitals) {
	t.Helper()
	require.Empty(t, vitals.sick, "/healthz")
	samples := v.log.between(time.Time{}, time.Time{})
	for _, failed := range samples {
		if failed.status != 503 {
			continue
		}
		for _, said := range vitals.between(failed.end, failed.end.Add(time.Minute)) {
			if said.status != http.StatusOK {
				continue
			}
			for _, later := range samples {
				if later.began.After(said.at) && later.began.Before(said.at.Add(time.Second)) {
					require.NotEqual(t, 503, later.status,
						"%v after /readyz said ready: %s", later.began.Sub(said.at), later.complaint)
				}
			}
		}
	}
}
