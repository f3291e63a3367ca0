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

// record is what a writer knows of one customer. Once the outcome of a write is unknown it writes no more to that
// customer, so that at most one write's outcome is.
type record struct {
	email   string
	created verdict
	retried bool    // the create, with the same address
	version int     // the last one acknowledged
	tried   int     // a later one whose outcome is unknown
	deleted verdict // missing when nobody asked for it
}

// ledger is what writers were told, to be compared with what is there afterwards.
type ledger struct {
	mu         sync.Mutex
	records    map[string]*record
	complaints []string
	writes     int // acknowledged
}

func (l *ledger) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.complaints) == 5 { // which stand for all of them
		return
	}
	l.complaints = append(l.complaints, fmt.Sprintf(format, args...))
}

// versioned are the fields of a customer at a version, several of them, so that half a write shows.
func versioned(version int) map[string]any {
	v := strconv.Itoa(version)
	return map[string]any{"name": "Name " + v, "userId": "user-" + v, "billingCity": "City " + v, "taxId": "tax-" + v}
}

// writers are clients that create, update and delete until they are stopped, and keep the ledger.
type writers struct {
	ledger
	stopped chan struct{}
	busy    sync.WaitGroup
}

// startWriters has n writers begin.
func startWriters(t testing.TB, n int, url string, m storetest.Merchant, log *tally) *writers {
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

// stop returns when what is under way has been answered.
func (w *writers) stop() {
	close(w.stopped)
	w.busy.Wait()
}

// life is that of one customer.
func (w *writers) life(ctx context.Context, c *caller, r *record, turn int) {
	input := versioned(0)
	input["email"] = r.email
	var id string
	for {
		var created person
		r.created, created = c.create(ctx, input)
		id = created.ID
		if r.created == done {
			w.acknowledged()
		}
		if r.created != unknown || w.isStopped() {
			break
		}
		r.retried = true
		time.Sleep(20 * time.Millisecond) // as a client does that was told to come back
	}
	if r.created == missing || r.created == taken && !r.retried {
		w.complain("%s: nobody has that address, and the create is %v", r.email, r.created)
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
			w.complain("%s: an update is %v", r.email, o)
			return
		}
	}
	if turn%3 == 0 {
		if r.deleted = c.remove(ctx, id); r.deleted == done {
			w.acknowledged()
		} else if r.deleted != unknown {
			w.complain("%s: the deletion is %v", r.email, r.deleted)
		}
	}
}

// awaitMore returns when so many more writes have been acknowledged.
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

// stored is a row.
type stored struct {
	deleted bool
	version int // -1 when its fields are not all of one version
}

// compare holds the rows to the ledger: what was acknowledged is there, the rest is there whole or not at all, nothing
// twice. It returns how many customers there are of which the outcome of a write is unknown.
func (w *writers) compare(t testing.TB, db *storetest.Breakable, m storetest.Merchant) (uncertain int) {
	t.Helper()
	rows := readRows(t, db, m)
	for email := range rows {
		if w.records[email] == nil {
			w.complain("%s: nobody created it", email)
		}
	}
	for _, email := range slices.Sorted(maps.Keys(w.records)) {
		r := w.records[email]
		if r.created == unknown || r.retried || r.tried != 0 || r.deleted == unknown {
			uncertain++
		}
		if fault := r.fault(rows[email]); fault != "" {
			w.complain("%s: %s; known %+v; stored %+v", email, fault, *r, rows[email])
		}
	}
	require.Empty(t, w.complaints)
	t.Logf("%d customers, %d acknowledged writes, %d customers of unknown outcome: nothing lost, halved or doubled", len(w.records), w.writes, uncertain)
	require.Positive(t, w.writes)
	return uncertain
}

// fault is what is wrong with the rows of an address, "" when nothing is.
func (r *record) fault(rows []stored) string {
	switch {
	case len(rows) > 1:
		return "it is there more than once"
	case len(rows) == 0 && (r.created == done || r.created == taken):
		return "it was acknowledged and is lost"
	case len(rows) == 0:
		return ""
	}
	row := rows[0]
	switch {
	case row.version != r.version && (r.tried == 0 || row.version != r.tried):
		return "its fields are not those of the last write"
	case row.deleted && r.deleted != done && r.deleted != unknown:
		return "it is deleted"
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

// The comparison itself finds what it is there to find.
func TestFaultsLedgerFindsWhatIsLost(t *testing.T) {
	t.Parallel()
	acked := record{email: "a", created: done, version: 2, deleted: missing}
	for name, test := range map[string]struct {
		r    record
		rows []stored
	}{
		"a lost create":                   {acked, nil},
		"a lost update":                   {acked, []stored{{version: 1}}},
		"half an update":                  {acked, []stored{{version: -1}}},
		"a doubled create":                {record{created: done, retried: true, deleted: missing}, []stored{{}, {}}},
		"a deletion that nobody asked":    {acked, []stored{{version: 2, deleted: true}}},
		"a lost deletion":                 {record{created: done, deleted: done}, []stored{{}}},
		"an update that was not sent":     {record{created: done, version: 1, tried: 2, deleted: missing}, []stored{{version: 3}}},
		"a create that was met and lost":  {record{created: taken, retried: true, deleted: missing}, nil},
		"an update undone by one unknown": {record{created: done, version: 1, tried: 2, deleted: missing}, []stored{{version: 0}}},
	} {
		require.NotEmpty(t, test.r.fault(test.rows), name)
	}
	for name, test := range map[string]struct {
		r    record
		rows []stored
	}{
		"what was acknowledged": {acked, []stored{{version: 2}}}, "an unknown create that was not": {record{created: unknown, deleted: missing}, nil},
		"one that was": {record{created: unknown, deleted: missing}, []stored{{}}}, "an unknown update that was": {record{created: done, version: 1, tried: 2, deleted: missing}, []stored{{version: 2}}},
		"one that was not": {record{created: done, version: 1, tried: 2, deleted: missing}, []stored{{version: 1}}},
	} {
		require.Empty(t, test.r.fault(test.rows), name)
	}
}

func TestFaultsNothingIsLostWhenTheServiceIsKilled(t *testing.T) {
	t.Parallel()
	requireNothingIsLost(t, rounds(2, 50), func(_ *storetest.Breakable, s *service) {
		s.kill(t)
		s.start(t)
	})
}

func TestFaultsNothingIsLostWhenPostgresIsKilled(t *testing.T) {
	t.Parallel()
	requireNothingIsLost(t, rounds(1, 20), func(db *storetest.Breakable, _ *service) {
		db.Kill()
		db.Start()
	})
}

// requireNothingIsLost kills under load, some times. Whatever is killed, and whenever: what was acknowledged
// is there (I4), and a write is whole or not at all.
func requireNothingIsLost(t *testing.T, times int, kill func(*storetest.Breakable, *service)) {
	t.Helper()
	db := storetest.NewBreakable(t, storetest.BreakableOptions{})
	m := db.Merchant(t, "Killed")
	s := startService(t, db.AppURL())
	log := &tally{}
	w := startWriters(t, 8, s.url, m, log)
	for range times {
		w.awaitMore(t, 40)
		kill(db, s)
	}
	w.awaitMore(t, 40)
	w.stop()
	t.Log(summary(log.between(time.Time{}, time.Time{})))
	require.Empty(t, log.complaints())
	require.True(t, s.runs(), "the service ended")
	require.Positive(t, w.compare(t, db, m), "writes under way when it was killed")
}
