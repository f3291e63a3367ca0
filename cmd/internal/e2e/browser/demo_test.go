//go:build browser

package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/cmd/internal/pages"
)

// sharedCustomers is how many customers each merchant of serveDemo has; the merchants' customers
// differ only in their ids.
const sharedCustomers = 12

// serveDemo serves the pages of a development server with two demo merchants.
func serveDemo(t *testing.T) (at string, merchants []pages.Merchant) {
	t.Helper()
	d := harness.Serve(t)
	for _, name := range []string{"Demo Shop", "Other Shop"} {
		m := d.Merchant(t, name)
		merchants = append(merchants, pages.Merchant{ID: m.ID, Name: name, APIKey: string(m.WriteKey)})
		for i := range sharedCustomers {
			d.Create(t, m, fmt.Sprintf(`{"email":"customer%d@example.com","name":"Customer %d"}`, i, i))
		}
	}
	return servePages(t, d.URL, pages.Options{Playground: true, Introspection: true, Demo: merchants}), merchants
}

// servePages serves the pages with the options, in front of the APIs of a server.
func servePages(t *testing.T, apis string, options pages.Options) (at string) {
	t.Helper()
	target, err := url.Parse(apis)
	require.NoError(t, err)
	transport := new(http.Transport)
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }, Transport: transport}
	mux := http.NewServeMux()
	mux.Handle("/", pages.NewHandler(options, pages.NotFound(options, http.NotFoundHandler())))
	mux.Handle("/api/", proxy)
	mux.Handle("/graphql", proxy)
	server := httptest.NewServer(mux)
	t.Cleanup(func() { transport.CloseIdleConnections(); server.Close() })
	return server.URL
}

// choose picks a merchant in the bar. On the playground the choice takes effect a moment later.
func (w *window) choose(t *testing.T, m pages.Merchant) {
	t.Helper()
	w.run(t, chromedp.Evaluate(`(select => {
		select.value = '`+m.ID+`';
		select.dispatchEvent(new Event('change', { bubbles: true }));
	})(document.querySelector('#merchant'))`, nil))
}
