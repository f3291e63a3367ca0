package rest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/storetest"
)

// reply is an http.ResponseWriter that reuses its memory, so that the benchmarks count only the
// allocations of the handler.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *reply) Header() http.Header              { return r.header }
func (r *reply) WriteHeader(status int)           { r.status = status }
func (r *reply) Write(b []byte) (int, error)      { return r.body.Write(b) }
func (r *reply) SetWriteDeadline(time.Time) error { return nil }
func (r *reply) reset() {
	clear(r.header)
	r.status = http.StatusOK
	r.body.Reset()
}

// BenchmarkRoutes measures each route, without a network and without authentication, for a merchant
// with 10,000 customers beside two other merchants. Routes that write come last, where they do not
// affect the others.
func BenchmarkRoutes(b *testing.B) {
	const held = 10_000
	db, merchant, ids := storetest.Filled(b, held)
	credential, _ := store.CredentialFrom(db.Context(b, merchant))
	api := NewHandler(db.Store(b), nil, func(r *http.Request) (context.Context, error) {
		return store.WithCredential(r.Context(), credential), nil
	}, Options{Log: slog.New(slog.DiscardHandler)})

	// ask returns the path and the body of the next request.
	bench := func(name, method string, status int, ask func(*testing.B) (path, body string), holds func(body []byte) bool) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := &reply{header: make(http.Header)}
			serve := func() {
				path, body := ask(b)
				r, err := http.NewRequest(method, path, strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				w.reset()
				api.ServeHTTP(w, r)
				if w.status != status {
					b.Fatalf("%d %s", w.status, &w.body)
				}
			}
			serve() // The first request connects and prepares the statement.
			require.True(b, holds(w.body.Bytes()))
			for b.Loop() {
				serve()
			}
			require.True(b, holds(w.body.Bytes()))
		})
	}
	path := func(path string) func(*testing.B) (string, string) {
		return func(*testing.B) (string, string) { return path, "" }
	}
	starts := func(text string) func([]byte) bool {
		return func(body []byte) bool { return bytes.HasPrefix(body, []byte(text)) }
	}
	listed := func(n int) func([]byte) bool {
		return func(body []byte) bool { return bytes.Count(body, []byte(`"id":`)) == n }
	}
	count := 0
	next := func() int { count++; return count }

	bench("get", "GET", 200, path("/api/customers/"+ids[0]), starts(`{"customer":{"id":"`+ids[0]+`"`))
	bench("list a page of 50", "GET", 200, path("/api/customers?limit=50"), listed(50))
	bench("list all 10000", "GET", 200, path("/api/customers"), listed(held))
	bench("update", "PATCH", 200, func(*testing.B) (string, string) {
		n := next()
		return "/api/customers/" + ids[n%len(ids)], fmt.Sprintf(`{"name":"Renamed %d"}`, n)
	}, func(body []byte) bool { return bytes.Contains(body, []byte(`"name":"Renamed `)) })
	bench("create", "POST", 201, func(*testing.B) (string, string) {
		return "/api/customers", fmt.Sprintf(`{"email":"created%d@example.com","name":"Name","userId":"user","billingCountry":"DE"}`, next())
	}, starts(`{"customer":{"id":"cust_`))
	bench("delete", "DELETE", 200, func(b *testing.B) (string, string) {
		if len(ids) == 0 {
			b.StopTimer()
			ids = db.Fill(b, merchant, held)
			b.StartTimer()
		}
		id := ids[0]
		ids = ids[1:]
		return "/api/customers/" + id, ""
	}, starts(`{"success":true}`))
}

// BenchmarkEncodePage measures the encoding of a page of 50 customers as JSON, without Postgres.
func BenchmarkEncodePage(b *testing.B) {
	text := "Some text of a usual length"
	page := &store.Page[store.Customer]{}
	for i := range 50 {
		page.Items = append(page.Items, store.Customer{
			ID: fmt.Sprintf("cust_%026d", i), Email: "somebody@example.com", Name: &text, UserID: &text, BillingAddressLine1: &text,
			BillingCity: &text, BillingPostalCode: &text, BillingCountry: &text, TaxID: &text, MerchantID: fmt.Sprintf("merchant_%026d", 1),
			CreatedAt: time.UnixMilli(1_700_000_000_000), UpdatedAt: time.UnixMilli(1_700_000_000_000),
		})
	}
	service := customers
	w := &reply{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		w.reset()
		send(w, http.StatusOK, "application/json", service.appendPage(nil, page))
	}
	require.Equal(b, 50, bytes.Count(w.body.Bytes(), []byte(`"id":`)))
}
