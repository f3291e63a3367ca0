package e2e

import (
	"bytes"
	"encoding/hex"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	v1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"lumen/cmd/internal/e2e/harness"
)

// collector receives traces over OTLP/HTTP.
type collector struct {
	mu       sync.Mutex
	received bytes.Buffer // the raw bodies
	spans    []*v1.Span
	resource map[string]string
	header   http.Header
}

// openCollector starts a collector. A server that starts later sends it each span within 20 ms. A
// test that uses it cannot be parallel, since the collector's address is in the environment.
func openCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{resource: make(map[string]string)}
	server := httptest.NewServer(harness.ReceiveTraces(t.Errorf, func(r *http.Request, body []byte, of *v1.ResourceSpans) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.received.Write(body)
		c.header = r.Header
		for _, a := range of.Resource.Attributes {
			c.resource[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range of.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=opens")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20") // milliseconds
	return c
}

// trace waits until one trace has spans with these names, and returns its spans by name.
func (c *collector) trace(t *testing.T, id string, names ...string) map[string]*v1.Span {
	t.Helper()
	spans := make(map[string]*v1.Span)
	missing := func() bool {
		return slices.ContainsFunc(names, func(name string) bool { return spans[name] == nil })
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c.mu.Lock()
		for _, span := range c.spans {
			if hex.EncodeToString(span.TraceId) == id {
				spans[span.Name] = span
			}
		}
		c.mu.Unlock()
		if !missing() {
			return spans
		}
		require.True(t, time.Now().Before(deadline), "got the spans %v, want %v", slices.Collect(maps.Keys(spans)), names)
	}
}

// attributes returns the attributes of a span as texts.
func attributes(span *v1.Span) map[string]string {
	all := make(map[string]string)
	for _, a := range span.Attributes {
		all[a.Key] = a.Value.GetStringValue()
	}
	return all
}
