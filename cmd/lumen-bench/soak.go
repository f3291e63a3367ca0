package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"
)

// soaked is the result of the same load over a long time.
type soaked struct {
	Peak      float64       `json:"peak"` // requests per second
	Rate      float64       `json:"rate"` // requests that were due per second
	During    time.Duration `json:"during"`
	Vitals    []vitals      `json:"vitals"`
	Stretches []stretch     `json:"stretches"`
}

// stretch is a part of this time.
type stretch struct {
	At        time.Duration `json:"at"` // its end, since the start
	PerSecond float64       `json:"perSecond"`
	Offered   float64       `json:"offered"`
	Requests  int           `json:"requests"`
	Refused   int           `json:"refused"`
	Failed    int           `json:"failed"`
	P50       time.Duration `json:"p50"`
	P99       time.Duration `json:"p99"`
}

const (
	// peakClients is the number of clients that find the peak; each waits for its reply.
	peakClients = 32
	// soakShare is the share of the peak that is offered.
	soakShare = 0.7
	// soakConnections is larger than the number of requests under way at that load, even while the
	// machine stalls.
	soakConnections = 256
	// warmUp is the share of the time in which memory may grow.
	warmUp = 0.2
)

// measureSoak offers a share of the peak for a long time.
func (b *bench) measureSoak(ctx context.Context, r *report) error {
	d, err := b.load(ctx, "soak", b.Merchants, max(b.Customers/b.Merchants, 1))
	if err != nil {
		return err
	}
	r.Soak, err = b.soak(ctx, d)
	return err
}

func (b *bench) soak(ctx context.Context, d *database) (*soaked, error) {
	lumen, monitor, err := b.startWatched(ctx, d)
	if err != nil {
		return nil, err
	}
	defer lumen.stop()
	next := requests{lumen, d}.mix()
	g, err := newGenerator(lumen, soakConnections)
	if err != nil {
		return nil, err
	}
	defer g.close()
	s := &soaked{During: b.Soak}
	if s.Peak, err = g.peak(ctx, next, b.Rounds, b.Time); err != nil {
		return nil, err
	}
	s.Rate = soakShare * s.Peak
	b.say("soak: %.0f requests a second, of at most %.0f, for %s", s.Rate, s.Peak, b.Soak)
	every := min(time.Second, b.Soak/10)
	each := max(b.Soak/180, every) // one point of the drawing; a point for each second would be noise
	monitor.begun = time.Now()
	begun, stop := monitor.begun, monitor.follow(ctx, every)
	var failures error
	for time.Since(begun) < b.Soak && ctx.Err() == nil {
		o := g.offer(ctx, next, s.Rate, each)
		if failures == nil {
			failures = o.failures()
		}
		s.Stretches = append(s.Stretches, o.summary(time.Since(begun)))
		// This stands for the rotation of logs: the requests of hours write many gigabytes.
		if err := os.Truncate(lumen.log, 0); err != nil {
			return nil, err
		}
	}
	if failures != nil {
		b.say("soak: %v", failures)
	}
	s.Vitals, err = stop()
	return s, errors.Join(err, ctx.Err())
}

// peak returns the median rate of successes when peakClients send as fast as they are answered.
func (g *generator) peak(ctx context.Context, next prepare, rounds int, during time.Duration) (float64, error) {
	var rates []float64
	for range rounds {
		o := g.press(ctx, next, peakClients, during)
		if err := o.failures(); err != nil {
			return 0, err
		}
		rates = append(rates, o.perSecond(exchange.isAccepted))
	}
	return median(rates), nil
}

func (o outcome) summary(at time.Duration) stretch {
	took := func(e exchange) time.Duration { return e.took }
	return stretch{
		At: at, PerSecond: o.perSecond(exchange.isAccepted), Offered: o.offered(), Requests: len(o.exchanges), Refused: o.count(exchange.isRefused),
		Failed: o.count(exchange.isFailed), P50: o.quantile(0.5, took, exchange.isAccepted), P99: o.p99(),
	}
}

// trend is the line through a quantity after the warm-up, by least squares.
type trend struct {
	mean   float64
	growth float64 // of the line, over the whole time
	over   time.Duration
}

func (s *soaked) trend(of func(vitals) float64) trend {
	var x, y []float64
	for _, v := range s.Vitals {
		if v.At >= time.Duration(warmUp*float64(s.During)) {
			x, y = append(x, v.At.Seconds()), append(y, of(v))
		}
	}
	if len(x) < 2 {
		return trend{}
	}
	_, slope := stat.LinearRegression(x, y, nil, false)
	over := x[len(x)-1] - x[0]
	return trend{mean: stat.Mean(y, nil), growth: slope * over, over: time.Duration(over * float64(time.Second))}
}

// share returns the growth as a share of the mean.
func (t trend) share() float64 { return t.growth / t.mean }

func (s *soaked) sum(of func(stretch) int) (n int) {
	for _, one := range s.Stretches {
		n += of(one)
	}
	return n
}

// p99s returns the p99 of each stretch, smallest first.
func (s *soaked) p99s() []time.Duration {
	var all []time.Duration
	for _, one := range s.Stretches {
		all = append(all, one.P99)
	}
	slices.Sort(all)
	return all
}

// quantities are what the report shows and the test checks.
var quantities = []struct {
	name string
	by   float64 // octets or counts in one unit
	of   func(vitals) float64
}{
	{"resident memory, MiB", 1 << 20, func(v vitals) float64 { return v.Resident }},
	{"Go heap when collected, MiB", 1 << 20, func(v vitals) float64 { return v.Heap }},
	{"goroutines", 1, func(v vitals) float64 { return v.Goroutines }},
	{"open file descriptors", 1, func(v vitals) float64 { return v.Files }},
	{"connections to Postgres", 1, func(v vitals) float64 { return v.Connections }},
}

// soakTo writes the results of the soak.
func (r *report) soakTo(line func(string, ...any)) {
	s := r.Soak
	if s == nil {
		return
	}
	line("\n## Soak\n\n%.0f requests a second, %.0f %% of the %.0f at most, for %s: %d requests, of which %d were refused and %d failed.",
		s.Rate, 100*soakShare, s.Peak, s.During, s.sum(func(s stretch) int { return s.Requests }),
		s.sum(func(s stretch) int { return s.Refused }), s.sum(func(s stretch) int { return s.Failed }))
	if all := s.p99s(); len(all) > 0 {
		line("The p99 of a stretch was %.1f ms in the median, %.1f to %.1f.", ms(median(all)), ms(all[0]), ms(all[len(all)-1]))
	}
	line("\nAfter the warm-up, %.0f %% of the time. The growth is that of the line through the samples of each second, by least squares.\n", 100*warmUp)
	line("| | mean | growth over %s |\n|---|---|---|", s.trend(quantities[0].of).over.Round(time.Second))
	for _, q := range quantities {
		t := s.trend(q.of)
		line("| %s | %.1f | %+.2f |", q.name, t.mean/q.by, t.growth/q.by)
	}
}
