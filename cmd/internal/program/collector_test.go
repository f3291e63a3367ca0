package program

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector receives traces over OTLP/HTTP.
type collector struct {
	mu       sync.Mutex
	received bytes.Buffer // as it came
	spans    []*v1.Span
	resource map[string]string
	header   http.Header
}

// openCollector has a server started afterwards send its traces there, as soon as there are any. Tests with one are not
// parallel: its address is in the environment.
func openCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{resource: make(map[string]string)}
	server := httptest.NewServer(receiving(t.Errorf, func(r *http.Request, body []byte, of *v1.ResourceSpans) {
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

// receiving takes what is exported to it, and reports what is no export.
func receiving(report func(format string, args ...any), take func(r *http.Request, body []byte, of *v1.ResourceSpans)) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var export coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &export); err != nil || r.URL.Path != "/v1/traces" {
			report("%s is sent what is no export of traces: %v", r.URL.Path, err)
			return
		}
		for _, of := range export.ResourceSpans {
			take(r, body, of)
		}
	})
}

// told are the texts in all traces of the servers that no test has a collector for.
type told struct {
	mu    sync.Mutex
	texts map[string]bool
}

// collectTraces has all servers started afterwards send their traces there.
func collectTraces(report func(format string, args ...any)) (all *told, stop func()) {
	all = &told{texts: map[string]bool{}}
	server := httptest.NewServer(receiving(report, func(_ *http.Request, _ []byte, of *v1.ResourceSpans) { all.note(of) }))
	_ = os.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return all, server.Close
}

func (all *told) note(of *v1.ResourceSpans) {
	all.mu.Lock()
	defer all.mu.Unlock()
	attributes := slices.Clone(of.Resource.Attributes)
	for _, scope := range of.ScopeSpans {
		for _, span := range scope.Spans {
			all.texts[span.Name], all.texts[span.Status.GetMessage()], all.texts[span.TraceState] = true, true, true
			attributes = append(attributes, span.Attributes...)
			for _, event := range span.Events {
				all.texts[event.Name] = true
				attributes = append(attributes, event.Attributes...)
			}
			for _, link := range span.Links {
				attributes = append(attributes, link.Attributes...)
			}
		}
	}
	for _, a := range attributes {
		all.texts[a.Key], all.texts[a.Value.String()] = true, true
	}
}

// caught says which of the canaries are in a trace.
func (all *told) caught(of ...*canaries) (found []string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for text := range all.texts {
		for _, c := range of {
			for _, piece := range c.in(ownIDs.ReplaceAllString(text, "")) {
				found = append(found, fmt.Sprintf("a trace holds %q, which a client sent: %s", piece, text))
			}
		}
	}
	return found
}

// trace returns the spans of one trace by name, once these are among them.
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
		require.True(t, time.Now().Before(deadline), "%v of %v", slices.Collect(maps.Keys(spans)), names)
	}
}

// attributes are those of a span, as texts.
func attributes(span *v1.Span) map[string]string {
	all := make(map[string]string)
	for _, a := range span.Attributes {
		all[a.Key] = a.Value.GetStringValue()
	}
	return all
}
