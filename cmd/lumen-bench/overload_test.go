//go:build long

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The requirements while the load is three times the peak, and afterwards.
const (
	floodTimes    = 3
	clientWaits   = time.Second           // a later reply is of no use
	mustKeep      = 0.8                   // of the peak
	refusedWithin = 50 * time.Millisecond // p99
	// recoveredWithin is the time after a flood within which the server has to answer half the peak
	// as before: every request, with a p99 of at most one and a half times the earlier one.
	recoveredWithin = 5 * time.Second
)

// The peak is the rate of replies to clients that each wait for their reply. The flood comes from
// many more clients that do not wait. The clients have a processor of their own.
func TestOverload(t *testing.T) {
	f := newField(t)
	for _, of := range []struct {
		name string
		next func(requests) requests
	}{
		{"all merchants", func(q requests) requests { return q }},
		{"one merchant", func(q requests) requests { return q.only(f.merchants[0]) }},
	} {
		t.Run(of.name, func(t *testing.T) {
			lumen := f.serve(t)
			apart(t, lumen)
			next := of.next(requests{lumen, f.database}).mix()
			g := generate(t, lumen, 2048, next)
			var peaks, kept []float64
			var refused []time.Duration
			for range either(5, 1) {
				peak := g.press(t.Context(), next, peakClients, either(5*time.Second, time.Second/2))
				require.NoError(t, peak.failures())
				peaks = append(peaks, peak.goodput(clientWaits))
				share, wait := flood(t, lumen, g, next, peaks[len(peaks)-1])
				kept, refused = append(kept, share), append(refused, wait)
			}
			bar(t, median(kept) >= mustKeep, "goodput is %.2f of the peak, not %.2f", median(kept), mustKeep)
			bar(t, median(refused) <= refusedWithin, "refusals take %v, not %v", median(refused), refusedWithin)
			recovers(t, g, next, median(peaks))
		})
	}
}

// flood offers more than the server can answer. It returns the share of the peak that the server
// answered, and the p99 of the refusals.
func flood(t *testing.T, lumen *server, g *generator, next prepare, peak float64) (kept float64, refusals time.Duration) {
	t.Helper()
	before := lumen.usage()
	o := g.offer(t.Context(), next, floodTimes*peak, either(10*time.Second, time.Second))
	after := lumen.usage()
	require.NoError(t, o.failures())
	bar(t, o.offered() >= 0.98*floodTimes*peak, "the generator could not offer as much: %.0f", o.offered())
	turnedAway := o.count(exchange.isRefused)
	require.Positive(t, turnedAway)
	require.Zero(t, o.count(func(e exchange) bool { return e.as == refused && !e.hinted }), "refusals without Retry-After")
	took := func(e exchange) time.Duration { return e.took }
	refusals = o.quantile(0.99, took, exchange.isRefused)
	kept = o.goodput(clientWaits) / peak
	t.Logf("peak %.0f/s; offered %.0f/s: answered %.0f/s, %.2f of the peak (p50 %.0f ms, p99 %.0f ms); %d refused (p50 %.1f ms, p99 %.1f ms); the generator was late by %.1f ms (p99); processor time of Lumen %v, of Postgres %v",
		peak, o.offered(), o.goodput(clientWaits), kept, ms(o.quantile(0.5, took, exchange.isAccepted)), ms(o.p99()), turnedAway,
		ms(o.quantile(0.5, took, exchange.isRefused)), ms(refusals),
		ms(o.quantile(0.99, func(e exchange) time.Duration { return e.lag }, func(exchange) bool { return true })),
		(after.cpu - before.cpu).Round(time.Millisecond), (after.postgres - before.postgres).Round(time.Millisecond))
	return kept, refusals
}

// recovers compares half the peak after a flood with half the peak before it.
func recovers(t *testing.T, g *generator, next prepare, peak float64) {
	t.Helper()
	const window = time.Second
	half := func() outcome {
		o := g.offer(t.Context(), next, peak/2, window)
		require.NoError(t, o.failures())
		return o
	}
	var before []time.Duration
	for range either(5, 1) {
		o := half()
		require.Zero(t, o.count(exchange.isRefused))
		before = append(before, o.p99())
	}
	ended := time.Now().Add(window) // later replies are late
	require.NoError(t, g.offer(t.Context(), next, floodTimes*peak, window).failures())
	var seen []time.Duration
	for time.Since(ended) < recoveredWithin {
		began := time.Since(ended)
		o := half()
		seen = append(seen, o.p99())
		if o.count(exchange.isAccepted) == len(o.exchanges) && o.p99() <= median(before)*3/2 {
			t.Logf("recovered %v after the flood: p99 at half the peak %.1f ms before, %.1f ms after", began.Round(time.Millisecond), ms(median(before)), ms(o.p99()))
			return
		}
	}
	bar(t, false, "p99 at half the peak was %v before the flood, and is %v after it", median(before), seen)
}
