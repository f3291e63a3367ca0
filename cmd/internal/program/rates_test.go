package program

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRateOfCustomersByDefault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, customer string
		want          float64
	}{
		{"", "", 0}, {"0", "", 0}, {"20", "", 2}, {"0.5", "", 0.05}, {"0.001", "", minRate}, // the smallest rate
		{"20", "0", 0}, {"20", "7.5", 7.5}, {"20", "50", 50}, {"", "3", 3},
	} {
		rates, faults := rateFlags{KeyRate: c.key, CustomerRate: c.customer}.rates(settings{})
		require.Empty(t, faults)
		require.InDelta(t, c.want, rates.Customer, 1e-9, c)
	}
}
