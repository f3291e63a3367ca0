//go:build faults

package faults

import (
	"fmt"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// wire is a network connection to an address, through a proxy that a test controls.
type wire struct {
	*toxiproxy.Proxy
}

// newWire starts a proxy to an address, which runs until the test ends.
func newWire(t *testing.T, to string) *wire {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxiproxy partly logs to the global logger
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, t.Name(), storetest.SteadyAddress(t), to)
	require.NoError(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	return &wire{proxy}
}

// add injects a fault into one direction ("upstream" or "downstream") or "both" of each connection,
// with this probability. heal removes it.
func (w *wire) add(t testing.TB, kind, direction string, probability float64, attributes string) (heal func()) {
	t.Helper()
	directions := []string{direction}
	if direction == "both" {
		directions = []string{"upstream", "downstream"}
	}
	var names []string
	for _, direction := range directions {
		toxic, err := w.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
			`{"type": %q, "stream": %q, "toxicity": %g, "attributes": %s}`, kind, direction, probability, attributes)))
		require.NoError(t, err)
		names = append(names, toxic.Name)
	}
	return func() {
		for _, name := range names {
			require.NoError(t, w.Toxics.RemoveToxic(t.Context(), name))
		}
	}
}

// cut ends all connections. New connections work at once.
func (w *wire) cut(t testing.TB) {
	t.Helper()
	w.Stop()
	require.NoError(t, w.Start())
}
