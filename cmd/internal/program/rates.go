package program

import (
	"cmp"
	"strconv"

	"lumen/cmd/internal/server"
)

// rateFlags limit how many requests serve accepts.
type rateFlags struct {
	KeyRate      string `group:"Request rates:" env:"LUMEN_KEY_RATE" default:"0" placeholder:"N"`
	MerchantRate string `group:"Request rates:" env:"LUMEN_MERCHANT_RATE" default:"0" placeholder:"N"`
	CustomerRate string `group:"Request rates:" env:"LUMEN_CUSTOMER_RATE" placeholder:"N"`
	RateBurst    string `group:"Request rates:" env:"LUMEN_RATE_BURST" default:"2" placeholder:"SECONDS"`
}

// The bounds of the flags. Within them the size of a bucket is finite, and a bucket fills in less
// than two hours.
const (
	minRate, maxRate = 0.001, 1e6
	maxBurst         = 3600
)

// customersPerKey is the ratio of a key's rate to the default rate of a bound customer. One
// customer alone must not use up the requests of the merchant's backend and of other customers.
const customersPerKey = 10

// rates returns the rates that the flags set, and all faults of the flags. An empty flag or
// variable counts as unset.
func (f rateFlags) rates(s settings) (rates server.Rates, wrong faults) {
	rate := func(variable, text string) float64 {
		perSecond, err := strconv.ParseFloat(cmp.Or(text, "0"), 64)
		if err != nil || perSecond != 0 && !(perSecond >= minRate && perSecond <= maxRate) {
			wrong.add("%s is not a rate; it is requests per second, from %g to %.0f, or 0 for no limit",
				s.name(variable), minRate, float64(maxRate))
		}
		return perSecond
	}
	rates.Key = rate("LUMEN_KEY_RATE", f.KeyRate)
	rates.Merchant = rate("LUMEN_MERCHANT_RATE", f.MerchantRate)
	rates.Customer = rate("LUMEN_CUSTOMER_RATE", f.CustomerRate)
	if f.CustomerRate == "" && rates.Key > 0 {
		rates.Customer = max(rates.Key/customersPerKey, minRate)
	}
	burst, err := strconv.ParseFloat(cmp.Or(f.RateBurst, "2"), 64)
	if err != nil || !(burst >= 0 && burst <= maxBurst) {
		wrong.add("%s is not a number of seconds from 0 to %d", s.name("LUMEN_RATE_BURST"), maxBurst)
	}
	rates.Burst = burst
	return rates, wrong
}
