//go:build long

package store

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAMillionIDs(t *testing.T) {
	const n = 1_000_000
	seen := make(map[string]struct{}, n)
	for range n {
		id, err := NewID("cust")
		require.NoError(t, err)
		seen[id] = struct{}{}
	}
	require.Len(t, seen, n, "no id is made twice")
}
