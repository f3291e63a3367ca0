//go:build long

package main

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	quotaOf     = 8                      // a quota is the peak divided by this, because machines differ
	quietOf     = 10                     // the quiet merchant sends the peak divided by this
	noisyTimes  = 10                     // the noisy merchant sends this many times its quota
	mostSlower  = 2                      // the p99 of the quiet merchant may grow by this factor
	withoutRate = 250 * time.Millisecond // the limit of this p99 where no merchant has a quota
)

// One merchant sends as much as it can, and another one is to notice little of it.
func TestNoisyNeighbour(t *testing.T) {
	f := newField(t)
	var peak float64
	t.Run("peak", func(t *testing.T) { peak = f.peak(t) })
	quiet := peak / quietOf
	t.Run("ten times the quota", func(t *testing.T) {
		quota := math.Round(peak / quotaOf)
		t.Logf("of a peak of %.0f/s a quota is %.0f/s, and the quiet one sends %.0f/s", peak, quota, quiet)
		lumen := f.serve(t, "LUMEN_MERCHANT_RATE="+strconv.Itoa(int(quota)))
		apart(t, lumen)
		q := requests{lumen, f.database}
		noise := generate(t, lumen, 1024, q.alive)
		loud := q.only(f.merchants[0]).mix()
		idle, noisy := disturb(t, lumen, quiet, q.only(f.merchants[1]).mix(), q.only(f.merchants[2]).mix(), func(during time.Duration) outcome {
			o := noise.offer(t.Context(), loud, noisyTimes*quota, during)
			bar(t, o.offered() >= 0.98*noisyTimes*quota, "the generator could not offer as much: %.0f", o.offered())
			return o
		})
		bar(t, noisy <= mostSlower*idle, "the quiet one's p99 is %v, idle %v", noisy, idle)
	})
	t.Run("searches without end", func(t *testing.T) {
		lumen := f.serve(t)
		q := requests{lumen, f.database}
		loud := q.only(f.large).searches()
		noise := generate(t, lumen, 256, loud)
		_, noisy := disturb(t, lumen, quiet, q.only(f.merchants[1]).mix(), q.only(f.merchants[2]).mix(), func(during time.Duration) outcome {
			return noise.press(t.Context(), loud, 256, during)
		})
		bar(t, noisy <= withoutRate, "the quiet one's p99 is %v", noisy)
	})
}

// peak returns the rate of replies to clients that each wait for their reply.
func (f field) peak(t *testing.T) float64 {
	t.Helper()
	lumen := f.serve(t)
	apart(t, lumen)
	mix := requests{lumen, f.database}.mix()
	o := generate(t, lumen, peakClients, mix).press(t.Context(), mix, peakClients, either(5*time.Second, time.Second/2))
	require.NoError(t, o.failures())
	return o.goodput(clientWaits)
}

// disturb measures the p99 of a quiet merchant, none of whose requests may fail, in turns without
// and with the noise, and returns the medians. Another merchant's requests warm up the server, so
// that the quota of the quiet merchant is untouched.
func disturb(t *testing.T, lumen *server, perSecond float64, warm, quiet prepare, noise func(time.Duration) outcome) (idle, noisy time.Duration) {
	t.Helper()
	g := generate(t, lumen, 64, warm)
	during := either(10*time.Second, time.Second)
	settled := either(3*time.Second, 500*time.Millisecond) // the burst of the quota is used up
	listen := func() time.Duration {
		o := g.offer(t.Context(), quiet, perSecond, during)
		require.NoError(t, o.failures())
		require.Zero(t, o.count(exchange.isRefused), "the quiet merchant was refused")
		return o.p99()
	}
	idles, noisies := []time.Duration{listen()}, []time.Duration{}
	for range either(5, 1) {
		made := make(chan outcome, 1)
		go func() { made <- noise(settled + during*11/10) }()
		time.Sleep(settled)
		noisies = append(noisies, listen())
		o := <-made
		require.NoError(t, o.failures())
		require.Zero(t, o.count(func(e exchange) bool { return e.as == refused && !e.hinted }), "refusals without Retry-After")
		t.Logf("noise: %.0f/s answered, %.0f/s refused; the quiet one's p99 %.1f ms", o.perSecond(exchange.isAccepted), o.perSecond(exchange.isRefused), ms(noisies[len(noisies)-1]))
		time.Sleep(settled)
		idles = append(idles, listen())
	}
	t.Logf("the quiet merchant's p99: %.1f ms idle, %.1f ms beside the noise", ms(median(idles)), ms(median(noisies)))
	return median(idles), median(noisies)
}
