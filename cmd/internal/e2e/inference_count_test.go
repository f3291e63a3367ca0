//go:build heavy || long

package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// The time of a total does not tell a merchant how many customers the others have: it is the same
// beside small neighbors and beside neighbors three times as large. The same count with a plan that
// is made for any merchant does tell, which shows that the test sees what it looks for.
func TestCountTiming(t *testing.T) {
	const own = 1228
	tries, most, attempts, neighbors := 400, 0.6, 3, 20_000
	if storetest.Long() {
		tries, most, attempts, neighbors = 2000, 0.55, 1, 100_000
	}
	type shop struct {
		stopwatch
		storetest.Merchant
		generic *pgx.Conn
	}
	var shops [2]shop // beside small neighbors, beside large ones
	for i, size := range []int{neighbors, 3 * neighbors} {
		d := harness.Serve(t)
		for range 2 {
			d.Fill(t, d.Merchant(t, "Neighbor"), size)
		}
		m := d.Merchant(t, "Small")
		d.Fill(t, m, own)
		shops[i] = shop{newStopwatch(t, d), m, preparedCount(t, d, m)}
	}
	total := func(s shop) time.Duration {
		return s.time(t, s.ReadKey, `{"query":"{customers(first:1){totalCount}}"}`, `{"data":{"customers":{"totalCount":1228}}`)
	}
	generic := func(s shop) time.Duration {
		start := time.Now()
		var n int
		require.NoError(t, s.generic.QueryRow(t.Context(), "counting", s.ID).Scan(&n))
		require.Equal(t, own, n)
		return time.Since(start)
	}
	measure := func(tries int, count func(shop) time.Duration) float64 {
		var times [2][]time.Duration
		for range tries {
			for _, i := range rand.Perm(2) {
				times[i] = append(times[i], count(shops[i]))
			}
		}
		area := auc(times[0], times[1])
		return max(area, 1-area)
	}
	for attempt := 1; ; attempt++ {
		told, control := measure(tries, total), measure(50, generic)
		t.Logf("AUC of totals %.3f, with a generic plan %.3f", told, control)
		if told <= most && control >= 0.7 {
			return
		}
		require.Less(t, attempt, attempts, "of totals at most %.2f, with a generic plan at least 0.7", most)
	}
}

// preparedCount returns a connection on which the statement "counting" counts a merchant's
// customers by a generic plan.
func preparedCount(t *testing.T, d *harness.Server, m storetest.Merchant) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.AppURL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	_, err = conn.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan; SET lumen.merchant_id = '"+m.ID+"'")
	require.NoError(t, err)
	_, err = conn.Prepare(t.Context(), "counting", "SELECT count(*) FROM customers AS c WHERE c.merchant_id = $1 AND c.deleted_at IS NULL")
	require.NoError(t, err)
	return conn
}
