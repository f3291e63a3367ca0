package e2e

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// auc returns the probability that a time of a is longer than one of b, where a tie counts half:
// the area under the ROC curve, which is the Mann-Whitney U statistic divided by len(a)*len(b). It
// is 0.5 if the times of a and b do not differ, and 0 or 1 if every single time tells them apart.
// Unlike means, ranks are hardly affected by the few times that a busy machine makes very long.
func auc(a, b []time.Duration) float64 {
	type sample struct {
		took time.Duration
		inA  bool
	}
	var all []sample
	for _, took := range a {
		all = append(all, sample{took, true})
	}
	for _, took := range b {
		all = append(all, sample{took, false})
	}
	slices.SortFunc(all, func(x, y sample) int { return cmp.Compare(x.took, y.took) })
	ranks := 0.0 // of a
	for start := 0; start < len(all); {
		end := start
		for end < len(all) && all[end].took == all[start].took {
			end++
		}
		for _, s := range all[start:end] {
			if s.inA {
				ranks += float64(start+1+end) / 2 // ties share the mean of their ranks
			}
		}
		start = end
	}
	n, m := float64(len(a)), float64(len(b))
	return (ranks - n*(n+1)/2) / (n * m)
}

// TestAreaUnderCurve compares auc with values computed by hand, with and without ties.
func TestAreaUnderCurve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b []time.Duration
		want float64
	}{
		{[]time.Duration{1}, []time.Duration{2}, 0},
		{[]time.Duration{2}, []time.Duration{1}, 1},
		{[]time.Duration{1}, []time.Duration{1}, 0.5},
		{[]time.Duration{3, 4}, []time.Duration{2, 1, 0}, 1},
		{[]time.Duration{1, 4}, []time.Duration{2, 3}, 0.5},
		{[]time.Duration{4, 1, 3}, []time.Duration{2}, 2.0 / 3},
		{[]time.Duration{1, 2, 2}, []time.Duration{2, 2, 3, 9}, 2.0 / 12},
		{[]time.Duration{5, 5, 5}, []time.Duration{5, 5}, 0.5},
	} {
		require.InDelta(t, c.want, auc(c.a, c.b), 1e-9, c)
		require.InDelta(t, 1-c.want, auc(c.b, c.a), 1e-9, c)
	}
}
