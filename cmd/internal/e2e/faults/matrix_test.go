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

// fault is a fault that lasts for some time, and the behavior that is documented for it. In all
// cases /healthz returns 200, no acknowledged write is lost, and the service is not restarted.
type fault struct {
	options storetest.BreakableOptions
	env     []string
	// inject starts the fault and returns a function that ends it.
	inject func(t *testing.T, sc *scenario) (heal func())
	// short and long are the durations of the fault in the two forms of the test.
	short, long time.Duration
	// reads and writes are the statuses that are allowed during the fault.
	reads, writes []int
	// maxLatency is the longest time that a reply may take.
	maxLatency time.Duration
	// ready is the status of /readyz: 200 all the time, or 503 after a while. 0 means any.
	ready int
	// delay is the additional latency of replies, if the fault shows in latency. Other faults show
	// in statuses of 503, if these are allowed.
	delay time.Duration
	// recovery is how long reads and writes may fail, and /readyz may return 503, after the fault.
	recovery time.Duration
}

var (
	succeeds    = []int{200, 201}
	unavailable = []int{503}
	mayFail     = []int{200, 201, 503}
)

// toxic returns a function that injects a fault into the connections between the service and
// Postgres.
func toxic(kind, direction, attributes string) func(*testing.T, *scenario) func() {
	return func(t *testing.T, sc *scenario) func() { return sc.wire.add(t, kind, direction, 1, attributes) }
}

var faultCases = map[string]fault{
	"50 ms more latency to Postgres": {
		inject: toxic("latency", "downstream", `{"latency": 50}`), short: 2 * time.Second, long: 20 * time.Second,
		reads: succeeds, writes: succeeds, maxLatency: 3 * time.Second, ready: 200, recovery: time.Second,
	},
	"300 ms more latency": {
		inject: toxic("latency", "downstream", `{"latency": 300}`), short: 5 * time.Second, long: 30 * time.Second,
		reads: succeeds, writes: succeeds, maxLatency: 6 * time.Second, ready: 200, recovery: 2 * time.Second,
	},
	"2 s more latency": {
		inject: toxic("latency", "downstream", `{"latency": 2000}`), short: 10 * time.Second, long: 40 * time.Second,
		delay: 2 * time.Second,
		reads: mayFail, writes: mayFail, maxLatency: 8 * time.Second, ready: 503, recovery: 3 * time.Second,
	},
	"10 KB per second to Postgres": {
		inject: toxic("bandwidth", "both", `{"rate": 10}`), short: 4 * time.Second, long: 20 * time.Second,
		reads: succeeds, writes: succeeds, maxLatency: 3 * time.Second, ready: 200, recovery: time.Second,
	},
	"the network drops all bytes": {
		inject: toxic("timeout", "both", `{"timeout": 0}`), short: 14 * time.Second, long: 30 * time.Second,
		reads: unavailable, writes: unavailable, maxLatency: 8 * time.Second, ready: 503, recovery: 3 * time.Second,
	},
	"all connections cut, twice a second": {
		inject: cutConnections, short: 3 * time.Second, long: 30 * time.Second,
		reads: mayFail, writes: mayFail, maxLatency: 3 * time.Second, ready: 0, recovery: 2 * time.Second,
	},
	"others hold every connection of Postgres": {
		options: storetest.BreakableOptions{Settings: []string{"max_connections = 40", "superuser_reserved_connections = 15"}},
		inject:  takeAllConnections, short: 3 * time.Second, long: 20 * time.Second,
		reads: unavailable, writes: unavailable, maxLatency: 3 * time.Second, ready: 503, recovery: 2 * time.Second,
	},
	"read-only": {
		inject: func(t *testing.T, sc *scenario) func() {
			sc.db.Exec(t, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
			// The server informs its sessions only after it has read the file itself.
			eventually(t, 5*time.Second, "reading the configuration", func() bool {
				conn := sc.db.Connect(t)
				defer conn.Close(context.Background())
				var set string
				return conn.QueryRow(t.Context(), "SHOW default_transaction_read_only").Scan(&set) == nil && set == "on"
			})
			time.Sleep(100 * time.Millisecond) // sessions apply it between two statements
			return func() {
				sc.db.Exec(t, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
			}
		},
		short: 3 * time.Second, long: 20 * time.Second,
		reads: succeeds, writes: unavailable, maxLatency: 3 * time.Second, ready: 503, recovery: 2 * time.Second,
	},
	"read-only for new connections, after all others were ended": {
		inject: func(t *testing.T, sc *scenario) func() {
			sc.db.Exec(t, "ALTER ROLE "+sc.db.AppUser()+" SET default_transaction_read_only = on",
				"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+sc.db.AppUser()+"'")
			return func() {
				sc.db.Exec(t, "ALTER ROLE "+sc.db.AppUser()+" RESET default_transaction_read_only")
			}
		},
		short: 3 * time.Second, long: 20 * time.Second,
		reads: succeeds, writes: unavailable, maxLatency: 3 * time.Second, ready: 503, recovery: 2 * time.Second,
	},
	"a full disk": {
		options: storetest.BreakableOptions{DiskSize: "160m"},
		inject:  fillDisk, short: 3 * time.Second, long: 20 * time.Second,
		reads: succeeds, writes: mayFail, maxLatency: 3 * time.Second, ready: 503, recovery: 2 * time.Second,
	},
	"the table is locked": {
		inject: func(t *testing.T, sc *scenario) func() {
			return holdLock(t, sc.db, "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
		},
		short: 6 * time.Second, long: 20 * time.Second,
		reads: unavailable, writes: unavailable, maxLatency: 5 * time.Second, ready: 200, recovery: time.Second,
	},
	"another merchant takes as many connections as it can": {
		inject: crowdOut, short: 5 * time.Second, long: 20 * time.Second,
		reads: succeeds, writes: succeeds, maxLatency: 3 * time.Second, ready: 200, recovery: time.Second,
	},
	"Postgres is frozen": {
		inject: func(_ *testing.T, sc *scenario) func() { sc.db.Freeze(); return sc.db.Thaw },
		short:  14 * time.Second, long: 20 * time.Second,
		reads: unavailable, writes: unavailable, maxLatency: 8 * time.Second, ready: 503, recovery: 2 * time.Second,
	},
}

// TestFaultsHaveDocumentedOutcomes injects each fault under load and checks the documented
// behavior: allowed statuses, latency, readiness and recovery time, and that no acknowledged write
// is lost.
func TestFaultsHaveDocumentedOutcomes(t *testing.T) {
	t.Parallel()
	for name, c := range faultCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func (c fault) run(t *testing.T) {
	sc := newScenario(t, c.options, c.env...)
	sc.begin(t)
	sc.writers.awaitMore(t, 20)
	sc.s.awaitReadiness(t, 200, 2*time.Second)

	injected := time.Now()
	heal := c.inject(t, sc)
	effective := time.Now()
	lasts := c.short
	if storetest.Long() {
		lasts = c.long
	}
	if c.ready == 503 {
		t.Logf("not ready after %v", sc.s.awaitReadiness(t, 503, 5*time.Second).Round(time.Millisecond))
	}
	time.Sleep(time.Until(effective.Add(lasts))) // keep the fault for its full duration
	healing := time.Now()
	heal()
	t.Log(sc.awaitRecovery(t, c.recovery))
	recovered := time.Now()
	sc.writers.awaitMore(t, 20)
	sc.end(t)

	requireStatuses(t, "before the fault", during(t, sc.log, time.Time{}, injected), succeeds, succeeds)
	meanwhile := during(t, sc.log, effective, healing)
	t.Log("during the fault: ", summary(meanwhile))
	requireStatuses(t, "during the fault", meanwhile, c.reads, c.writes)
	visible := slices.ContainsFunc(meanwhile, func(x exchange) bool {
		return x.status == 503 || c.delay > 0 && x.end.Sub(x.began) >= c.delay
	})
	require.Equal(t, slices.Contains(c.writes, 503), visible, "the fault must show in statuses or latency if, and only if, it may")
	requireStatuses(t, "from the fault to the recovery", sc.log.between(injected, recovered), mayFail, mayFail)
	requireStatuses(t, "after the recovery", sc.log.between(recovered, time.Time{}), succeeds, append([]int{409}, succeeds...))
	requireWithin(t, c.maxLatency, sc.log.between(time.Time{}, time.Time{}))
	c.requireReadiness(t, sc.probeLog.between(injected, healing))
}

// during returns the exchanges that began and ended in this period, and requires reads and writes
// among them.
func during(t *testing.T, log *exchangeLog, from, to time.Time) (found []exchange) {
	t.Helper()
	for _, x := range log.between(from, to) {
		if x.end.Before(to) {
			found = append(found, x)
		}
	}
	for _, write := range []bool{false, true} {
		require.True(t, slices.ContainsFunc(found, func(x exchange) bool { return x.write == write }), "no exchange in this period with write = %v", write)
	}
	return found
}

// requireReadiness requires the documented status of /readyz during the fault. Once it is 503, it
// must stay so.
func (c fault) requireReadiness(t *testing.T, replies []readiness) {
	t.Helper()
	if c.ready == 503 {
		replies = replies[max(0, slices.IndexFunc(replies, func(r readiness) bool { return r.status == 503 })):]
	}
	require.NotEmpty(t, replies)
	for _, r := range replies {
		if c.ready != 0 {
			require.Equal(t, c.ready, r.status, r.body)
		}
		if r.status == 503 {
			require.Contains(t, r.body, `"reason":"database"`)
		}
	}
}

// cutConnections ends all connections every 500 ms.
func cutConnections(t *testing.T, sc *scenario) func() {
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

// takeAllConnections ends the service's sessions and opens connections until it holds every
// connection of Postgres. It counts them: a refused connection does not prove that it holds all,
// since a session that is starting or ending occupies a connection but is in no list.
func takeAllConnections(t *testing.T, sc *scenario) func() {
	admin := sc.db.Connect(t)
	var places int // connections except for those of superusers, who stay connected
	require.NoError(t, admin.QueryRow(t.Context(), `
		SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - count(*)
		FROM pg_stat_activity JOIN pg_roles ON rolname = usename WHERE rolsuper AND backend_type = 'client backend'`).Scan(&places))
	var held []*pgx.Conn
	pids := []uint32{}
	eventually(t, 30*time.Second, "holding every connection", func() bool {
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

// fillDisk fills the disk that holds the data.
func fillDisk(t *testing.T, sc *scenario) func() {
	ballast := filepath.Join(sc.db.Folder, "disk", "ballast")
	file, err := os.Create(ballast)
	require.NoError(t, err)
	for block := make([]byte, 4<<10); err == nil; {
		_, err = file.Write(block)
	}
	require.NoError(t, file.Close())
	return func() { require.NoError(t, os.Remove(ballast)) }
}

// holdLock runs a statement that takes locks, and holds them.
func holdLock(t *testing.T, db *storetest.Breakable, statement string, args ...any) func() {
	conn := db.Connect(t)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
	return func() { require.NoError(t, conn.Close(context.Background())) }
}

// crowdOut makes another merchant's clients wait for locked rows. There are far more clients than
// connections.
func crowdOut(t *testing.T, sc *scenario) func() {
	crowd := sc.db.Merchant(t, "Crowd")
	ids := sc.db.Fill(t, crowd, 40)
	unlock := holdLock(t, sc.db, "SELECT FROM customers WHERE merchant_id = $1 FOR UPDATE", crowd.ID)
	stopped := make(chan struct{})
	log := &exchangeLog{}
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
	eventually(t, 10*time.Second, "a refusal of the other merchant's requests", func() bool { return len(log.between(time.Time{}, time.Time{})) > 0 })
	return func() {
		requireStatuses(t, "for the other merchant while its rows are locked", log.between(time.Time{}, time.Time{}), nil, []int{429, 503})
		unlock()
		close(stopped)
		busy.Wait()
		t.Log("the other merchant: ", summary(log.between(time.Time{}, time.Time{})))
		require.Empty(t, log.violations())
	}
}
