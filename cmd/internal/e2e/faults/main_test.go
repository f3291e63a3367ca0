//go:build faults

// Package faults kills, cuts, slows, fills and stops what the program depends on, and the program itself.
package faults

import (
	"testing"

	"go.uber.org/goleak"

	"lumen/cmd/internal/e2e/harness"
)

func TestMain(m *testing.M) {
	harness.Main(m, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"))
}
