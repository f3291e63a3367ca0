//go:build heavy

package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// After one connection was found dead, the others are replaced without a ping for each, which would
// take 500 ms every time.
func TestVanishedPeersAreReplacedAtOnce(t *testing.T) {
	for _, took := range vanishedPeers(t, 3, 1500*time.Millisecond) {
		require.Less(t, took, 450*time.Millisecond)
	}
}
