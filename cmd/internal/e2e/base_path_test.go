package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// visitor is a client that reaches the server directly or through a proxy.
type visitor struct {
	transport http.Transport
	origin    string
	key       string
}

func (v *visitor) send(t *testing.T, method, path, body string, change ...func(*http.Request)) harness.Reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, v.origin+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+v.key)
	request.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(request)
	}
	response, err := v.transport.RoundTrip(request) // follows no redirects
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return harness.Reply{Status: response.StatusCode, Header: response.Header, Body: string(read)}
}

// startProxy starts a proxy in front of the server, which changes each request with rewrite, and
// returns its URL.
func startProxy(t *testing.T, to string, rewrite func(*httputil.ProxyRequest)) string {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(&url.URL{Scheme: target.Scheme, Host: target.Host})
		p.Out.Host = p.In.Host
		rewrite(p)
	}, Transport: new(http.Transport)}
	server := httptest.NewServer(proxy)
	t.Cleanup(func() {
		proxy.Transport.(*http.Transport).CloseIdleConnections()
		server.Close()
	})
	return server.URL
}

// TestBasePath runs serve with a base path. Clients must find the same service directly, behind a
// proxy that keeps the base path, and behind one that strips it. It fails if a page links to a path
// outside the base path, or if the server cuts the path off where it must not.
func TestBasePath(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	d := harness.Serve(t, "--base-path", "/lumen", "--playground", "--cors-origins", app)
	m := d.Merchant(t, "Below")
	direct, ok := strings.CutSuffix(d.URL, "/lumen")
	require.True(t, ok, d.URL)
	require.Equal(t, []string{d.URL + "/api/customers", d.URL + "/graphql", d.URL + "/playground"},
		[]string{d.RestURL, d.GraphQLURL, d.PlaygroundURL})
	for name, origin := range map[string]string{
		"direct":               direct,
		"proxy keeps the path": startProxy(t, direct, func(*httputil.ProxyRequest) {}),
		"proxy strips the path": startProxy(t, direct, func(p *httputil.ProxyRequest) {
			p.Out.URL.Path, p.Out.URL.RawPath = strings.TrimPrefix(p.In.URL.Path, "/lumen"), ""
		}),
	} {
		t.Run(name, func(t *testing.T) {
			v := &visitor{origin: origin, key: string(m.WriteKey)}
			defer v.transport.CloseIdleConnections()
			v.requireLinksWork(t)
			v.requireAPIsWork(t, app)
			for _, path := range []string{"/lumen/healthz", "/lumen/readyz"} {
				require.Equal(t, 200, v.send(t, "GET", path, "").Status, path)
			}
			for _, path := range []string{"/lumen/nowhere", "/lumen/lumen/docs/", "/lumen//docs", "/lumen/docs/"} {
				require.Equal(t, 404, v.send(t, "GET", path, "").Status, path)
			}
		})
	}
	v := &visitor{origin: direct, key: string(m.WriteKey)}
	defer v.transport.CloseIdleConnections()
	for _, path := range []string{"/", "/api/customers", "/docs", "/healthz", "/readyz"} { // stripped
		require.Equal(t, 200, v.send(t, "GET", path, "").Status, path)
	}
	for _, path := range []string{
		"/lumenx", "/lumen/lumen", "/lumenx/docs", "/lumen/../docs", "/lumen%2fdocs", "/lumen%2Fapi/customers",
		"/LUMEN/docs", "//lumen/docs",
	} {
		require.Equal(t, 404, v.send(t, "GET", path, "").Status, path)
	}
	requireRoutes(t, d)
}

// requireLinksWork requests every link of the pages.
func (v *visitor) requireLinksWork(t *testing.T) {
	t.Helper()
	require.Equal(t, v.send(t, "GET", "/lumen", "").Body, v.send(t, "GET", "/lumen/", "").Body)
	for _, page := range []string{"/lumen", "/lumen/", "/lumen/docs", "/lumen/playground"} {
		r := v.send(t, "GET", page, "")
		require.Equal(t, 200, r.Status, page)
		named := regexp.MustCompile(`(?:href|src|content)="(/[^"]*)"`).FindAllStringSubmatch(r.Body, -1)
		require.Greater(t, len(named), 4, page)
		for _, match := range named {
			require.Equal(t, 200, v.send(t, "GET", match[1], "").Status, match[1])
		}
	}
	require.Contains(t, v.send(t, "GET", "/lumen", "").Body, "curl '"+v.origin+"/lumen/api/customers?limit=3'")
}

// requireAPIsWork uses the APIs at the addresses that the server publishes.
func (v *visitor) requireAPIsWork(t *testing.T, app string) {
	t.Helper()
	var document struct{ Servers []struct{ URL string } }
	require.NoError(t, json.Unmarshal([]byte(v.send(t, "GET", "/lumen/openapi.json", "").Body), &document))
	require.Len(t, document.Servers, 1)
	customers := document.Servers[0].URL + "/api/customers"
	created := v.send(t, "POST", customers, `{"email":"`+harness.FreshEmail()+`"}`)
	require.Equal(t, 201, created.Status, created.Body)
	require.Regexp(t, `^/lumen/api/customers/cust_\w+$`, created.Header.Get("Location"))
	require.Equal(t, 200, v.send(t, "GET", created.Header.Get("Location"), "").Status)
	require.Equal(t, 404, v.send(t, "GET", customers+"/cust_absent", "").Status)
	require.Equal(t, 200, v.send(t, "POST", "/lumen/graphql", `{"query":"{merchant{name}}"}`).Status)
	preflight := v.send(t, "OPTIONS", customers, "",
		header("Origin", app), header("Access-Control-Request-Method", "POST"))
	require.Equal(t, 204, preflight.Status)
	require.Equal(t, app, preflight.Header.Get("Access-Control-Allow-Origin"))
}

// requireRoutes requires that log and metrics name the routes as they do without a base path.
func requireRoutes(t *testing.T, d *harness.Server) {
	t.Helper()
	log := d.Logged()
	require.NotContains(t, log, "/lumen/")
	for _, line := range []string{
		`"route":"/api/customers/{id}","operation":"getCustomer","code":"OK"`,
		`"route":"/graphql","operation":"merchant","code":"OK"`,
		`"route":"/","operation":"none","code":"OK"`, `"route":"/playground","operation":"none","code":"OK"`,
	} {
		require.Contains(t, log, line)
	}
	private := harness.URLs{PrivateURL: d.PrivateURL}
	require.Contains(t, private.Metrics(t), `lumen_requests_total{code="OK",door="rest",operation="createCustomer"} 3`)
}
