package server

import (
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lumen/graph"
	"lumen/graph/guard"
	"lumen/rest"
	"lumen/store"
)

// Metrics counts and times requests for Prometheus, and exports the counts of other packages. The
// values of all labels are from closed sets: the APIs, the operations of rest.Operations and
// graph.Operations, the registry of errors. So no traffic creates further series.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec

	apis map[string]*apiMetrics

	cost                  prometheus.Histogram
	kept, parsed, trusted prometheus.Counter
}

// apiMetrics and operationMetrics hold metrics that are looked up once instead of with each
// request.
type apiMetrics struct {
	inFlight   prometheus.Gauge
	aborted    prometheus.Counter
	operations map[string]operationMetrics
}

// label returns the operation if it is one of the API's, or else guard.NoField. An operation
// outside of the closed set is a bug, but no reason to fail a request.
func (a *apiMetrics) label(operation string) string {
	if _, ok := a.operations[operation]; ok {
		return operation
	}
	return guard.NoField
}

type operationMetrics struct {
	ok       prometheus.Counter
	duration prometheus.Observer
}

// durations are the upper bounds of the buckets of request durations, in seconds: from a read by id
// to the longest time for one batch of a list.
var durations = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// costs are the upper bounds of the buckets of the costs of operations; 25,000 is the default
// limit.
var costs = []float64{10, 30, 100, 300, 1000, 2500, 5000, 10000, 25000}

// NewMetrics returns the Metrics of a program of this version and commit. They also export the
// counts of the store and of the limiter, which is nil when nothing is limited.
func NewMetrics(version, commit string, stats func() Stats, limiter *Limiter) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), apis: make(map[string]*apiMetrics)}
	counter := func(name, help string) prometheus.CounterOpts { return prometheus.CounterOpts{Name: name, Help: help} }
	m.requests = prometheus.NewCounterVec(
		counter("lumen_requests_total", "Answered requests by outcome: OK or the code of the first error."),
		[]string{"door", "operation", "code"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "lumen_request_duration_seconds", Buckets: durations,
		Help: "Time until the last byte of the reply was handed to the connection, in seconds.",
	}, []string{"door", "operation"})
	inFlight := prometheus.NewGaugeVec(
		prometheus.GaugeOpts{Name: "lumen_requests_in_flight", Help: "Requests being answered."}, []string{"door"})
	aborted := prometheus.NewCounterVec(
		counter("lumen_requests_aborted_total", "Requests whose client disconnected or whose reply was cut off."),
		[]string{"door"})
	m.cost = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "lumen_graphql_operation_cost", Help: "Cost of GraphQL operations, including refused ones.", Buckets: costs,
	})
	documents := prometheus.NewCounterVec(
		counter("lumen_graphql_document_cache_requests_total",
			"GraphQL documents sent by clients, by whether the cache held them."),
		[]string{"result"})
	m.kept, m.parsed = documents.WithLabelValues("hit"), documents.WithLabelValues("miss")
	m.trusted = prometheus.NewCounter(
		counter("lumen_graphql_trusted_documents_total", "GraphQL requests that named a trusted document."))

	for api, operations := range map[string][]string{
		apiREST: append(rest.Operations(), guard.NoField), apiGraphQL: graph.Operations(), apiOther: {guard.NoField},
	} {
		of := &apiMetrics{inFlight.WithLabelValues(api), aborted.WithLabelValues(api), make(map[string]operationMetrics)}
		m.apis[api] = of
		for _, operation := range operations {
			of.operations[operation] = operationMetrics{
				m.requests.WithLabelValues(api, operation, string(okCode)), duration.WithLabelValues(api, operation),
			}
			// rate() misses the first increment of a series that begins at 1.
			for _, failed := range []store.Code{store.Internal, store.Unavailable} {
				m.requests.WithLabelValues(api, operation, string(failed))
			}
		}
	}
	m.registry.MustRegister(m.requests, duration, inFlight, aborted, m.cost, documents, m.trusted,
		collector{stats, limiter}, buildInfo(version, commit),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// begin counts a request as in flight. On nil Metrics begin and end do nothing.
func (m *Metrics) begin(api string) {
	if m != nil {
		m.apis[api].inFlight.Inc()
	}
}

func (m *Metrics) end(api string, n *requestInfo, took time.Duration) {
	if m == nil {
		return
	}
	of := m.apis[api]
	of.inFlight.Dec()
	if n.aborted {
		of.aborted.Inc()
	}
	name := of.label(n.operation)
	operation := of.operations[name]
	operation.duration.Observe(took.Seconds())
	if code := n.outcome(); code == okCode {
		operation.ok.Inc()
	} else {
		m.requests.WithLabelValues(api, name, string(code)).Inc()
	}
	if n.cost > 0 {
		m.cost.Observe(float64(n.cost))
	}
	switch n.document {
	case guard.KeptDocument:
		m.kept.Inc()
	case guard.ParsedDocument:
		m.parsed.Inc()
	case guard.TrustedDocument:
		m.trusted.Inc()
	}
}

// handler returns the handler that Prometheus reads.
func (m *Metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
	})
}

// buildInfo returns the metric that names the running build.
func buildInfo(version, commit string) prometheus.Collector {
	labels := prometheus.Labels{"version": version, "revision": commit, "go_version": runtime.Version()}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lumen_build_info", Help: "The running build, in the labels; always 1.", ConstLabels: labels,
	}, func() float64 { return 1 })
}
