//go:build long

package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// TestForeignIDsTakeAsLongAsAbsentOnes measures how long "not found" takes for absent ids, other
// merchants' ids and deleted ones. The time must not reveal that an id belongs to another merchant.
// The kinds are requested in turn, so that other load on the machine affects all of them. Only a
// difference of the medians of 50% or more fails the test; the log has the figures.
func TestForeignIDsTakeAsLongAsAbsentOnes(t *testing.T) {
	const samples = 2000
	d := harness.Serve(t)
	all := otherMerchants(t, d)
	a, b := all[0], all[1]
	d.Fill(t, a.Merchant, 20_000)
	for _, operation := range []struct {
		name string
		ask  func(id string) harness.Reply
	}{
		{"REST get", func(id string) harness.Reply { return d.Send(t, b.ReadKey, "GET", "/api/customers/"+id, "") }},
		{"REST update", func(id string) harness.Reply {
			return d.Send(t, b.WriteKey, "POST", "/api/customers/"+id, `{"name":"x"}`)
		}},
		{"GraphQL get", func(id string) harness.Reply { return d.GraphQL(t, b.ReadKey, operations["get"], `{"id":"`+id+`"}`) }},
	} {
		kinds := []struct{ name, id string }{{"absent", "cust_01hzzzzzzzzzzzzzzzzzzzzzzz"}, {"foreign", a.marked}, {"deleted", b.gone}}
		took := make([][]time.Duration, len(kinds))
		for n := range samples + 100 {
			for i := range kinds {
				i = (i + n) % len(kinds)
				start := time.Now()
				operation.ask(kinds[i].id)
				if n >= 100 { // the first 100 are a warm-up
					took[i] = append(took[i], time.Since(start))
				}
			}
		}
		median := func(i, part int) time.Duration {
			slices.Sort(took[i])
			return took[i][len(took[i])*part/100]
		}
		for i, kind := range kinds {
			difference := float64(median(i, 50))/float64(median(0, 50)) - 1
			t.Logf("%s, %s: median %v, quartiles %v and %v, difference of medians %+.1f %%", operation.name, kind.name, median(i, 50), median(i, 25), median(i, 75), 100*difference)
			require.InDelta(t, 0, difference, 0.5, "%s, %s", operation.name, kind.name)
		}
	}
}

// TestMerchantsInterleavedTenThousandTimes is the long form of TestMerchantsInterleaved.
func TestMerchantsInterleavedTenThousandTimes(t *testing.T) { runInterleaved(t, 420, 5*time.Minute) }
