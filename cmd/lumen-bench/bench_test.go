package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be the bare handler, as the program is when it measures.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "bare" {
		main()
		return
	}
	status := m.Run()
	afterTests()
	os.Exit(status)
}

// afterTests takes away what the tests share.
var afterTests = func() {}

// A run in small: every part of it, against real servers and a real Postgres.
func TestRun(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	run := runCommand{
		Out: out, Customers: 600, Merchants: 3, Clients: 4, Rounds: 2, Time: 50 * time.Millisecond,
		Sizes: []int{200, 600}, Crowds: []int{2, 4}, Parts: []string{"reads", "writes", "list", "scaling"},
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
	svg, err := os.Open(filepath.Join(out, "scaling.svg"))
	require.NoError(t, err)
	defer func() { _ = svg.Close() }()
	decoder := xml.NewDecoder(svg)
	drawn := ""
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if text, ok := token.(xml.CharData); ok {
			drawn += string(text)
		}
	}
	require.Contains(t, drawn, "page at 90 % depth")
}

func TestCounterCountsAcrossPieces(t *testing.T) {
	t.Parallel()
	text := strings.Repeat(`{"id":"cust_x"},`, 100) + `{"id":"cus`
	for size := 1; size < 40; size++ {
		c := &counter{of: []byte(`{"id":"cust_`)}
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			c.add([]byte(rest[:n]))
			rest = rest[n:]
		}
		require.Equal(t, 100, c.n, size)
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	t.Parallel()
	rates := func(name string, perSecond ...float64) *series {
		s := &series{Name: name}
		for _, rate := range perSecond {
			s.Samples = append(s.Samples, sample{PerSecond: rate, P50: time.Duration(1e9 / rate)})
		}
		return s
	}
	r := &report{Series: []*series{rates("a/x", 10, 40, 300), rates("a/y", 100, 200, 1000)}}
	require.Equal(t, ratios{0.1, 0.2, 0.3}, r.compare(comparison{of: "a/x", to: "a/y"}))
	require.Equal(t, 0.2, r.compare(comparison{of: "a/x", to: "a/y"}).median())
	require.InDeltaSlice(t, []float64{1.0 / 0.3, 5, 10}, []float64(r.compare(comparison{of: "a/x", to: "a/y", time: true})), 1e-6)
	require.Nil(t, r.compare(comparison{of: "a/x", to: "a/z"}))
	c := curve{Points: []point{{Median: durations{3, 1, 2}}, {Median: durations{4, 4, 9}}}}
	require.Equal(t, 2.0, c.spread())
}
