//go:build faults

package faults

import (
	"testing"
	"time"

	"lumen/store/storetest"
)

// Postgres is restarted under load, in order and not: while it is away the answer is 503, never 500, and within two
// seconds of its return everything is as before.
func TestFaultsPostgresRestarts(t *testing.T) {
	t.Parallel()
	sc := newScene(t, storetest.BreakableOptions{})
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
		time.Sleep(time.Second) // what the clients go on to see
		sc.writers.awaitMore(t, 20)
		requireOnly(t, "once it has recovered", sc.log.between(asBefore, time.Time{}), fine, append([]int{409}, fine...))
		late := 0
		for _, x := range sc.log.between(back, asBefore) {
			if x.status == 503 {
				late++
			}
		}
		t.Logf("%s, away for %v: not ready after %v; %s; %d failed that began after its return",
			mode, back.Sub(went).Round(time.Millisecond), red.Round(time.Millisecond), recovered, late)
	}
	all := sc.log.between(time.Time{}, time.Time{})
	t.Logf("%s; slowest recovery %v", summary(all), slowest.Round(time.Millisecond))
	requireOnly(t, "around a restart", all, either, either)
	requireWithin(t, 3*time.Second, all)
	sc.end(t)
}
