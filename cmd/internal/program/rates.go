package program

import (
	"cmp"
	"fmt"
	"strconv"

	"lumen/cmd/internal/server"
)

// rateFlags are what serve is told of how much it admits.
type rateFlags struct {
	KeyRate      string `group:"Rates:" name:"key-rate" env:"LUMEN_KEY_RATE" default:"0" placeholder:"N" help:"How many requests a second one API key may send, with the access tokens that it made (${env}). Default: ${default}, no limit."`
	MerchantRate string `group:"Rates:" name:"merchant-rate" env:"LUMEN_MERCHANT_RATE" default:"0" placeholder:"N" help:"How many requests a second all keys of one merchant may send together (${env}). Default: ${default}, no limit."`
	CustomerRate string `group:"Rates:" name:"customer-rate" env:"LUMEN_CUSTOMER_RATE" placeholder:"N" help:"How many requests a second all access tokens bound to one customer may send together (${env}). Default: a tenth of --key-rate; 0 is no limit."`
	RateBurst    string `group:"Rates:" name:"rate-burst" env:"LUMEN_RATE_BURST" default:"2" placeholder:"SECONDS" help:"How many seconds' worth of requests may come at once (${env}). Default: ${default}."`
}

// The bounds of what may be set: within them a bucket's size is a number, and the time in which it fills less than two hours.
const (
	minRate, maxRate = 0.001, 1e6
	maxBurst         = 3600
)

// customersPerKey is the ratio of a key's rate to the default rate of a bound customer: one customer alone must not use
// up what the merchant's backend and other customers need.
const customersPerKey = 10

// rates returns the rates that the flags set, and all that is wrong with them. An empty flag or variable counts as
// unset.
func (f rateFlags) rates() (rates server.Rates, faults []string) {
	rate := func(variable, text string) float64 {
		perSecond, err := strconv.ParseFloat(cmp.Or(text, "0"), 64)
		if err != nil || perSecond != 0 && !(perSecond >= minRate && perSecond <= maxRate) {
			faults = append(faults, fmt.Sprintf("%s is not a rate; it is requests per second, from %g to %.0f, or 0 for no limit", variable, minRate, float64(maxRate)))
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
		faults = append(faults, fmt.Sprintf("LUMEN_RATE_BURST is not a number of seconds from 0 to %d", maxBurst))
	}
	rates.Burst = burst
	return rates, faults
}
