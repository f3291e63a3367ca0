//go:build long

package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// No request fails, and no quantity grows.
func TestSoak(t *testing.T) {
	f := newField(t)
	f.Soak, f.Rounds, f.Time = either(30*time.Minute, 4*time.Second), either(5, 2), either(3*time.Second, 500*time.Millisecond)
	s, err := f.soak(t.Context(), f.database)
	require.NoError(t, err)
	r := &report{Conditions: f.conditions(), Soak: s}
	t.Log(r.markdown())
	require.NoError(t, s.plot(filepath.Join(t.TempDir(), "soak.svg")))

	require.Zero(t, s.sum(func(one stretch) int { return one.Failed + one.Refused }))
	var offered float64
	for _, one := range s.Stretches {
		offered += one.Offered / float64(len(s.Stretches))
	}
	bar(t, offered >= 0.98*s.Rate, "the generator could not offer as much: %.0f", offered)
	require.GreaterOrEqual(t, len(s.Vitals), int(0.9*f.Soak.Seconds()))
	const most = 0.05 // of the mean, over the time after the warm-up
	for _, q := range quantities {
		grown := s.trend(q.of)
		require.Positive(t, grown.mean, q.name)
		bar(t, grown.share() <= most, "%s grew by %.2f", q.name, grown.share())
	}
}
