//go:build faults

package faults

import (
	"testing"
	"time"

	"lumen/store/storetest"
)

// TestFaultsPostgresRestarts restarts Postgres under load, both with a clean shutdown and without.
// While it is away requests may get 503 but never 500, and within 2 s of its return all requests
// must succeed again.
func TestFaultsPostgresRestarts(t *testing.T) {
	t.Parallel()
	sc := newScenario(t, storetest.BreakableOptions{})
	sc.begin(t)
	slowest := time.Duration(0)
	for round := range rounds(2, 20) {
		sc.writers.awaitMore(t, 20)
		mode := []string{"fast", "immediate"}[round%2]
		went := time.Now()
		sc.db.Stop(mode)
		red := sc.s.awaitReadiness(t, 503, 3*time.Second)
		sc.db.Start()
		back := time.Now()
		recovered := sc.awaitRecovery(t, 2*time.Second)
		slowest = max(slowest, time.Since(back))
		asBefore := time.Now()
		time.Sleep(time.Second) // let the clients send requests after the recovery
		sc.writers.awaitMore(t, 20)
		requireStatuses(t, "after the recovery", sc.log.between(asBefore, time.Time{}), succeeds, append([]int{409}, succeeds...))
		late := 0
		for _, x := range sc.log.between(back, asBefore) {
			if x.status == 503 {
				late++
			}
		}
		t.Logf("%s, away for %v: not ready after %v; %s; %d requests failed that began after its return",
			mode, back.Sub(went).Round(time.Millisecond), red.Round(time.Millisecond), recovered, late)
	}
	all := sc.log.between(time.Time{}, time.Time{})
	t.Logf("%s; slowest recovery %v", summary(all), slowest.Round(time.Millisecond))
	requireStatuses(t, "around a restart", all, mayFail, mayFail)
	requireWithin(t, 3*time.Second, all)
	sc.end(t)
}
