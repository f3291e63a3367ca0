//go:build faults

package faults

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// record is what a writer knows about one customer. After a write of unknown outcome the writer
// does not write to that customer again, so that at most one outcome is unknown.
type record struct {
	email   string
	created verdict
	retried bool    // whether the create was repeated with the same address
	version int     // the last acknowledged version
	tried   int     // a later version whose outcome is unknown, or 0
	deleted verdict // missing if no delete was sent
}

// ledger records the replies to writers, to be compared with the rows afterwards.
type ledger struct {
	mu         sync.Mutex
	records    map[string]*record
	violations []string
	writes     int // acknowledged
}

func (l *ledger) report(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.violations) == 5 { // five are enough
		return
	}
	l.violations = append(l.violations, fmt.Sprintf(format, args...))
}

// versioned returns the fields of a customer at a version. A write sets several fields, so that a
// partial write is visible.
func versioned(version int) map[string]any {
	v := strconv.Itoa(version)
	return map[string]any{"name": "Name " + v, "userId": "user-" + v, "billingCity": "City " + v, "taxId": "tax-" + v}
}

// writers are clients that create, update and delete customers until they are stopped, and keep the
// ledger.
type writers struct {
	ledger
	stopped chan struct{}
	busy    sync.WaitGroup
}

// startWriters starts n writers.
func startWriters(t testing.TB, n int, url string, m storetest.Merchant, log *exchangeLog) *writers {
	w := &writers{ledger: ledger{records: map[string]*record{}}, stopped: make(chan struct{})}
	ctx := context.WithoutCancel(t.Context())
	for i := range n {
		w.busy.Go(func() {
			c := newCaller(url, m.WriteKey, log)
			defer c.close()
			for turn := 0; !w.isStopped(); turn++ {
				r := &record{email: fmt.Sprintf("writer%d.%d@example.com", i, turn), deleted: missing}
				w.life(ctx, c, r, turn)
				w.mu.Lock()
				w.records[r.email] = r
				w.mu.Unlock()
			}
		})
	}
	return w
}

func (w *writers) isStopped() bool {
	select {
	case <-w.stopped:
		return true
	default:
		return false
	}
}

// stop stops the writers and returns when their last requests have been answered.
func (w *writers) stop() {
	close(w.stopped)
	w.busy.Wait()
}

// life creates a customer, updates it, and deletes every third one.
func (w *writers) life(ctx context.Context, c *caller, r *record, turn int) {
	input := versioned(0)
	input["email"] = r.email
	var id string
	for {
		var created customer
		r.created, created = c.create(ctx, input)
		id = created.ID
		if r.created == done {
			w.acknowledged()
		}
		if r.created != unknown || w.isStopped() {
			break
		}
		r.retried = true
		time.Sleep(20 * time.Millisecond) // as a client does after Retry-After
	}
	if r.created == missing || r.created == taken && !r.retried {
		w.report("%s: the address is free, but the create is %v", r.email, r.created)
	}
	if r.created != done || r.retried {
		return
	}
	for version := range 1 + turn%3 {
		version++
		switch o, _ := c.update(ctx, id, versioned(version)); o {
		case done:
			w.acknowledged()
			r.version = version
		case unknown:
			r.tried = version
			return
		default:
			w.report("%s: an update is %v", r.email, o)
			return
		}
	}
	if turn%3 == 0 {
		if r.deleted = c.remove(ctx, id); r.deleted == done {
			w.acknowledged()
		} else if r.deleted != unknown {
			w.report("%s: the deletion is %v", r.email, r.deleted)
		}
	}
}

// awaitMore waits until n more writes have been acknowledged.
func (w *writers) awaitMore(t testing.TB, n int) {
	t.Helper()
	count := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.writes
	}
	wanted := count() + n
	eventually(t, time.Minute, "acknowledged writes", func() bool { return count() >= wanted })
}

func (w *writers) acknowledged() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
}

// stored is a row of the database.
type stored struct {
	deleted bool
	version int // -1 if its fields are of different versions
}

// compare requires that the rows match the ledger: each acknowledged write is stored, each other
// write is stored completely or not at all, and no customer exists twice. It returns the number of
// customers with a write of unknown outcome.
func (w *writers) compare(t testing.TB, db *storetest.Breakable, m storetest.Merchant) (uncertain int) {
	t.Helper()
	rows := readRows(t, db, m)
	for email := range rows {
		if w.records[email] == nil {
			w.report("%s: no writer created it", email)
		}
	}
	for _, email := range slices.Sorted(maps.Keys(w.records)) {
		r := w.records[email]
		if r.created == unknown || r.retried || r.tried != 0 || r.deleted == unknown {
			uncertain++
		}
		if fault := r.fault(rows[email]); fault != "" {
			w.report("%s: %s; ledger %+v; stored %+v", email, fault, *r, rows[email])
		}
	}
	require.Empty(t, w.violations)
	t.Logf("%d customers, %d acknowledged writes, %d customers of unknown outcome: no lost, partial or duplicate write", len(w.records), w.writes, uncertain)
	require.Positive(t, w.writes)
	return uncertain
}

// fault returns how the rows of an address differ from the record, or "".
func (r *record) fault(rows []stored) string {
	switch {
	case len(rows) > 1:
		return "it exists more than once"
	case len(rows) == 0 && (r.created == done || r.created == taken):
		return "its create was acknowledged and is lost"
	case len(rows) == 0:
		return ""
	}
	row := rows[0]
	switch {
	case row.version != r.version && (r.tried == 0 || row.version != r.tried):
		return "its fields are not those of the last write"
	case row.deleted && r.deleted != done && r.deleted != unknown:
		return "it is deleted without a request"
	case !row.deleted && r.deleted == done:
		return "its deletion is lost"
	}
	return ""
}

func readRows(t testing.TB, db *storetest.Breakable, m storetest.Merchant) map[string][]stored {
	t.Helper()
	conn := db.Connect(t)
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), `SELECT email, deleted_at IS NOT NULL, name, user_id, billing_city, tax_id
		FROM customers WHERE merchant_id = $1 AND email LIKE 'writer%'`, m.ID)
	require.NoError(t, err)
	found := map[string][]stored{}
	for rows.Next() {
		var email, name, userID, city, taxID string
		var s stored
		require.NoError(t, rows.Scan(&email, &s.deleted, &name, &userID, &city, &taxID))
		s.version = -1
		if _, err := fmt.Sscanf(name, "Name %d", &s.version); err == nil {
			want := versioned(s.version)
			if want["name"] != name || want["userId"] != userID || want["billingCity"] != city || want["taxId"] != taxID {
				s.version = -1
			}
		}
		found[email] = append(found[email], s)
	}
	require.NoError(t, rows.Err())
	return found
}

// TestFaultsLedgerDetectsLostWrites checks the comparison itself: it must detect each kind of lost,
// partial and duplicate write, and accept each legal outcome.
func TestFaultsLedgerDetectsLostWrites(t *testing.T) {
	t.Parallel()
	acked := record{email: "a", created: done, version: 2, deleted: missing}
	for name, test := range map[string]struct {
		r    record
		rows []stored
	}{
		"a lost create":                              {acked, nil},
		"a lost update":                              {acked, []stored{{version: 1}}},
		"a partial update":                           {acked, []stored{{version: -1}}},
		"a duplicate create":                         {record{created: done, retried: true, deleted: missing}, []stored{{}, {}}},
		"a deletion without a request":               {acked, []stored{{version: 2, deleted: true}}},
		"a lost deletion":                            {record{created: done, deleted: done}, []stored{{}}},
		"an update that was not sent":                {record{created: done, version: 1, tried: 2, deleted: missing}, []stored{{version: 3}}},
		"a conflicting create that is lost":          {record{created: taken, retried: true, deleted: missing}, nil},
		"an update undone by one of unknown outcome": {record{created: done, version: 1, tried: 2, deleted: missing}, []stored{{version: 0}}},
	} {
		require.NotEmpty(t, test.r.fault(test.rows), name)
	}
	for name, test := range map[string]struct {
		r    record
		rows []stored
	}{
		"acknowledged writes": {acked, []stored{{version: 2}}}, "an unknown create that did not happen": {record{created: unknown, deleted: missing}, nil},
		"an unknown create that happened": {record{created: unknown, deleted: missing}, []stored{{}}}, "an unknown update that happened": {record{created: done, version: 1, tried: 2, deleted: missing}, []stored{{version: 2}}},
		"an unknown update that did not happen": {record{created: done, version: 1, tried: 2, deleted: missing}, []stored{{version: 1}}},
	} {
		require.Empty(t, test.r.fault(test.rows), name)
	}
}

// TestFaultsNoWriteIsLostWhenTheServiceIsKilled kills the service with SIGKILL under load.
func TestFaultsNoWriteIsLostWhenTheServiceIsKilled(t *testing.T) {
	t.Parallel()
	requireNoWriteIsLost(t, rounds(2, 50), func(_ *storetest.Breakable, s *service) {
		s.kill(t)
		s.start(t)
	})
}

// TestFaultsNoWriteIsLostWhenPostgresIsKilled kills Postgres with SIGKILL under load.
func TestFaultsNoWriteIsLostWhenPostgresIsKilled(t *testing.T) {
	t.Parallel()
	requireNoWriteIsLost(t, rounds(1, 20), func(db *storetest.Breakable, _ *service) {
		db.Kill()
		db.Start()
	})
}

// requireNoWriteIsLost calls kill several times under load. Each acknowledged write must be stored
// afterwards (I4), and each other write must be stored completely or not at all.
func requireNoWriteIsLost(t *testing.T, times int, kill func(*storetest.Breakable, *service)) {
	t.Helper()
	db := storetest.NewBreakable(t, storetest.BreakableOptions{})
	m := db.Merchant(t, "Killed")
	s := startService(t, db.AppURL())
	log := &exchangeLog{}
	w := startWriters(t, 8, s.url, m, log)
	for range times {
		w.awaitMore(t, 40)
		kill(db, s)
	}
	w.awaitMore(t, 40)
	w.stop()
	t.Log(summary(log.between(time.Time{}, time.Time{})))
	require.Empty(t, log.violations())
	require.True(t, s.runs(), "the service ended")
	require.Positive(t, w.compare(t, db, m), "some writes must have been under way at a kill")
}
