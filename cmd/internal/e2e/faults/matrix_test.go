//go:build faults

package faults

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// calamity is a fault that lasts, and what is promised meanwhile. /healthz is 200 all the time, nothing that was
// acknowledged is lost, the service is not restarted.
type calamity struct {
	options storetest.BreakableOptions
	env     []string
	// strike brings it about and returns what ends it.
	strike func(t *testing.T, sc *scene) (heal func())
	// lasts is how long, in the short form and in the long one.
	short, long time.Duration
	// reads and writes are the statuses that are allowed while it lasts.
	reads, writes []int
	// bound is how long an answer may take.
	bound time.Duration
	// ready is what /readyz says: 200 all the time, or 503 from some time on.
	ready int
	// delay is by how much each answer comes later, where that is how the fault is felt. Others are felt by
	// refusals, when those are allowed.
	delay time.Duration
	// recovery is how long afterwards reads and writes may fail and /readyz be red.
	recovery time.Duration
}

var (
	fine   = []int{200, 201}
	failed = []int{503}
	either = []int{200, 201, 503}
)

// toxic strikes the wire between the service and Postgres.
func toxic(kind, direction, attributes string) func(*testing.T, *scene) func() {
	return func(t *testing.T, sc *scene) func() { return sc.wire.add(t, kind, direction, 1, attributes) }
}

var calamities = map[string]calamity{
	"50 ms more to Postgres": {
		strike: toxic("latency", "downstream", `{"latency": 50}`), short: 2 * time.Second, long: 20 * time.Second,
		reads: fine, writes: fine, bound: 3 * time.Second, ready: 200, recovery: time.Second,
	},
	"300 ms more": {
		strike: toxic("latency", "downstream", `{"latency": 300}`), short: 5 * time.Second, long: 30 * time.Second,
		reads: fine, writes: fine, bound: 6 * time.Second, ready: 200, recovery: 2 * time.Second,
	},
	"2 s more": {
		strike: toxic("latency", "downstream", `{"latency": 2000}`), short: 10 * time.Second, long: 40 * time.Second,
		delay: 2 * time.Second,
		reads: either, writes: either, bound: 8 * time.Second, ready: 503, recovery: 3 * time.Second,
	},
	"10 KB a second": {
		strike: toxic("bandwidth", "both", `{"rate": 10}`), short: 4 * time.Second, long: 20 * time.Second,
		reads: fine, writes: fine, bound: 3 * time.Second, ready: 200, recovery: time.Second,
	},
	"a network that swallows everything": {
		strike: toxic("timeout", "both", `{"timeout": 0}`), short: 14 * time.Second, long: 30 * time.Second,
		reads: failed, writes: failed, bound: 8 * time.Second, ready: 503, recovery: 3 * time.Second,
	},
	"all connections cut, twice a second": {
		strike: cutting, short: 3 * time.Second, long: 30 * time.Second,
		reads: either, writes: either, bound: 3 * time.Second, ready: 0, recovery: 2 * time.Second,
	},
	"others hold every connection that Postgres has": {
		options: storetest.BreakableOptions{Settings: []string{"max_connections = 40", "superuser_reserved_connections = 15"}},
		strike:  hoarding, short: 3 * time.Second, long: 20 * time.Second,
		reads: failed, writes: failed, bound: 3 * time.Second, ready: 503, recovery: 2 * time.Second,
	},
	"read-only": {
		strike: func(t *testing.T, sc *scene) func() {
			sc.db.Exec(t, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
			// The server tells its sessions once it has read the file itself, which is a moment later.
			eventually(t, 5*time.Second, "reading the configuration", func() bool {
				conn := sc.db.Connect(t)
				defer conn.Close(context.Background())
				var set string
				return conn.QueryRow(t.Context(), "SHOW default_transaction_read_only").Scan(&set) == nil && set == "on"
			})
			time.Sleep(100 * time.Millisecond) // and they hear of it between two statements
			return func() {
				sc.db.Exec(t, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
			}
		},
		short: 3 * time.Second, long: 20 * time.Second,
		reads: fine, writes: failed, bound: 3 * time.Second, ready: 503, recovery: 2 * time.Second,
	},
	"read-only for new connections, and all are new": {
		strike: func(t *testing.T, sc *scene) func() {
			sc.db.Exec(t, "ALTER ROLE "+sc.db.AppUser()+" SET default_transaction_read_only = on",
				"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+sc.db.AppUser()+"'")
			return func() {
				sc.db.Exec(t, "ALTER ROLE "+sc.db.AppUser()+" RESET default_transaction_read_only")
			}
		},
		short: 3 * time.Second, long: 20 * time.Second,
		reads: fine, writes: failed, bound: 3 * time.Second, ready: 503, recovery: 2 * time.Second,
	},
	"a full disk": {
		options: storetest.BreakableOptions{DiskSize: "160m"},
		strike:  filling, short: 3 * time.Second, long: 20 * time.Second,
		reads: fine, writes: either, bound: 3 * time.Second, ready: 503, recovery: 2 * time.Second,
	},
	"the table is locked": {
		strike: func(t *testing.T, sc *scene) func() {
			return locking(t, sc.db, "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
		},
		short: 6 * time.Second, long: 20 * time.Second,
		reads: failed, writes: failed, bound: 5 * time.Second, ready: 200, recovery: time.Second,
	},
	"another merchant takes all the connections it can": {
		strike: crowding, short: 5 * time.Second, long: 20 * time.Second,
		reads: fine, writes: fine, bound: 3 * time.Second, ready: 200, recovery: time.Second,
	},
	"Postgres is frozen": {
		strike: func(_ *testing.T, sc *scene) func() { sc.db.Freeze(); return sc.db.Thaw },
		short:  14 * time.Second, long: 20 * time.Second,
		reads: failed, writes: failed, bound: 8 * time.Second, ready: 503, recovery: 2 * time.Second,
	},
}

func TestFaultsHaveAStatedOutcome(t *testing.T) {
	t.Parallel()
	for name, c := range calamities {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.happens(t)
		})
	}
}

func (c calamity) happens(t *testing.T) {
	sc := newScene(t, c.options, c.env...)
	sc.begin(t)
	sc.writers.awaitMore(t, 20)
	sc.s.awaitReadiness(t, 200, 2*time.Second)

	struck := time.Now()
	heal := c.strike(t, sc)
	effective := time.Now()
	lasts := c.short
	if storetest.Long() {
		lasts = c.long
	}
	if c.ready == 503 {
		t.Logf("not ready after %v", sc.s.awaitReadiness(t, 503, 5*time.Second).Round(time.Millisecond))
	}
	time.Sleep(time.Until(effective.Add(lasts))) // it is to last that long
	healing := time.Now()
	heal()
	t.Log(sc.awaitRecovery(t, c.recovery))
	recovered := time.Now()
	sc.writers.awaitMore(t, 20)
	sc.end(t)

	requireOnly(t, "before it", during(t, sc.log, time.Time{}, struck), fine, fine)
	meanwhile := during(t, sc.log, effective, healing)
	t.Log("meanwhile: ", summary(meanwhile))
	requireOnly(t, "meanwhile", meanwhile, c.reads, c.writes)
	felt := slices.ContainsFunc(meanwhile, func(x exchanged) bool {
		return x.status == 503 || c.delay > 0 && x.end.Sub(x.began) >= c.delay
	})
	require.Equal(t, slices.Contains(c.writes, 503), felt, "a fault that is felt")
	requireOnly(t, "around it", sc.log.between(struck, recovered), either, either)
	requireOnly(t, "afterwards", sc.log.between(recovered, time.Time{}), fine, append([]int{409}, fine...))
	requireWithin(t, c.bound, sc.log.between(time.Time{}, time.Time{}))
	c.requireReadiness(t, sc.vitals.between(struck, healing))
}

// during returns what began and ended in this time: reads and writes, some of each.
func during(t *testing.T, log *tally, from, to time.Time) (found []exchanged) {
	t.Helper()
	for _, x := range log.between(from, to) {
		if x.end.Before(to) {
			found = append(found, x)
		}
	}
	for _, write := range []bool{false, true} {
		require.True(t, slices.ContainsFunc(found, func(x exchanged) bool { return x.write == write }), "a write: %v", write)
	}
	return found
}

// requireReadiness holds /readyz to what it has to say while the calamity lasts: once it is red, it stays so.
func (c calamity) requireReadiness(t *testing.T, said []readiness) {
	t.Helper()
	if c.ready == 503 {
		said = said[max(0, slices.IndexFunc(said, func(r readiness) bool { return r.status == 503 })):]
	}
	require.NotEmpty(t, said)
	for _, r := range said {
		if c.ready != 0 {
			require.Equal(t, c.ready, r.status, r.body)
		}
		if r.status == 503 {
			require.Contains(t, r.body, `"reason":"database"`)
		}
	}
}

// cutting ends all connections again and again.
func cutting(t *testing.T, sc *scene) func() {
	stopped := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			sc.wire.cut(t)
			select {
			case <-stopped:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	return func() { close(stopped); busy.Wait() }
}

// hoarding opens connections until it holds all that Postgres has, and ends those of the service to take them, too.
// That no more can be had is not enough: a session that begins or ends has a place and is in no list.
func hoarding(t *testing.T, sc *scene) func() {
	admin := sc.db.Connect(t)
	var places int // but for those of superusers, who stay
	require.NoError(t, admin.QueryRow(t.Context(), `
		SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - count(*)
		FROM pg_stat_activity JOIN pg_roles ON rolname = usename WHERE rolsuper AND backend_type = 'client backend'`).Scan(&places))
	var held []*pgx.Conn
	pids := []uint32{}
	eventually(t, 10*time.Second, "holding every connection", func() bool {
		_, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND NOT pid = ANY ($2)", sc.db.AppUser(), pids)
		require.NoError(t, err)
		for {
			conn, err := pgx.Connect(t.Context(), sc.db.AppURL())
			if err != nil {
				return len(held) == places
			}
			held, pids = append(held, conn), append(pids, conn.PgConn().PID())
		}
	})
	return func() {
		for _, conn := range append(held, admin) {
			_ = conn.Close(context.Background())
		}
	}
}

// filling leaves no room on the disk with the data.
func filling(t *testing.T, sc *scene) func() {
	ballast := filepath.Join(sc.db.Folder, "disk", "ballast")
	file, err := os.Create(ballast)
	require.NoError(t, err)
	for block := make([]byte, 4<<10); err == nil; {
		_, err = file.Write(block)
	}
	require.NoError(t, file.Close())
	return func() { require.NoError(t, os.Remove(ballast)) }
}

// locking holds locks that the statement takes.
func locking(t *testing.T, db *storetest.Breakable, statement string, args ...any) func() {
	conn := db.Connect(t)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
	return func() { require.NoError(t, conn.Close(context.Background())) }
}

// crowding has another merchant's clients, far more than there are connections, wait for locked rows.
func crowding(t *testing.T, sc *scene) func() {
	crowd := sc.db.Merchant(t, "Crowd")
	ids := sc.db.Fill(t, crowd, 40)
	unlock := locking(t, sc.db, "SELECT FROM customers WHERE merchant_id = $1 FOR UPDATE", crowd.ID)
	stopped := make(chan struct{})
	log := &tally{}
	var busy sync.WaitGroup
	for _, id := range ids {
		busy.Go(func() {
			c := newCaller(sc.s.url, crowd.WriteKey, log)
			defer c.close()
			for {
				c.update(t.Context(), id, map[string]any{"name": "Crowded"})
				select {
				case <-stopped:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
	eventually(t, 10*time.Second, "a refusal of the crowd", func() bool { return len(log.between(time.Time{}, time.Time{})) > 0 })
	return func() {
		requireOnly(t, "of a crowd before locks", log.between(time.Time{}, time.Time{}), nil, []int{429, 503})
		unlock()
		close(stopped)
		busy.Wait()
		t.Log("the crowd: ", summary(log.between(time.Time{}, time.Time{})))
		require.Empty(t, log.complaints())
	}
}
