package e2e

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	v1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"lumen/cmd/internal/e2e/harness"
)

const callerSpan = "b7ad6b7169203331"

// traceparent returns the header that makes a request part of the caller's trace.
func traceparent(id string) []string { return []string{"00-" + id + "-" + callerSpan + "-01"} }

// requireNested requires that each span is the child of the one before it.
func requireNested(t *testing.T, spans map[string]*v1.Span, names ...string) {
	t.Helper()
	for i, name := range names {
		require.Contains(t, spans, name)
		if i > 0 {
			require.Equal(t, hex.EncodeToString(spans[names[i-1]].SpanId), hex.EncodeToString(spans[name].ParentSpanId), "%s must be a child of %s", name, names[i-1])
		}
	}
}

// TestTracesGoFromHTTPToSQL sends requests with a traceparent and checks the spans that a collector
// receives: their nesting from HTTP through GraphQL to SQL, attributes, status, and that no value
// of the failure's message is exported.
func TestTracesGoFromHTTPToSQL(t *testing.T) {
	collector := openCollector(t)
	t.Setenv("OTEL_SERVICE_NAME", "lumen-test")
	d := harness.Serve(t)
	m := d.Merchant(t, "Traced")

	t.Run("REST, with the lookup of the credential", func(t *testing.T) {
		const id = "0af7651916cd43dd8448eb211c80319c"
		r := d.Send(t, m.ReadKey, "GET", "/api/customers/cust_absent", "", header("traceparent", traceparent(id)...))
		require.Equal(t, 404, r.Status)
		const root = "GET /api/customers/{id}"
		spans := collector.trace(t, id, root, "SELECT customers", "SELECT lumen_authenticate", "SELECT lumen_key_used")
		requireNested(t, spans, root, "SELECT customers")
		requireNested(t, spans, root, "SELECT lumen_authenticate")
		requireNested(t, spans, root, "SELECT lumen_key_used")
		require.Equal(t, callerSpan, hex.EncodeToString(spans[root].ParentSpanId))
		require.Equal(t, v1.Span_SPAN_KIND_SERVER, spans[root].Kind)
		require.Equal(t, v1.Span_SPAN_KIND_CLIENT, spans["SELECT customers"].Kind)
		require.Equal(t, v1.Status_STATUS_CODE_UNSET, spans[root].Status.GetCode(), "an error of the client is not a failed span")
		require.Equal(t, map[string]string{
			"http.request.method": "GET", "http.route": "/api/customers/{id}", "http.response.status_code": "", "http.response.body.size": "",
			"lumen.operation": "getCustomer", "lumen.code": "NOT_FOUND", "lumen.merchant.id": m.ID,
		}, attributes(spans[root]))
		require.Equal(t, map[string]string{"db.system.name": "postgresql", "db.operation.name": "SELECT", "db.collection.name": "customers"}, attributes(spans["SELECT customers"]))
		require.Equal(t, map[string]string{"db.system.name": "postgresql", "db.operation.name": "SELECT", "db.stored_procedure.name": "lumen_authenticate"}, attributes(spans["SELECT lumen_authenticate"]))
		require.Contains(t, d.Logged(), `"traceId":"`+id+`"`)
		require.Equal(t, "lumen-test", collector.resource["service.name"])
		require.Equal(t, "opens", collector.header.Get("X-Collector-Key"))
	})
	t.Run("GraphQL, with each root field", func(t *testing.T) {
		const id = "1af7651916cd43dd8448eb211c80319c"
		r := d.GraphQL(t, m.ReadKey, `query Mine { own: merchant { id } customer(id: "cust_absent") { id } }`, nil, header("traceparent", traceparent(id)...))
		require.Equal(t, 200, r.Status)
		spans := collector.trace(t, id, "POST /graphql", "query", "Query.customer", "Query.merchant", "SELECT customers")
		requireNested(t, spans, "POST /graphql", "query", "Query.customer", "SELECT customers")
		requireNested(t, spans, "query", "Query.merchant")
		require.Equal(t, map[string]string{"graphql.operation.type": "query"}, attributes(spans["query"]))
		require.Equal(t, "several", attributes(spans["POST /graphql"])["lumen.operation"])
	})
	t.Run("failed spans have the code as their status", func(t *testing.T) {
		const id = "2af7651916cd43dd8448eb211c80319c"
		d.SQL(t, "ALTER TABLE customers RENAME TO mislaid")
		defer d.SQL(t, "ALTER TABLE mislaid RENAME TO customers")
		r := d.GraphQL(t, m.ReadKey, `{ customer(id: "cust_absent") { id } }`, nil, header("traceparent", traceparent(id)...))
		require.Contains(t, r.Body, `"INTERNAL"`)
		spans := collector.trace(t, id, "POST /graphql", "Query.customer", "SELECT customers")
		for _, name := range []string{"POST /graphql", "Query.customer", "SELECT customers"} {
			require.Equal(t, v1.Status_STATUS_CODE_ERROR, spans[name].Status.Code, name)
			require.Equal(t, "INTERNAL", spans[name].Status.Message, name)
			require.Empty(t, spans[name].Events)
		}
		require.Equal(t, "42P01", attributes(spans["SELECT customers"])["db.response.status_code"])
		require.NotContains(t, collector.received.String(), "mislaid")
		require.Contains(t, d.Logged(), `"field":"Query.customer"`)
	})
	t.Run("user errors are not failures, refused documents are", func(t *testing.T) {
		const id = "3af7651916cd43dd8448eb211c80319c"
		require.Equal(t, 200, d.GraphQL(t, m.WriteKey, `mutation { deleteCustomer(id: "nobody") { userErrors { code } } }`, nil, header("traceparent", traceparent(id)...)).Status)
		spans := collector.trace(t, id, "POST /graphql", "mutation", "Mutation.deleteCustomer")
		requireNested(t, spans, "POST /graphql", "mutation", "Mutation.deleteCustomer")
		for _, name := range []string{"POST /graphql", "mutation", "Mutation.deleteCustomer"} {
			require.Equal(t, "INVALID_ID", attributes(spans[name])["lumen.code"])
			require.Equal(t, v1.Status_STATUS_CODE_UNSET, spans[name].Status.GetCode(), name)
		}

		const refused = "4af7651916cd43dd8448eb211c80319c"
		d.GraphQL(t, m.WriteKey, `{ nothing }`, nil, header("traceparent", traceparent(refused)...))
		spans = collector.trace(t, refused, "POST /graphql", "GraphQL Operation")
		require.Equal(t, "GRAPHQL_VALIDATION_FAILED", spans["GraphQL Operation"].Status.Message)
	})
	t.Run("a streamed list", func(t *testing.T) {
		const id = "5af7651916cd43dd8448eb211c80319c"
		d.Fill(t, m, 600)
		r := d.Send(t, m.ReadKey, "GET", "/api/customers", "", header("traceparent", traceparent(id)...))
		require.Equal(t, 600, strings.Count(r.Body, `"id":`))
		requireNested(t, collector.trace(t, id, "GET /api/customers", "SELECT customers"), "GET /api/customers", "SELECT customers")
	})
	t.Run("pages and unsampled requests are not traced", func(t *testing.T) {
		const id = "6af7651916cd43dd8448eb211c80319c"
		d.Send(t, "", "GET", "/docs", "", header("traceparent", traceparent(id)...))
		d.Send(t, m.ReadKey, "GET", "/api/customers/cust_absent", "", header("traceparent", "00-"+id+"-"+callerSpan+"-00"))
		require.Equal(t, 404, d.Send(t, m.ReadKey, "GET", "/api/customers/cust_absent", "", header("traceparent", traceparent("7af7651916cd43dd8448eb211c80319c")...)).Status)
		collector.trace(t, "7af7651916cd43dd8448eb211c80319c", "GET /api/customers/{id}") // exported after the others
		require.Empty(t, collector.trace(t, id))
	})
}
