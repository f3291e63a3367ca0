//go:build long

package wall_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMerchantsTakeAHundredThousandTurns(t *testing.T) {
	require.Zero(t, takeTurns(t, open, 1, 100_000, 10).stray.Load())
}
