//go:build browser

package browser

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// Below a base path, behind a proxy that removes it, the pages load all their files, reach the APIs
// and link to each other.
func TestPagesBelowABasePath(t *testing.T) {
	t.Parallel()
	_, r := harness.LaunchDev(t, harness.DataDir(t), "--base-path", "/lumen")
	target, err := url.Parse(strings.TrimSuffix(r.URL, "/lumen"))
	require.NoError(t, err)
	transport := new(http.Transport)
	proxy := httptest.NewServer(http.StripPrefix("/lumen", &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); p.Out.Host = p.In.Host }, Transport: transport,
	}))
	t.Cleanup(func() { transport.CloseIdleConnections(); proxy.Close() })

	w := openWindow(t, 1440, 900, "light")
	w.run(t, chromedp.Navigate(proxy.URL+"/lumen"), chromedp.Click(`//nav/a[text()="Playground"]`, chromedp.BySearch),
		chromedp.WaitVisible(runButton, chromedp.ByQuery))
	w.until(t, usable)
	w.run(t, chromedp.Click(runButton, chromedp.ByQuery))
	require.Contains(t, w.response(t), "data")
	w.openTab(t, "FirstPage")
	command := "curl '" + proxy.URL + "/lumen/api/customers?limit=5'"
	w.until(t, `document.querySelector('.equivalent').textContent.includes("`+command+`")`)
	w.until(t, `performance.getEntriesByType('resource').every(e => e.name.startsWith('`+proxy.URL+`/lumen/'))`)

	w.run(t, chromedp.Click(`//nav/a[text()="REST reference"]`, chromedp.BySearch))
	status, body := w.tryList(t)
	require.Contains(t, status, "200")
	require.Contains(t, body, r.MerchantID)
	w.run(t, chromedp.Click(`.brand`, chromedp.ByQuery), chromedp.WaitVisible(`.cards`, chromedp.ByQuery))
	require.Equal(t, proxy.URL+"/lumen/", evaluate[string](t, w, `location.href`))
	w.noFaults(t)
}
