package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// changed is a reply to a list with updatedSince.
type changed struct {
	Customers   []struct{ ID, UpdatedAt string }
	NextCursor  *string
	SyncedUntil string
}

// follower is a client that polls for changes, with the ids that it has read.
type follower struct {
	d     *harness.Server
	m     storetest.Merchant
	since string
	seen  map[string]bool
	// naive makes the next poll start at the newest updatedAt instead of syncedUntil.
	naive bool
}

// poll reads all changes, in one list if limit is 0 and otherwise in pages.
func (f *follower) poll(t *testing.T, limit int) {
	query := url.Values{"updatedSince": {f.since}, "includeDeleted": {"true"}}
	if limit > 0 {
		query.Set("limit", fmt.Sprint(limit))
	}
	var first changed
	for page := 0; ; page++ {
		r := f.d.Send(t, f.m.WriteKey, "GET", "/api/customers?"+query.Encode(), "")
		require.Equal(t, http.StatusOK, r.Status, r.Body)
		var got changed
		require.NoError(t, json.Unmarshal([]byte(r.Body), &got))
		if page == 0 {
			first = got
		}
		require.Equal(t, first.SyncedUntil, got.SyncedUntil, "every page must repeat syncedUntil of the first")
		for _, c := range got.Customers {
			f.seen[c.ID] = true
			if f.naive && c.UpdatedAt > f.since {
				f.since = c.UpdatedAt
			}
		}
		if got.NextCursor == nil {
			break
		}
		query.Set("cursor", *got.NextCursor)
	}
	if !f.naive {
		f.since = first.SyncedUntil
	}
}

// TestPollingMissesNoChange polls while four writers commit up to 5 s after their rows got
// updatedAt. A client that continues from syncedUntil must miss no row. As a control, a client that
// continues from the newest updatedAt must miss some, which shows that the writers are late enough.
func TestPollingMissesNoChange(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Synced")
	const writers, rounds = 4, 3
	written := make([][]string, writers)
	var writing sync.WaitGroup
	for writer := range writers {
		conn, err := pgx.Connect(t.Context(), d.SuperuserURL())
		require.NoError(t, err)
		writing.Go(func() {
			defer func() { _ = conn.Close(t.Context()) }()
			for round := range rounds {
				for i := range 10 { // the last one commits late
					id := fmt.Sprintf("cust_%d_%d_%d", writer, round, i)
					tx, err := conn.Begin(t.Context())
					if err == nil {
						_, err = tx.Exec(t.Context(), `INSERT INTO customers (merchant_id, id, email, email_key, email_shared, search_key, created_at, updated_at)
							SELECT $1, $2, $2 || '@example.com', $2 || '@example.com', false, '', now, now
							FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS now) AS clock`, m.ID, id)
					}
					if i == 9 {
						time.Sleep(time.Duration(1+rand.IntN(4000)) * time.Millisecond * time.Duration(min(round, 1)))
						if round == 0 && writer == 0 {
							time.Sleep(5 * time.Second)
						}
					}
					if err == nil {
						err = tx.Commit(t.Context())
					}
					if err != nil {
						t.Errorf("write: %v", err)
						return
					}
					written[writer] = append(written[writer], id)
				}
			}
		})
	}
	const longAgo = "2020-01-01T00:00:00.000Z"
	right := &follower{d: d, m: m, since: longAgo, seen: map[string]bool{}}
	naive := &follower{d: d, m: m, since: longAgo, seen: map[string]bool{}, naive: true}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	for i, writing := 0, true; writing; i++ {
		select {
		case <-done:
			writing = false // poll once more after the last commit
		case <-time.After(50 * time.Millisecond):
		}
		right.poll(t, []int{0, 7}[i%2])
		naive.poll(t, 0)
	}
	lost := 0
	for _, ids := range written {
		for _, id := range ids {
			require.True(t, right.seen[id], "%s was missed", id)
			if !naive.seen[id] {
				lost++
			}
		}
	}
	require.NotZero(t, lost, "the naive client must miss a row, or the writers are not late")
	require.Less(t, right.since, time.Now().UTC().Add(-14*time.Second).Format("2006-01-02T15:04:05.000Z"))
	require.Greater(t, right.since, time.Now().UTC().Add(-20*time.Second).Format("2006-01-02T15:04:05.000Z"))
}

// TestSyncedUntilIsInListsOfChanges checks that only lists with updatedSince have syncedUntil. With
// a cursor that does not state when its list began, such as one of an earlier release, syncedUntil
// must equal updatedSince, so that the client cannot skip changes.
func TestSyncedUntilIsInListsOfChanges(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Synced")
	for range 3 {
		d.Create(t, m, `{"email":"`+harness.FreshEmail()+`"}`)
	}
	const since = "2020-01-01T01:00:00%2B01:00"
	for query, want := range map[string]bool{
		"": false, "?limit=2": false, "?includeDeleted=true": false, "?updatedSince=" + since: true,
		"?limit=2&updatedSince=" + since: true, "?limit=2&updatedSince=2999-01-01T00:00:00Z": true,
	} {
		r := d.Send(t, m.WriteKey, "GET", "/api/customers"+query, "")
		require.Equal(t, http.StatusOK, r.Status, r.Body)
		require.Equal(t, want, json.Valid([]byte(r.Body)) && jsonHas(t, r.Body, "syncedUntil"), query)
	}
	var page changed
	r := d.Send(t, m.WriteKey, "GET", "/api/customers?limit=2", "")
	require.NoError(t, json.Unmarshal([]byte(r.Body), &page))
	r = d.Send(t, m.WriteKey, "GET", "/api/customers?limit=2&updatedSince="+since+"&cursor="+*page.NextCursor, "")
	require.NoError(t, json.Unmarshal([]byte(r.Body), &page))
	require.Equal(t, "2020-01-01T00:00:00.000Z", page.SyncedUntil)
}

func jsonHas(t *testing.T, object, key string) bool {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(object), &members))
	return members[key] != nil
}

// TestFollowingMissesNoChange follows the log while four writers write, and while other sessions hold
// locks on their rows and on the merchant's head, which delays the commits. The follower must see
// each acknowledged write once, and its copy must be the stored rows.
func TestFollowingMissesNoChange(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Followed")
	var ids []string
	for i := range 6 {
		ids = append(ids, d.Create(t, m, fmt.Sprintf(`{"email":"c%d@x.io"}`, i)))
	}
	start := feed(t, d, m.ReadKey, "after=now").NextCursor
	done := make(chan struct{})
	var holding, writing sync.WaitGroup
	for _, lock := range []string{
		`SELECT FROM customers WHERE merchant_id = $1 ORDER BY random() LIMIT 1 FOR UPDATE`, `SELECT FROM merchant_heads WHERE merchant_id = $1 FOR UPDATE`,
	} {
		conn, err := pgx.Connect(t.Context(), d.SuperuserURL())
		require.NoError(t, err)
		holding.Go(func() {
			defer func() { _ = conn.Close(context.Background()) }()
			for {
				select {
				case <-done:
					return
				default:
				}
				tx, err := conn.Begin(t.Context())
				if err == nil {
					_, err = tx.Exec(t.Context(), lock, m.ID)
				}
				time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
				if err == nil {
					err = tx.Rollback(t.Context())
				}
				if err != nil {
					t.Errorf("lock: %v", err)
					return
				}
			}
		})
	}
	var mu sync.Mutex
	acknowledged := map[string]string{} // the field of each acknowledged write, by customer and version
	for w := range 4 {
		writing.Go(func() {
			for n := range 12 {
				id, taxID := ids[rand.IntN(len(ids))], fmt.Sprintf("%d-%d", w, n)
				r := d.Send(t, m.WriteKey, "PATCH", "/api/customers/"+id, `{"taxId":"`+taxID+`"}`)
				if r.Status == 200 {
					mu.Lock()
					acknowledged[id+" "+r.Header.Get("ETag")] = taxID
					mu.Unlock()
				}
			}
		})
	}
	go func() { writing.Wait(); close(done) }()

	seen, copied, last := map[string]string{}, map[string]any{}, int64(len(ids))
	for after, ended := start, false; ; {
		select {
		case <-done:
			ended = true
		default:
		}
		page := feed(t, d, m.ReadKey, query(5, 1, after))
		after = page.NextCursor
		for _, c := range page.Changes {
			require.Equal(t, last+1, c.Sequence)
			last = c.Sequence
			seen[fmt.Sprintf("%s \"%d\"", *c.CustomerID, c.Version)] = fmt.Sprint(c.Customer["taxId"])
			copied[*c.CustomerID] = c.Customer["taxId"]
		}
		if ended && len(page.Changes) == 0 {
			break
		}
	}
	holding.Wait()
	require.Greater(t, len(acknowledged), 20)
	for write, taxID := range acknowledged {
		require.Equal(t, taxID, seen[write], write)
	}
	for id, taxID := range copied {
		require.Equal(t, []string{fmt.Sprint(taxID)}, d.Lines(t, "SELECT tax_id FROM customers WHERE id = $1", id))
	}
}
