//go:build faults

// Package faults tests the program under faults: killed processes, broken and slow connections,
// full disks, locks and stops.
package faults

import (
	"testing"

	"go.uber.org/goleak"

	"lumen/cmd/internal/e2e/harness"
)

func TestMain(m *testing.M) {
	harness.Main(m, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"))
}
