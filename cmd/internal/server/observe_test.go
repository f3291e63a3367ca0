package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/gate"
)

// scrape returns what Prometheus would read.
func scrape(t testing.TB, private http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	private.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}

var healthy = NewHealth(func(context.Context) error { return nil }, slog.New(slog.DiscardHandler))

func noStats() Stats { return Stats{} }

func TestErrorsWithoutACodeCountByStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]store.Code{200: "OK", 304: "OK", 403: store.Forbidden, 404: store.RouteNotFound, 412: store.BadRequest, 416: store.BadRequest, 429: store.RateLimited, 500: store.Internal, 502: store.Internal, 503: store.Unavailable} {
		require.Equal(t, want, (&requestInfo{status: status}).outcome(), status)
	}
	require.Equal(t, store.NotFound, (&requestInfo{status: 404, code: store.NotFound}).outcome())
	notConfigured := (&requestInfo{status: 503, code: store.TokensNotConfigured}).outcome()
	require.Equal(t, store.TokensNotConfigured, notConfigured, "no outage, for those that alert on one")
	require.Equal(t, store.EmailTaken, (&requestInfo{status: 200, code: store.EmailTaken}).outcome(), "a user error of GraphQL")
}

// While the database is down, each request reports a cause.
func TestFloodOfOutagesIsSampled(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	log := slog.New(outageSampler{slog.NewJSONHandler(&text, nil), new(logSampler)}).With("door", "rest")
	const flood = 5 * maxLoggedPerSecond
	begun := time.Now()
	for range flood {
		log.Error("request failed", "code", store.Unavailable, "error", errors.New("no connection"))
		log.Error("request failed", "code", store.Internal, "error", errors.New("a bug"))
	}
	told := strings.Count(text.String(), "no connection")
	require.GreaterOrEqual(t, told, maxLoggedPerSecond)
	require.LessOrEqual(t, told, maxLoggedPerSecond*(2+int(time.Since(begun)/time.Second)))
	require.Equal(t, flood, strings.Count(text.String(), "a bug"))
}

func TestBuildInfo(t *testing.T) {
	t.Parallel()
	shown := scrape(t, NewPrivate(NewMetrics("v1.2.3", "c0ffee", noStats, nil), healthy, slog.New(slog.DiscardHandler)))
	require.Contains(t, shown, `lumen_build_info{go_version="`+runtime.Version()+`",revision="c0ffee",version="v1.2.3"} 1`)
	require.Contains(t, shown, `lumen_requests_total{code="UNAVAILABLE",door="rest",operation="getCustomer"} 0`, "the series exists before the first failure")
}

func TestLineOfARequest(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(WithRequestID(slog.NewJSONHandler(&log, nil)))
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		annotateREST(r.Context(), "getCustomer", "")
		annotateREST(r.Context(), "", store.NotFound)
		annotate(r.Context(), func(n *requestInfo) { n.merchant, n.key = "merchant_1", "key_1" })
		time.Sleep(time.Millisecond)
		w.WriteHeader(404)
	})
	send := func(method string) (line map[string]any) {
		log.Reset()
		r := httptest.NewRequest(method, "/api/customers/cust_1?email=x", nil)
		r.Header.Set("X-Request-Id", "from-a-proxy")
		observe(logger, nil, answer).ServeHTTP(httptest.NewRecorder(), r)
		require.NoError(t, json.Unmarshal(log.Bytes(), &line))
		return line
	}
	line := send("GET")
	took := line["duration_ms"].(float64)
	require.True(t, took >= 1 && took < 10_000, took)
	delete(line, "duration_ms")
	delete(line, "time")
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "request", "method": "GET", "route": "/api/customers/{id}", "operation": "getCustomer", "code": "NOT_FOUND",
		"status": 404.0, "aborted": false, "merchant": "merchant_1", "key": "key_1", "requestId": "from-a-proxy",
	}, line)
	require.Equal(t, "other", send("JANE")["method"], "a method can be any word")
}

// A line has the same bytes whether or not it is the first with its result, in both formats.
func TestLineOfARequestIsExact(t *testing.T) {
	t.Parallel()
	times := regexp.MustCompile(`(time"?[:=]"?)[^" ]+|(duration_ms"?[:=])[0-9.]+`)
	for format, want := range map[string]string{
		"json": `{"time":"T","level":"INFO","msg":"request","method":"GET","route":"/api/customers/{id}","operation":"getCustomer",` +
			`"code":"%[1]s","status":%[2]d,"aborted":%[3]t,"duration_ms":T,"merchant":"merchant_1","key":"key_1"%[4]s,"requestId":"%[5]s"}` + "\n",
		"text": `time=T level=INFO msg=request method=GET route=/api/customers/{id} operation=getCustomer ` +
			`code=%[1]s status=%[2]d aborted=%[3]t duration_ms=T merchant=merchant_1 key=key_1%[4]s requestId=%[5]s` + "\n",
	} {
		var out bytes.Buffer
		unlogged, found := `,"unlogged":0`, `,"customer":"cust_1"`
		log := NewLog(&out, func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) })
		if format == "text" {
			unlogged, found = " unlogged=0", " customer=cust_1"
			log = NewLog(&out, func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) })
		}
		endBuffering(log)
		handler := observe(log, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			annotateREST(r.Context(), "getCustomer", "")
			annotate(r.Context(), func(info *requestInfo) { info.merchant, info.key = "merchant_1", "key_1" })
			switch r.URL.RawQuery {
			case "found":
				annotateRow(r.Context(), "customer", "cust_1")
			case "cut":
				panic(http.ErrAbortHandler)
			case "limited":
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}))
		for _, c := range []struct {
			query, code string
			status      int
			aborted     bool
			more        string
		}{
			{"", "OK", 200, false, ""}, {"found", "OK", 200, false, found}, {"cut", "OK", 200, true, ""},
			{"limited", "RATE_LIMITED", 429, false, unlogged},
		} {
			for _, id := range []string{"one", "two"} {
				out.Reset()
				r := httptest.NewRequest("GET", "/api/customers/cust_1?"+c.query, nil)
				r.Header.Set("X-Request-Id", id)
				func() {
					defer func() { _ = recover() }()
					handler.ServeHTTP(httptest.NewRecorder(), r)
				}()
				require.Equal(t, fmt.Sprintf(want, c.code, c.status, c.aborted, c.more, id), times.ReplaceAllString(out.String(), "${1}${2}T"))
			}
		}
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	seen, letters := make(map[string]bool), make(map[rune]int)
	send := func(given ...string) string {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header[requestIDHeader] = given
		observe(slog.New(slog.DiscardHandler), nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			require.Equal(t, w.Header().Get("X-Request-Id"), RequestID(r.Context()))
		})).ServeHTTP(w, r)
		return w.Header().Get("X-Request-Id")
	}
	for range 2000 {
		id := send()
		require.Regexp(t, "^[A-Z2-7]{26}$", id)
		require.False(t, seen[id])
		seen[id] = true
		for _, letter := range id {
			letters[letter]++
		}
	}
	require.Len(t, letters, 32)
	for letter, n := range letters {
		require.InDelta(t, 2000*26/32, n, 300, "%c", letter)
	}
	for _, id := range []string{
		"a.B_c-9", "|7dac6e6c-4a8f1b2c.", "2d5b6b4e-9f0e-4d0e-8a4c-1b7e5a6f7c8d#14", "Root=1-67891233-abcdef012345678912345678", "Zm9v+/Zm9vYg==",
		"projects/p/traces/1:2", "job@host:8080", "~", strings.Repeat("a", 128),
	} {
		require.Equal(t, id, send(id))
	}
	require.Equal(t, "first", send("first", "second"))
	for _, malformed := range []string{"", " ", "a b", "a\nb", strings.Repeat("a", 129), "ä", "a;b", "a,b", `a"b`, "a\\b", "<a>", "{a}", "a%20b", "a\x7f"} {
		require.Regexp(t, "^[A-Z2-7]{26}$", send(malformed))
	}
}

// A reply that shared caches may keep carries no id, however it begins, while its line in the log
// does. The reply after a panic is private.
func TestPublicRepliesCarryNoRequestID(t *testing.T) {
	t.Parallel()
	const public, private, id = "public, max-age=300", "no-store", "from-a-proxy"
	for begins, begin := range map[string]func(http.ResponseWriter){
		"with a status": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) },
		"with a write":  func(w http.ResponseWriter) { _, _ = io.WriteString(w, "kept") },
		"with nothing":  func(http.ResponseWriter) {},
		"with a panic":  func(http.ResponseWriter) { panic("a bug") },
	} {
		for _, cache := range []string{public, private, "no-cache", ""} {
			var text bytes.Buffer
			log := slog.New(WithRequestID(slog.NewJSONHandler(&text, nil)))
			handler := observe(log, nil, recoverPanics(log, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", cache)
				begin(w)
			})))
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/docs", nil)
			r.Header.Set("X-Request-Id", id)
			handler.ServeHTTP(w, r)
			given := w.Result().Header
			if begins == "with a panic" {
				require.Equal(t, private, given.Get("Cache-Control"))
			}
			require.Equal(t, given.Get("Cache-Control") != public, given.Get("X-Request-Id") == id, "%s, %s", begins, cache)
			require.Equal(t, given.Get("Cache-Control") == public, given["X-Request-Id"] == nil, "%s, %s", begins, cache)
			require.Contains(t, text.String(), `"msg":"request"`)
			require.Contains(t, text.String(), `"requestId":"`+id+`"`)
		}
	}
}

// A flood of refusals is counted and does not fill the log. Requests that are served all have their
// line.
func TestFloodOfRefusalsIsSampled(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			w.WriteHeader(429)
		}
	})
	metrics := NewMetrics("v1.2.3", "c0ffee", noStats, nil)
	handler := observe(slog.New(slog.NewJSONHandler(&log, nil)), metrics, refuse)
	send := func(method string) {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/api/customers", nil))
	}
	const flood = 5 * maxLoggedPerSecond
	begun := time.Now()
	for range flood {
		send("GET")
		send("POST")
	}
	told := strings.Count(log.String(), `"code":"RATE_LIMITED"`)
	require.LessOrEqual(t, told, maxLoggedPerSecond*(2+int(time.Since(begun)/time.Second)))
	require.Equal(t, flood, strings.Count(log.String(), `"code":"OK"`))
	require.Contains(t, scrape(t, NewPrivate(metrics, healthy, slog.New(slog.DiscardHandler))),
		fmt.Sprintf(`lumen_requests_total{code="RATE_LIMITED",door="rest",operation="none"} %d`, flood))
	time.Sleep(time.Second)
	send("GET")
	unlogged := 0
	for line := range strings.Lines(log.String()) {
		var fields struct{ Unlogged int }
		require.NoError(t, json.Unmarshal([]byte(line), &fields))
		unlogged += fields.Unlogged
	}
	require.Equal(t, flood, told+unlogged, "later lines say how many were not logged")
}

func TestPanicsAndCutRepliesAreCounted(t *testing.T) {
	t.Parallel()
	metrics := NewMetrics("v1.2.3", "c0ffee", noStats, nil)
	var log bytes.Buffer
	logger := slog.New(WithRequestID(slog.NewJSONHandler(&log, nil)))
	serve := func(serve http.HandlerFunc) {
		defer func() { _ = recover() }()
		observe(logger, metrics, recoverPanics(logger, serve)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/customers", nil))
	}
	serve(func(http.ResponseWriter, *http.Request) { panic("a bug") })
	serve(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	var during string
	serve(func(http.ResponseWriter, *http.Request) { during = scrape(t, NewPrivate(metrics, healthy, logger)) })
	require.Contains(t, during, `lumen_requests_in_flight{door="rest"} 1`)
	after := scrape(t, NewPrivate(metrics, healthy, logger))
	require.Contains(t, after, `lumen_requests_in_flight{door="rest"} 0`)
	require.Contains(t, after, `lumen_requests_aborted_total{door="rest"} 1`)
	require.Contains(t, after, `lumen_requests_total{code="INTERNAL",door="rest",operation="none"} 1`)
	require.Contains(t, after, `lumen_requests_total{code="OK",door="rest",operation="none"} 2`)
	require.Equal(t, 3, strings.Count(log.String(), `"msg":"request"`))
	require.Equal(t, 1, strings.Count(log.String(), `"aborted":true`))
}

func TestRefusalsAreCountedByLimit(t *testing.T) {
	t.Parallel()
	limiter := NewLimiter(Rates{Customer: 1, Key: 1, Merchant: 1})
	limiter.of(t, "customer").refused.Add(5)
	limiter.of(t, "key").refused.Add(3)
	limiter.of(t, "merchant").refused.Add(2)
	metrics := NewMetrics("v1.2.3", "c0ffee", func() Stats {
		return Stats{Customers: store.PoolStats{Gate: gate.Stats{TenantLimits: 1, Overloads: 4}}}
	}, limiter)
	shown := scrape(t, NewPrivate(metrics, healthy, slog.New(slog.DiscardHandler)))
	for _, line := range []string{
		`{limit="customer"} 5`, `{limit="key"} 3`, `{limit="merchant"} 2`, `{limit="concurrency"} 1`, `{limit="overload"} 4`,
	} {
		require.Contains(t, shown, "\nlumen_refusals_total"+line+"\n")
	}
}

func TestPrivatePathsAreNotPublic(t *testing.T) {
	t.Parallel()
	private := NewPrivate(NewMetrics("v1.2.3", "c0ffee", noStats, nil), healthy, slog.New(slog.DiscardHandler))
	for path, status := range map[string]int{
		"/metrics": 200, "/healthz": 200, "/readyz": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/symbol": 200, "/debug/pprof/profile?seconds=1": 200,
		"/debug/pprof/cmdline": 404, "/graphql": 404, "/api/customers": 404, "/": 404,
	} {
		w := httptest.NewRecorder()
		private.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		require.Equal(t, status, w.Code, path)
		for _, options := range []Options{{Playground: true}, {LoopbackOnly: true, Playground: true}} {
			if strings.HasPrefix(path, "/debug") || path == "/metrics" {
				require.Equal(t, 404, open(options, here, "localhost", path).Code, path)
			}
		}
	}
}

// exporter records what is exported, or fails.
type exporter struct {
	*tracetest.InMemoryExporter
	export func(context.Context) error
}

func (e exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if e.export != nil {
		return e.export(ctx)
	}
	return e.InMemoryExporter.ExportSpans(ctx, spans)
}

func TestOnlyAllowedAttributesAreExported(t *testing.T) {
	t.Parallel()
	kept := tracetest.NewInMemoryExporter()
	tracing := newTracing(exporter{InMemoryExporter: kept}, resource.Empty(), slog.New(slog.DiscardHandler))
	defer tracing.Stop(t.Context())
	_, span := tracing.provider.Tracer("").Start(t.Context(), "a span", trace.WithAttributes(codeKey.String("INTERNAL"), attribute.String("url.full", "canary")),
		trace.WithLinks(trace.Link{Attributes: []attribute.KeyValue{attribute.String("x", "canary")}}))
	span.RecordError(errors.New("canary"))
	span.SetStatus(codes.Error, "canary")
	span.End()
	require.NoError(t, tracing.provider.ForceFlush(t.Context()))
	exported := kept.GetSpans()
	require.Len(t, exported, 1)
	require.Equal(t, []attribute.KeyValue{codeKey.String("INTERNAL")}, exported[0].Attributes)
	require.Equal(t, sdktrace.Status{Code: codes.Error, Description: "INTERNAL"}, exported[0].Status)
	require.Empty(t, exported[0].Events)
	require.Empty(t, exported[0].Links)
}

// Whatever the collector does, requests get the same replies, and the log has one warning.
func TestCollectorThatIsDownDelaysNothing(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	for name, export := range map[string]func(context.Context) error{
		"refuses":       func(context.Context) error { return errors.New("connection refused") },
		"never answers": func(context.Context) error { <-over; return errors.New("hung up") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer // only the exporting goroutine writes to it, and ends before the test reads
			tracing := newTracing(exporter{tracetest.NewInMemoryExporter(), export}, resource.Empty(), slog.New(slog.NewJSONHandler(&log, nil)))
			handler := tracing.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				require.True(t, trace.SpanFromContext(r.Context()).IsRecording())
				_, _ = io.WriteString(w, "answered")
			}))
			for range 5000 { // more than the queue for the collector holds
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest("GET", "/api/customers", nil))
				require.Equal(t, "answered", w.Body.String())
			}
			start := time.Now()
			tracing.Stop(t.Context())
			require.Less(t, time.Since(start), flushTime+2*time.Second)
			if name == "refuses" {
				require.Equal(t, 1, strings.Count(log.String(), "traces cannot be exported"), log.String())
			}
		})
	}
}

// A streamed list sets a deadline for each batch, through the writers of the tracing.
func TestTracedRepliesKeepTheirConnection(t *testing.T) {
	t.Parallel()
	tracing := newTracing(exporter{InMemoryExporter: tracetest.NewInMemoryExporter()}, resource.Empty(), slog.New(slog.DiscardHandler))
	defer tracing.Stop(t.Context())
	streamed := make(chan error, 1)
	server := httptest.NewServer(tracing.wrap(observe(slog.New(slog.DiscardHandler), nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection := http.NewResponseController(w)
		streamed <- errors.Join(connection.SetWriteDeadline(time.Now().Add(time.Minute)), connection.Flush())
	}))))
	defer server.Close()
	response, err := http.Get(server.URL + "/api/customers")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NoError(t, <-streamed)
}

func TestTracingIsConfiguredByTheStandardVariables(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"} {
		t.Setenv(name, "")
	}
	for name, c := range map[string]struct {
		env  map[string]string
		on   bool
		says string
	}{
		"nothing is set":           {},
		"for all signals":          {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, on: true},
		"for traces":               {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://127.0.0.1:1/v1/traces", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, on: true},
		"gRPC":                     {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, on: true},
		"turned off":               {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}},
		"no exporter":              {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}},
		"another exporter":         {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "zipkin"}, says: "OTEL_TRACES_EXPORTER is neither"},
		"not a URL":                {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, says: "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL"},
		"another protocol":         {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/xml"}, says: "OTEL_EXPORTER_OTLP_PROTOCOL is none of"},
		"attributes that are none": {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_RESOURCE_ATTRIBUTES": "no"}, says: "OTEL_RESOURCE_ATTRIBUTES"},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range c.env {
				t.Setenv(key, value)
			}
			tracing, err := NewTracing(t.Context(), log)
			tracing.Stop(t.Context())
			require.Equal(t, c.on, tracing != nil)
			if c.says == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.says)
			}
		})
	}
}

// A malformed variable with headers may still hold the collector's secret.
func TestTracingKeepsTheCollectorsSecret(t *testing.T) {
	var text bytes.Buffer
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	for _, header := range []string{"authorization: Bearer hunter2", "authorization=hunter2%zz", "a hunter2=b"} {
		text.Reset()
		t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", header)
		tracing, err := NewTracing(t.Context(), slog.New(slog.NewJSONHandler(&text, nil)))
		require.NoError(t, err)
		tracing.Stop(t.Context())
		require.Contains(t, text.String(), `"from":"OpenTelemetry"`, "that something is wrong is said")
		require.NotContains(t, text.String(), "hunter2")
	}
}

// BenchmarkObserve measures what a request costs besides its reply.
func BenchmarkObserve(b *testing.B) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		annotateREST(r.Context(), "getCustomer", "")
		w.WriteHeader(http.StatusOK)
	})
	log := slog.New(WithRequestID(slog.NewJSONHandler(io.Discard, nil)))
	silent := slog.New(slog.DiscardHandler)
	tracing := newTracing(exporter{InMemoryExporter: tracetest.NewInMemoryExporter(), export: func(context.Context) error { return nil }}, resource.Empty(), silent)
	defer tracing.Stop(b.Context())
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{
		{"nothing", answer},
		{"the log", observe(log, nil, answer)},
		{"the log and metrics", observe(log, NewMetrics("v1.2.3", "c0ffee", noStats, nil), answer)},
		{"the log, metrics and traces", tracing.wrap(observe(log, NewMetrics("v1.2.3", "c0ffee", noStats, nil), answer))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/api/customers/cust_1", nil)
			for b.Loop() {
				clear(w.Header())
				c.handler.ServeHTTP(w, r)
			}
		})
	}
}

// noBackend is a backend for requests that do not reach it.
var noBackend = &Backend{Store: store.New(bun.NewDB(nil, pgdialect.New()), store.Options{}), Auth: &auth.Auth{}}
