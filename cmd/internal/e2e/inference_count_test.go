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

// TestCountTiming checks that a merchant cannot infer from the time of a total how many customers
// the other merchants have. The time must be the same beside small neighbors and beside neighbors
// three times as large. As a control, the same count with a generic plan must show the difference,
// so that the test is known to detect it.
func TestCountTiming(t *testing.T) {
	const own = 1228
	tries, maxAUC, attempts, neighbors := 400, 0.6, 3, 20_000
	if storetest.Long() {
		tries, maxAUC, attempts, neighbors = 2000, 0.55, 1, 100_000
	}
	type shop struct {
		stopwatch
		storetest.Merchant
		generic *pgx.Conn
	}
	var shops [2]shop // the first beside small neighbors, the second beside large ones
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
		leaked, control := measure(tries, total), measure(50, generic)
		t.Logf("AUC of totals %.3f, with a generic plan %.3f", leaked, control)
		if leaked <= maxAUC && control >= 0.7 {
			return
		}
		require.Less(t, attempt, attempts, "want an AUC of totals of at most %.2f, with a generic plan of at least 0.7", maxAUC)
	}
}

// preparedCount returns a connection with a prepared statement "counting", which counts a
// merchant's customers with a generic plan.
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
