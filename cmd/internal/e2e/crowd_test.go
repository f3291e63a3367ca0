package e2e

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// TestOneMerchantDoesNotCrowdOutAnother blocks a statement of one merchant, whose limit is one
// concurrent statement. The merchant's other requests must be refused with 429 by both APIs, while
// another merchant's requests are served. It fails if one merchant can occupy the whole pool.
func TestOneMerchantDoesNotCrowdOutAnother(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, "--database-connections", "4", "--merchant-concurrency", "1")
	slow, other := d.Merchant(t, "Slow"), d.Merchant(t, "Other")
	id, others := d.Create(t, slow, `{"email":"crowd-one@example.com"}`), d.Create(t, other, `{"email":"crowd-two@example.com"}`)
	tx, err := d.Superuser().Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = tx.Exec(t.Context(), "SELECT FROM customers WHERE id = $1 FOR UPDATE", id)
	require.NoError(t, err)

	var all sync.WaitGroup
	begun := time.Now()
	all.Go(func() { // takes the merchant's one slot until the wait for the row times out
		r := d.Send(t, slow.WriteKey, "POST", "/api/customers/"+id, `{"name":"Crowd Name"}`)
		if r.Status != http.StatusServiceUnavailable {
			t.Errorf("the blocked update: got %d %s, want 503", r.Status, r.Body)
		}
	})
	require.Eventually(t, func() bool {
		return len(d.Lines(t, "SELECT 'x' FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")) > 0
	}, time.Second, time.Millisecond)
	for name, ask := range map[string]func() harness.Reply{
		"REST":    func() harness.Reply { return d.Send(t, slow.WriteKey, "GET", "/api/customers/"+id, "") },
		"GraphQL": func() harness.Reply { return d.GraphQL(t, slow.WriteKey, `{customers{nodes{id}}}`, nil) },
	} {
		all.Go(func() {
			began := time.Now()
			r := ask()
			if waited := time.Since(began); r.Status != http.StatusTooManyRequests || r.Header.Get("Retry-After") != "1" || waited < 900*time.Millisecond {
				t.Errorf("%s: got %d %s after %v, want 429 after 900 ms or more", name, r.Status, r.Body, waited)
			}
		})
	}
	for time.Since(begun) < 1500*time.Millisecond {
		require.Equal(t, http.StatusOK, d.Send(t, other.WriteKey, "GET", "/api/customers/"+others, "").Status)
	}
	all.Wait()
	require.Equal(t, http.StatusOK, d.Send(t, slow.WriteKey, "GET", "/api/customers/"+id, "").Status)
}
