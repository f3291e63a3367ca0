package graph

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"lumen/graph/guard"
	"lumen/store"
	"lumen/store/storetest"
	"lumen/store/wall"
)

// reply is an http.ResponseWriter that reuses its memory, so that the benchmarks count only the
// allocations of the handler.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *reply) Header() http.Header         { return r.header }
func (r *reply) WriteHeader(status int)      { r.status = status }
func (r *reply) Write(b []byte) (int, error) { return r.body.Write(b) }

// bench measures a query. variables returns the variables of the next request. The reply must
// contain the text wanted n times.
func bench(b *testing.B, handler http.Handler, name, query string, variables func(*testing.B) string, wanted string, n int) {
	text, err := json.Marshal(query)
	require.NoError(b, err)
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		w := &reply{header: make(http.Header)}
		serve := func() {
			r, err := http.NewRequest("POST", "/graphql", strings.NewReader(`{"query":`+string(text)+`,"variables":`+variables(b)+`}`))
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			clear(w.header)
			w.body.Reset()
			handler.ServeHTTP(w, r)
			if w.status != http.StatusOK || !bytes.HasPrefix(w.body.Bytes(), []byte(`{"data":{`)) {
				b.Fatalf("%d %s", w.status, &w.body)
			}
		}
		check := func() {
			require.Equal(b, n, strings.Count(w.body.String(), wanted), &w.body)
			require.NotContains(b, w.body.String(), `"errors"`)
		}
		serve() // The first request connects and prepares the statement.
		check()
		for b.Loop() {
			serve()
		}
		check()
	})
}

func fixed(variables string) func(*testing.B) string {
	return func(*testing.B) string { return variables }
}

const (
	all  = `{id email name userId billingAddressLine1 billingAddressLine2 billingCity billingPostalCode billingCountry taxId merchantId createdAt updatedAt deletedAt emailShared}`
	page = `query($first:Int){customers(first:$first){edges{cursor node` + all + `} pageInfo{hasNextPage endCursor}}}`
)

// BenchmarkOperations measures the operations that clients send most often, without a network and
// without authentication, for a merchant with 10,000 customers beside two other merchants.
// Operations that write come last, where they do not affect the others.
func BenchmarkOperations(b *testing.B) {
	const held = 10_000
	db, merchant, ids := storetest.Filled(b, held)
	credential, _ := store.CredentialFrom(db.Context(b, merchant))
	handler := NewHandler(db.Store(b), nil, func(r *http.Request) (context.Context, error) {
		return store.WithCredential(r.Context(), credential), nil
	}, Options{Limits: guard.DefaultLimits, Log: slog.New(slog.DiscardHandler), RequestID: func(context.Context) string { return "request" }})

	var aliases strings.Builder
	for i, id := range ids[:30] {
		fmt.Fprintf(&aliases, "a%d:customer(id:%q)%s ", i, id, all)
	}
	thirty, err := json.Marshal(ids[:30])
	require.NoError(b, err)
	count := 0
	next := func() int { count++; return count }

	bench(b, handler, "customer", `query($id:ID!){customer(id:$id)`+all+`}`, fixed(`{"id":"`+ids[0]+`"}`), `"id":"`+ids[0]+`"`, 1)
	bench(b, handler, "30 customers by alias", `{`+aliases.String()+`}`, fixed(`null`), `"emailShared":false`, 30)
	bench(b, handler, "30 nodes", `query($ids:[ID!]!){nodes(ids:$ids){...on Customer`+all+`}}`, fixed(`{"ids":`+string(thirty)+`}`), `"emailShared":false`, 30)
	bench(b, handler, "a page of 50", page, fixed(`{"first":50}`), `"emailShared":false`, 50)
	bench(b, handler, "the total", `{customers(first:1){totalCount}}`, fixed(`null`), fmt.Sprintf(`"totalCount":%d`, held), 1)
	bench(b, handler, "updateCustomer", `mutation($id:ID!,$input:UpdateCustomerInput!){updateCustomer(id:$id,input:$input){customer`+all+` userErrors{code field message}}}`, func(*testing.B) string {
		n := next()
		return fmt.Sprintf(`{"id":%q,"input":{"name":"Renamed %d"}}`, ids[n%len(ids)], n)
	}, `"name":"Renamed `, 1)
	bench(b, handler, "createCustomer", `mutation($input:CreateCustomerInput!){createCustomer(input:$input){customer`+all+` userErrors{code field message}}}`, func(*testing.B) string {
		return fmt.Sprintf(`{"input":{"email":"created%d@example.com","name":"Name","userId":"user","billingCountry":"DE"}}`, next())
	}, `"id":"cust_`, 1)
	bench(b, handler, "deleteCustomer", `mutation($id:ID!){deleteCustomer(id:$id){deletedCustomerId userErrors{code}}}`, func(b *testing.B) string {
		if len(ids) == 0 {
			b.StopTimer()
			ids = db.Fill(b, merchant, held)
			b.StartTimer()
		}
		id := ids[0]
		ids = ids[1:]
		return `{"id":"` + id + `"}`
	}, `"deletedCustomerId":"cust_`, 1)
}

// BenchmarkPageWithoutPostgres measures a page of 50 rows over a database that answers at once.
func BenchmarkPageWithoutPostgres(b *testing.B) {
	db := bun.NewDB(sql.OpenDB(full{}), pgdialect.New())
	b.Cleanup(func() { _ = db.Close() })
	customers := store.New(db, store.Options{})
	handler := NewHandler(customers, nil, func(r *http.Request) (context.Context, error) {
		return store.WithCredential(r.Context(), store.Credential{Merchant: store.Merchant{ID: "merchant_1"}}), nil
	}, Options{Limits: guard.DefaultLimits, Log: slog.New(slog.DiscardHandler), RequestID: func(context.Context) string { return "request" }})
	bench(b, handler, "50", page, fixed(`{"first":50}`), `"emailShared":true`, 50)
}

// full is a database in which every statement finds 51 customers.
type full struct{ storetest.FakeDriver }

func (full) Connect(context.Context) (driver.Conn, error) { return full{}, nil }
func (full) Query(_ context.Context, _ string, _ []any, each func(*wall.Row)) error {
	text := []byte("Some text of a usual length")
	at := binary.BigEndian.AppendUint64(nil, 800_000_000_000_000)
	var fields []pgconn.FieldDescription
	var values [][]byte
	for _, kind := range []byte("tttttttttttzz-btt") { // t: text, z: time, -: null, b: Boolean
		fields = append(fields, pgconn.FieldDescription{DataTypeOID: map[byte]uint32{'t': pgtype.TextOID, 'z': pgtype.TimestamptzOID, '-': pgtype.TimestamptzOID, 'b': pgtype.BoolOID}[kind]})
		values = append(values, map[byte][]byte{'t': text, 'z': at, '-': nil, 'b': {1}}[kind])
	}
	for range 51 {
		each(wall.NewRow(fields, values))
	}
	return nil
}
