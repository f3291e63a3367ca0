package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/gate"
)

// BenchmarkChain measures what this package does for a read by id. It leaves out the connection,
// the lookup of the credential and the API.
func BenchmarkChain(b *testing.B) {
	file, err := os.CreateTemp(b.TempDir(), "log")
	require.NoError(b, err)
	body, length := make([]byte, 500), []string{"500"}
	credential := store.Credential{
		KeyID: "key_01h455vb4pex5vsknk084sn02q", Access: store.WriteAccess,
		Merchant: store.Merchant{ID: "merchant_01h455vb4pex5vsknk084sn02q", Name: "Shop"},
	}
	for _, c := range []struct {
		name    string
		to      io.Writer
		metrics bool
	}{{"log to nowhere", io.Discard, false}, {"log to a file", file, false}, {"log to a file, metrics", file, true}} {
		b.Run(c.name, func(b *testing.B) {
			log := NewLog(c.to, func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) })
			defer endBuffering(log)
			limiter := NewLimiter(Rates{Key: 1e6, Merchant: 1e6, Customer: 1e6, Burst: 3600})
			authenticate := limiter.limit(func(r *http.Request) (context.Context, error) {
				ctx, _ := gate.WithArrival(r.Context())
				annotate(ctx, func(info *requestInfo) { info.merchant, info.key = credential.Merchant.ID, credential.KeyID })
				return store.WithCredential(ctx, credential), nil
			})
			api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				annotateREST(r.Context(), "getCustomer", "")
				ctx, err := authenticate(r)
				if err != nil {
					b.Fatal(err)
				}
				_ = r.WithContext(ctx)
				annotateRow(r.Context(), "customer", "cust_01h455vb4pex5vsknk084sn02q")
				w.Header()["Content-Length"] = length
				w.WriteHeader(http.StatusOK)
				_, _ = w.Write(body)
			})
			mux := http.NewServeMux()
			mux.Handle("/", api)
			options := Options{Log: log}
			if c.metrics {
				options.Metrics = NewMetrics("v1.2.3", "c0ffee", noStats, limiter)
			}
			chain := closeAfterAmbiguousFraming(healthy.wrap(wrapped(mux, api, options)))
			r, w := httptest.NewRequest(http.MethodGet, "/api/customers/cust_1", nil), blank{make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				chain.ServeHTTP(w, r)
			}
		})
	}
}
