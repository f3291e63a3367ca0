package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"lumen/rest"
)

// blank is an http.ResponseWriter without a connection.
type blank struct{ header http.Header }

func (b blank) Header() http.Header         { return b.header }
func (b blank) WriteHeader(int)             {}
func (b blank) Write(p []byte) (int, error) { return len(p), nil }

// This measures a refusal, which is the reply to a flood: the limiter alone, and the REST API
// without the connection and the lookup of the credential, with and without the line of the log.
func BenchmarkRefusals(b *testing.B) {
	who := caller{merchant: "merchant_01h455vb4pex5vsknk084sn02q", key: "key_01h455vb4pex5vsknk084sn02q"}
	drained := func() *Limiter {
		l := NewLimiter(Rates{Key: 0.001, Merchant: 1e6, Burst: 2})
		l.send(b, who, 0)
		return l
	}
	b.Run("limiter", func(b *testing.B) {
		l, r := drained(), httptest.NewRequest(http.MethodGet, "/", nil)
		limited := l.limit(as(who))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := limited(r); err == nil {
				b.Fatal("admitted")
			}
		}
	})
	b.Run("limiter, admitting", func(b *testing.B) {
		l, r := NewLimiter(Rates{Key: 1e6, Merchant: 1e6, Burst: 3600}), httptest.NewRequest(http.MethodGet, "/", nil)
		limited := l.limit(as(who))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := limited(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, handler := range map[string]slog.Handler{
		"API": slog.NewJSONHandler(io.Discard, nil), "API, no log": slog.DiscardHandler,
	} {
		b.Run(name, func(b *testing.B) {
			log := slog.New(WithRequestID(handler))
			next := rest.NewHandler(nil, nil, drained().limit(as(who)), rest.Options{Log: log})
			api := observe(log, nil, recoverPanics(log, forbidCaching(next)))
			r, w := httptest.NewRequest(http.MethodGet, "/api/customers/cust_1", nil), blank{make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				api.ServeHTTP(w, r)
				if w.header.Get("Retry-After") == "" {
					b.Fatal("admitted")
				}
			}
		})
	}
}
