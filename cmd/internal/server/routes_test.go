package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/graph"
	"lumen/graph/guard"
	"lumen/rest"
)

func TestRoutesOfPaths(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]route{
		"/": {pattern: "/", api: apiOther}, "/graphql": {pattern: "/graphql", api: apiGraphQL}, "/graphql/": {pattern: "other", api: apiOther},
		"/api/customers": {pattern: "/api/customers", api: apiREST}, "/api/customers/cust_1": {pattern: "/api/customers/{id}", api: apiREST},
		"/api/customers/": {pattern: "/api/customers/{id}", api: apiREST}, "/api/customers/a/b": {pattern: "/api/customers/{id}", api: apiREST},
		"/api/access-tokens": {pattern: "/api/access-tokens", api: apiREST}, "/api/access-tokens/x": {pattern: "other", api: apiOther},
		"/api/other": {pattern: "other", api: apiOther}, "": {pattern: "other", api: apiOther}, "*": {pattern: "other", api: apiOther},
		"/.well-known/jwks.json": {pattern: "/.well-known/jwks.json", api: apiOther},
		"/docs":                  {pattern: "/docs", api: apiOther}, "/docs/": {pattern: "other", api: apiOther}, "/docs/assets/x.js": {pattern: "/docs/assets/{name}", api: apiOther},
		"/openapi.yaml": {pattern: "/openapi.yaml", api: apiOther}, "/openapi.json": {pattern: "/openapi.json", api: apiOther},
		"/schema.graphql": {pattern: "/schema.graphql", api: apiOther},
		"/playground":     {pattern: "/playground", api: apiOther}, "/playground/config.json": {pattern: "/playground/{file}", api: apiOther},
		"/assets/x.css": {pattern: "/assets/{name}", api: apiOther},
	} {
		r := routes.of(path)
		require.Equal(t, want.pattern, r.pattern, path)
		require.Equal(t, want.api, r.api, path)
	}
}

// A wildcard stands for one segment, and at the end for all that follows. The route with more
// segments wins.
func TestRoutesWithTextAfterAWildcard(t *testing.T) {
	t.Parallel()
	var all []*route
	for _, pattern := range []string{
		"/api/customers/{id}", "/api/customers/{id}/notes", "/api/customers/{id}/notes/{note}", "/api/customers/{id}/{rest}",
		"/api/customers/{id}/notes/{note}/text",
	} {
		all = append(all, newRoute(pattern, apiREST))
	}
	table := newRouteTable(all)
	for path, want := range map[string]string{
		"/api/customers/1": "/api/customers/{id}", "/api/customers/": "/api/customers/{id}",
		"/api/customers/1/notes": "/api/customers/{id}/notes", "/api/customers//notes": "/api/customers/{id}/notes",
		"/api/customers/{id}/notes": "/api/customers/{id}/notes", "/api/customers/notes": "/api/customers/{id}",
		"/api/customers/1/notes/": "/api/customers/{id}/notes/{note}", "/api/customers/1/notes/2": "/api/customers/{id}/notes/{note}",
		"/api/customers/1/notes/2/3": "/api/customers/{id}/notes/{note}", "/api/customers/1/notes/2/text": "/api/customers/{id}/notes/{note}/text",
		"/api/customers/1/2/notes": "/api/customers/{id}/{rest}", "/api/customers/1/noted": "/api/customers/{id}/{rest}",
		"/api/customers": "other", "/api/orders/1/notes": "other",
	} {
		require.Equal(t, want, table.of(path).pattern, path)
	}
}

// The log and the metrics name every route that REST publishes, and its operation.
func TestRoutesOfRESTAreLoggedAndCounted(t *testing.T) {
	t.Parallel()
	for _, r := range rest.Routes() {
		var log bytes.Buffer
		metrics := NewMetrics("v1.2.3", "c0ffee", noStats, nil)
		handler := NewHandler(noBackend, Options{Log: slog.New(slog.NewJSONHandler(&log, nil)), Metrics: metrics, GraphQL: graph.Options{Limits: guard.DefaultLimits}})
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(r.Method, r.Pattern, nil)) // the pattern itself is a path of the route
		require.Equal(t, http.StatusUnauthorized, w.Code)

		var line struct{ Route, Operation string }
		require.NoError(t, json.Unmarshal(log.Bytes(), &line))
		require.Equal(t, r.Pattern, line.Route)
		require.Equal(t, r.Operation, line.Operation)
		require.Contains(t, scrape(t, NewPrivate(metrics, healthy, slog.New(slog.DiscardHandler))),
			fmt.Sprintf(`lumen_requests_total{code="UNAUTHENTICATED",door="rest",operation="%s"} 1`, r.Operation))
	}
}

// The server does not start with a route that the log and the metrics do not know.
func TestUnknownRoutesAreNotMounted(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"/api/orders", "/api/orders/{id}", "/api/customers/{customer}", "/docs/"} {
		require.PanicsWithValue(t, "server: the route table lacks "+pattern, func() {
			mount(http.NewServeMux(), pattern, http.NotFoundHandler())
		})
	}
}

// An operation outside of the metrics' closed set counts as none.
func TestUnknownOperationsAreCountedAsNone(t *testing.T) {
	t.Parallel()
	metrics := NewMetrics("v1.2.3", "c0ffee", noStats, nil)
	for _, status := range []int{200, 500} {
		handler := observe(slog.New(slog.DiscardHandler), metrics, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			annotateREST(r.Context(), "getOrder", "")
			w.WriteHeader(status)
		}))
		for _, path := range []string{"/graphql", "/api/customers", "/nowhere"} {
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		}
	}
	shown := scrape(t, NewPrivate(metrics, healthy, slog.New(slog.DiscardHandler)))
	require.NotContains(t, shown, "getOrder")
	for _, api := range []string{apiREST, apiGraphQL, apiOther} {
		require.Contains(t, shown, `lumen_requests_total{code="OK",door="`+api+`",operation="none"} 1`)
		require.Contains(t, shown, `lumen_requests_total{code="INTERNAL",door="`+api+`",operation="none"} 1`)
	}
}
