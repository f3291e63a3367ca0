package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNoNameSortsWithTheMissingOnes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"\U0010FFFF", "\U0010FFFF\U0010FFFF", "Zoë", "x"} {
		require.Less(t, *nameKey(&name), lastName)
		require.Greater(t, *nameKey(&name), "")
	}
	require.Nil(t, nameKey(nil))
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	half := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-01-02T03:04:05.5Z": half, "2026-01-02t03:04:05.500z": half, "2026-01-02T05:04:05.5+02:00": half,
		"2026-01-02": {}, "2026-01-02T3:04:05Z": {}, "2026-01-02T03:04:05,5Z": {}, "2026-01-02 03:04:05Z": {}, "2026-01-02T03:04:05": {},
		"2026-13-02T03:04:05Z": {}, "2026-01-02T24:00:00Z": {}, "2026-01-02T03:04:05+24:00": {}, "": {}, "now": {},
	} {
		got, ok := ParseTime(text)
		require.Equal(t, !want.IsZero(), ok, text)
		if ok {
			require.True(t, want.Equal(got), text)
		}
	}
}
