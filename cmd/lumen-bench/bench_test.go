package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain also runs the bare handler, which the program starts from its own binary when it
// measures.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "bare" {
		main()
		return
	}
	status := m.Run()
	afterTests()
	os.Exit(status)
}

// afterTests removes what the tests share.
var afterTests = func() {}

// TestRun is a small run with every part, against real servers and a real Postgres.
func TestRun(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	run := runCommand{
		Out: out, Customers: 600, Merchants: 3, Clients: 4, Rounds: 2, Time: 50 * time.Millisecond, Requests: 20,
		Sizes: []int{200, 600}, Crowds: []int{2, 4}, Parts: []string{"reads", "writes", "list", "scaling", "soak"}, Soak: time.Second,
	}
	require.NoError(t, run.Run(t.Context()))

	text, err := os.ReadFile(filepath.Join(out, "report.json"))
	require.NoError(t, err)
	var r report
	require.NoError(t, json.Unmarshal(text, &r))
	for _, c := range comparisons {
		if c.Against == "peer" {
			continue
		}
		all := r.compare(c)
		require.Len(t, all, run.Rounds, c.What)
		require.Positive(t, all[0], c.What)
	}
	for _, s := range r.Series {
		for _, one := range s.Samples {
			require.Positive(t, one.Requests, s.Name)
			require.Positive(t, one.P50, s.Name)
			require.LessOrEqual(t, one.P50, one.P99, s.Name)
		}
	}
	require.Len(t, r.List.ratios(), run.Rounds)
	require.Equal(t, 600, r.List.Lumen[0].Customers)
	require.Equal(t, r.List.Lumen[0].Customers, r.List.Bare[0].Customers)
	require.Len(t, r.Sizes, 4)
	require.Len(t, r.Crowds, 5)
	require.Len(t, r.Start, run.Rounds)
	require.Positive(t, r.Memory.Idle)
	require.GreaterOrEqual(t, r.Memory.Load, r.Memory.Idle)

	markdown, err := os.ReadFile(filepath.Join(out, "report.md"))
	require.NoError(t, err)
	require.Equal(t, r.markdown(), string(markdown))
	require.Contains(t, drawn(t, filepath.Join(out, "scaling.svg")), "page at 90 % depth")
	require.Contains(t, drawn(t, filepath.Join(out, "soak.svg")), "Go heap when collected")

	require.Positive(t, r.Soak.Peak)
	require.GreaterOrEqual(t, len(r.Soak.Stretches), 5)
	require.Positive(t, r.Soak.sum(func(s stretch) int { return s.Requests }))
	require.Zero(t, r.Soak.sum(func(s stretch) int { return s.Failed }))
	for _, q := range quantities {
		require.Positive(t, r.Soak.trend(q.of).mean, q.name)
	}
}

// drawn returns the text in a drawing.
func drawn(t *testing.T, path string) (text string) {
	t.Helper()
	svg, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = svg.Close() }()
	decoder := xml.NewDecoder(svg)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return text
		}
		require.NoError(t, err)
		if part, ok := token.(xml.CharData); ok {
			text += string(part)
		}
	}
}

func TestTrendLeavesOutTheWarmUp(t *testing.T) {
	t.Parallel()
	s := &soaked{During: 100 * time.Second}
	for i := range 100 {
		v := vitals{At: time.Duration(i) * time.Second, Files: 7, Resident: 1000 + float64(2*i)}
		if i < 20 {
			v.Files = 1
		}
		s.Vitals = append(s.Vitals, v)
	}
	require.Equal(t, trend{mean: 7, over: 79 * time.Second}, s.trend(func(v vitals) float64 { return v.Files }))
	grown := s.trend(func(v vitals) float64 { return v.Resident })
	require.InDelta(t, 158, grown.growth, 1e-6)
	require.InDelta(t, 158.0/1119, grown.share(), 1e-6)
}

func TestOutcomeCountsLikeClients(t *testing.T) {
	t.Parallel()
	o := outcome{during: 2 * time.Second}
	for i := range 100 {
		o.exchanges = append(o.exchanges, exchange{due: time.Duration(i) * 20 * time.Millisecond, took: time.Duration(i) * 20 * time.Millisecond, as: accepted})
	}
	o.exchanges = append(o.exchanges, exchange{as: refused}, exchange{as: refused, hinted: true}, exchange{due: time.Second, lag: 1100 * time.Millisecond, as: failed, err: io.EOF})
	require.Equal(t, 51.0, o.perSecond(func(e exchange) bool { return e.as != failed }))
	require.Equal(t, 51.0, o.offered(), "requests sent after the end do not count")
	require.Equal(t, 25.5, o.goodput(time.Second), "late replies do not count")
	require.Equal(t, 1980*time.Millisecond, o.p99())
	require.Equal(t, 2, o.count(exchange.isRefused))
	require.ErrorIs(t, o.failures(), io.EOF)
	require.NoError(t, outcome{}.failures())
}

func TestRatiosCompareTheSameRound(t *testing.T) {
	t.Parallel()
	rates := func(name string, perSecond ...float64) *series {
		s := &series{Name: name}
		for _, rate := range perSecond {
			s.Samples = append(s.Samples, sample{PerSecond: rate, P50: time.Duration(1e9 / rate)})
		}
		return s
	}
	r := &report{Series: []*series{rates("a/x", 10, 40, 300), rates("a/y", 100, 200, 1000)}}
	require.Equal(t, []float64{0.1, 0.2, 0.3}, r.compare(comparison{of: "a/x", to: "a/y"}))
	require.Equal(t, 0.2, median(r.compare(comparison{of: "a/x", to: "a/y"})))
	require.InDeltaSlice(t, []float64{1.0 / 0.3, 5, 10}, r.compare(comparison{of: "a/x", to: "a/y", time: true}), 1e-6)
	require.Nil(t, r.compare(comparison{of: "a/x", to: "a/z"}))
	c := curve{Points: []point{{Medians: []time.Duration{3, 1, 2}}, {Medians: []time.Duration{4, 4, 9}}}}
	require.Equal(t, 2.0, c.spread())
}
