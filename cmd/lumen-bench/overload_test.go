//go:build heavy

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Three times the peak is offered. See README.md for what is required, and how it is measured.
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
			overload(t, lumen, of.next(requests{lumen, f.database}).mix())
		})
	}
}

const (
	floodTimes      = 3
	clientsPatience = time.Second
)

func overload(t *testing.T, lumen *server, next prepare) {
	g := generate(t, lumen, 1024, next)
	ctx := t.Context()
	short, stretch := either(5*time.Second, time.Second), either(10*time.Second, 2*time.Second)
	var shares []float64
	for range 3 {
		u := lumen.usage()
		peak := g.press(ctx, next, peakClients, short)
		require.NoError(t, peak.failures())
		most := peak.goodput(clientsPatience)
		u2 := lumen.usage()
		t.Logf("peak %.0f/s p99 %v; cpu %v pg %v", most, peak.p99(), u2.cpu-u.cpu, u2.postgres-u.postgres)
		u = u2
		flood := g.offer(ctx, next, floodTimes*most, stretch)
		u2 = lumen.usage()
		t.Logf("cpu %v pg %v", u2.cpu-u.cpu, u2.postgres-u.postgres)
		if err := flood.failures(); err != nil {
			t.Log(err)
		}
		good := flood.goodput(clientsPatience)
		shares = append(shares, good/most)
		t.Logf("offered %.0f/s; goodput %.0f/s = %.2f; accepted p99 %v; refused %d p50 %v p99 %v (served %v); lag p99 %v", flood.offered(), good, good/most, flood.p99(), flood.count(exchange.isRefused),
			flood.quantile(.5, func(e exchange) time.Duration { return e.took }, exchange.isRefused),
			flood.quantile(.99, func(e exchange) time.Duration { return e.took }, exchange.isRefused),
			flood.quantile(.99, func(e exchange) time.Duration { return e.served }, exchange.isRefused),
			flood.quantile(.99, func(e exchange) time.Duration { return e.lag }, func(exchange) bool { return true }))
	}
	t.Log(median(shares))
}
