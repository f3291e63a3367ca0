//go:build faults

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// Postgres is restarted under load, in order and not: while it is away the answer is 503, never 500, and within two
// seconds of its return everything is as before.
func TestFaultsPostgresRestarts(t *testing.T) {
	t.Parallel()
	sc := newScene(t, storetest.BreakableOptions{})
	sc.begin(t)
	failed, slowest := 0, time.Duration(0)
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
		sc.writers.awaitMore(t, 20)
		late := 0
		for _, x := range sc.log.between(back, time.Time{}) {
			if !x.write && x.verdict != done {
				late++
				if x.began.After(asBefore) {
					failed++
				}
			}
		}
		t.Logf("%s, away for %v: not ready after %v; %s; %d reads failed that began after its return",
			mode, back.Sub(went).Round(time.Millisecond), red.Round(time.Millisecond), recovered, late)
	}
	all := sc.log.between(time.Time{}, time.Time{})
	t.Logf("%s; %d reads failed once it had recovered; slowest recovery %v", summary(all), failed, slowest.Round(time.Millisecond))
	requireOnly(t, "around a restart", all, []int{200, 503}, []int{200, 201, 503})
	require.Zero(t, failed, "reads that failed after the recovery")
	sc.end(t)
}
