package e2e

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/graph"
	"lumen/rest"
	"lumen/store"
)

// series matches a line of the metrics, and label one of its labels.
var (
	series = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? (\S+)$`)
	label  = regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
)

// TestMetricsCountRequests sends requests of known outcomes and requires the exact series, and that
// the private listener's pages are not on the public one. It fails if a request is counted under
// the wrong operation or code.
func TestMetricsCountRequests(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Counted")
	d.Create(t, m, `{"email":"one@example.com"}`)
	require.Equal(t, 409, d.Send(t, m.WriteKey, "POST", "/api/customers", `{"email":"one@example.com"}`).Status)
	require.Equal(t, 401, d.Send(t, "", "GET", "/api/customers", "").Status)
	require.Equal(t, 405, d.Send(t, "", "PUT", "/api/customers", "").Status)
	require.Equal(t, 404, d.Send(t, "", "GET", "/nowhere", "").Status)
	require.Equal(t, 200, d.Send(t, "", "HEAD", "/docs", "").Status)
	for range 2 {
		require.Equal(t, 200, d.GraphQL(t, m.ReadKey, `{merchant{id}}`, nil).Status)
	}
	d.GraphQL(t, m.WriteKey, `mutation{createCustomer(input:{email:"one@example.com"}){userErrors{code}}}`, nil)
	d.GraphQL(t, m.WriteKey, `mutation{a:deleteCustomer(id:"cust_1"){userErrors{code}} b:createCustomer(input:{email:"two@example.com"}){userErrors{code}}}`, nil)
	d.GraphQL(t, m.ReadKey, `{...F} fragment F on Query{a:node(id:"cust_1"){id} ...{b:node(id:"cust_2"){id}}}`, nil)
	d.GraphQL(t, m.ReadKey, `{a:nodes(ids:[1]){id} b:nodes(ids:["`+strings.Repeat("x\",\"", 300)+`"]){id}}`, nil)
	d.GraphQL(t, m.ReadKey, `{nothing}`, nil)
	d.GraphQL(t, m.ReadKey, `{`, nil)
	d.GraphQL(t, "", `{merchant{id}}`, nil)
	d.Send(t, m.ReadKey, "POST", "/graphql", `{"documentId":"untrusted"}`)

	shown := d.Metrics(t)
	for _, line := range []string{
		`lumen_requests_total{code="OK",door="rest",operation="createCustomer"} 1`,
		`lumen_requests_total{code="EMAIL_TAKEN",door="rest",operation="createCustomer"} 1`,
		`lumen_requests_total{code="UNAUTHENTICATED",door="rest",operation="listCustomers"} 1`,
		`lumen_requests_total{code="METHOD_NOT_ALLOWED",door="rest",operation="none"} 1`,
		`lumen_requests_total{code="ROUTE_NOT_FOUND",door="other",operation="none"} 1`,
		`lumen_requests_total{code="OK",door="other",operation="none"} 1`,
		`lumen_requests_total{code="OK",door="graphql",operation="merchant"} 2`,
		`lumen_requests_total{code="EMAIL_TAKEN",door="graphql",operation="createCustomer"} 1`,
		`lumen_requests_total{code="NOT_FOUND",door="graphql",operation="several"} 1`,
		`lumen_requests_total{code="OK",door="graphql",operation="node"} 1`,
		`lumen_requests_total{code="GRAPHQL_VALIDATION_FAILED",door="graphql",operation="none"} 1`,
		`lumen_requests_total{code="GRAPHQL_PARSE_FAILED",door="graphql",operation="none"} 1`,
		`lumen_requests_total{code="UNAUTHENTICATED",door="graphql",operation="none"} 1`,
		`lumen_requests_total{code="PERSISTED_QUERY_NOT_SUPPORTED",door="graphql",operation="none"} 1`,
		`lumen_request_duration_seconds_count{door="rest",operation="createCustomer"} 2`,
		`lumen_requests_in_flight{door="rest"} 0`,
		`lumen_graphql_document_cache_requests_total{result="hit"} 1`,
		`lumen_credential_cache_entries 2`,
		`lumen_pool_max_connections{pool="customers"} 16`,
		`lumen_pool_max_connections{pool="credentials"} 4`,
		`lumen_pool_connections{pool="customers",state="used"} 0`,
		`lumen_refusals_total{limit="key"} 0`,
		`lumen_refusals_total{limit="customer"} 0`,
	} {
		require.Contains(t, shown, "\n"+line+"\n")
	}
	for _, name := range []string{"lumen_graphql_operation_cost_count", "lumen_build_info", "go_goroutines", "process_cpu_seconds_total", "lumen_credential_cache_requests_total"} {
		require.Contains(t, shown, "\n"+name)
	}

	// The public listener serves no pages of the private one, and the private one no API.
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		require.Equal(t, 404, d.Send(t, m.WriteKey, "GET", path, "").Status, path)
	}
	response, err := harness.Client.Get(d.PrivateURL + "/api/customers")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 404, response.StatusCode)
}

// closedSets lists the possible values of the labels of Lumen's own metrics.
var closedSets = map[string][]string{
	"door":      {"rest", "graphql", "other"},
	"operation": append(rest.Operations(), graph.Operations()...),
	"code": {
		"OK", string(store.EmailRequired), string(store.InvalidInput), string(store.InvalidID), string(store.BadRequest), string(store.Unauthenticated),
		string(store.Forbidden), string(store.NotFound), string(store.RouteNotFound), string(store.MethodNotAllowed), string(store.EmailTaken),
		string(store.PayloadTooLarge), string(store.UnsupportedType), string(store.RateLimited), string(store.Internal), string(store.Unavailable),
		"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "LIMIT_EXCEEDED", "DOCUMENT_NOT_TRUSTED", "PERSISTED_QUERY_NOT_SUPPORTED",
	},
	"pool": {"customers", "credentials"}, "state": {"used", "idle"}, "result": {"hit", "miss"},
	"limit": {"customer", "key", "merchant", "concurrency", "overload"},
}

// requireClosedLabels requires that the values of all labels are from closedSets, and returns the
// number of series.
func requireClosedLabels(t testing.TB, shown string) int {
	t.Helper()
	all := series.FindAllStringSubmatch(shown, -1)
	for _, line := range all {
		if !strings.HasPrefix(line[1], "lumen_") || line[1] == "lumen_build_info" {
			continue
		}
		for _, pair := range label.FindAllStringSubmatch(line[2], -1) {
			if pair[1] != "le" {
				require.Contains(t, closedSets[pair[1]], pair[2], line[0])
			}
		}
	}
	return len(all)
}

// TestDashboardQueriesExistingSeries checks that the dashboard queries only series and labels that
// the server exports, and every series of Lumen's own. It fails if a metric is renamed or added
// without the dashboard.
func TestDashboardQueriesExistingSeries(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	names, labels := map[string]bool{}, map[string]bool{"instance": true} // Prometheus adds it
	for _, line := range series.FindAllStringSubmatch(d.Metrics(t), -1) {
		names[line[1]] = true
		for _, pair := range label.FindAllStringSubmatch(line[2], -1) {
			labels[pair[1]] = true
		}
	}
	text, err := os.ReadFile("../../lumen/dashboard.json")
	require.NoError(t, err)
	var dashboard struct {
		Templating struct{ List []struct{ Name, Type string } }
		Panels     []struct {
			Type, Title string
			Datasource  struct{ UID string }
			Targets     []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	require.Equal(t, "datasource", dashboard.Templating.List[0].Type)
	metric := regexp.MustCompile(`\b(?:lumen|go|process)_[a-z_]+`)
	grouping, matcher := regexp.MustCompile(`by \(([^)]*)\)`), regexp.MustCompile(`([a-z_]+)(?:=~|!=|=)"`)
	asked := map[string]bool{}
	for _, panel := range dashboard.Panels {
		require.Equal(t, panel.Type == "row", len(panel.Targets) == 0, panel.Title)
		for _, target := range panel.Targets {
			require.Equal(t, "${"+dashboard.Templating.List[0].Name+"}", panel.Datasource.UID)
			found := metric.FindAllString(target.Expr, -1)
			require.NotEmpty(t, found, target.Expr)
			for _, name := range found {
				asked[name] = true
				require.True(t, names[name], "the panel %q queries %s, which the server does not export", panel.Title, name)
			}
			var used []string
			for _, match := range grouping.FindAllStringSubmatch(target.Expr, -1) {
				used = append(used, strings.Split(match[1], ", ")...)
			}
			for _, match := range matcher.FindAllStringSubmatch(target.Expr, -1) {
				used = append(used, match[1])
			}
			for _, name := range used {
				require.True(t, labels[name], "the panel %q uses the label %s, which no series has", panel.Title, name)
			}
		}
	}
	// The dashboard also queries every metric of Lumen's own; for a histogram, its buckets.
	part := regexp.MustCompile(`_(bucket|sum|count)$`)
	for name := range names {
		if strings.HasPrefix(name, "lumen_") {
			require.True(t, asked[name] || asked[part.ReplaceAllString(name, "_bucket")], "no panel queries %s", name)
		}
	}
}
