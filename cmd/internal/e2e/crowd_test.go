package e2e

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// A merchant whose statements hang has what is left of its share, and no more of the pool: it is
// told so in both doors, and others notice nothing.
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
	all.Go(func() { // holds the whole share until it has waited long enough for the row
		r := d.Send(t, slow.WriteKey, "POST", "/api/customers/"+id, `{"name":"Crowd Name"}`)
		if r.Status != http.StatusServiceUnavailable {
			t.Errorf("the update: %d %s", r.Status, r.Body)
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
				t.Errorf("%s: %d %s after %v", name, r.Status, r.Body, waited)
			}
		})
	}
	for time.Since(begun) < 1500*time.Millisecond {
		require.Equal(t, http.StatusOK, d.Send(t, other.WriteKey, "GET", "/api/customers/"+others, "").Status)
	}
	all.Wait()
	require.Equal(t, http.StatusOK, d.Send(t, slow.WriteKey, "GET", "/api/customers/"+id, "").Status)
}
