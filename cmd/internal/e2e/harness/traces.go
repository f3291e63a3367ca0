package harness

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	v1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// ReceiveTraces returns a handler that calls take for each resource in an export of traces, and
// report for any other request.
func ReceiveTraces(report func(format string, args ...any), take func(r *http.Request, body []byte, of *v1.ResourceSpans)) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var export coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &export); err != nil || r.URL.Path != "/v1/traces" {
			report("%s received a request that is not an export of traces: %v", r.URL.Path, err)
			return
		}
		for _, of := range export.ResourceSpans {
			take(r, body, of)
		}
	})
}

// traceTexts holds the texts in the traces of all servers for which no test has its own collector.
type traceTexts struct {
	mu    sync.Mutex
	texts map[string]bool
}

// collectTraces makes all servers that start later send their traces to the returned texts.
func collectTraces(report func(format string, args ...any)) (all *traceTexts, stop func()) {
	all = &traceTexts{texts: map[string]bool{}}
	server := httptest.NewServer(ReceiveTraces(report, func(_ *http.Request, _ []byte, of *v1.ResourceSpans) { all.note(of) }))
	_ = os.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return all, server.Close
}

func (all *traceTexts) note(of *v1.ResourceSpans) {
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

// leaks returns a message for each of the canaries that is in a trace.
func (all *traceTexts) leaks(of ...*Canaries) (found []string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for text := range all.texts {
		for _, c := range of {
			for _, piece := range c.piecesIn(loggedIDs.ReplaceAllString(text, "")) {
				found = append(found, fmt.Sprintf("a trace contains %q, which a client sent: %s", piece, text))
			}
		}
	}
	return found
}
