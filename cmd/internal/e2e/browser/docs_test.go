//go:build browser

package browser

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/cmd/internal/pages"
	"lumen/store/storetest"
)

// The blocks of two operations.
const (
	docsList   = `#operations-Customers-listCustomers `
	docsCreate = `#operations-Customers-createCustomer `
)

// tryList runs the list and returns the status and the body that the page shows.
func (w *window) tryList(t *testing.T) (status, body string) {
	t.Helper()
	w.run(t,
		chromedp.WaitVisible(docsList+`.opblock-summary-control`, chromedp.ByQuery),
		chromedp.Click(docsList+`.opblock-summary-control`, chromedp.ByQuery),
		chromedp.Click(docsList+`.try-out__btn`, chromedp.ByQuery),
		chromedp.Click(docsList+`.execute`, chromedp.ByQuery),
		chromedp.Text(docsList+`.live-responses-table tbody .response-col_status`, &status, chromedp.ByQuery, chromedp.NodeVisible),
		chromedp.Text(docsList+`.live-responses-table tbody .response-col_description`, &body, chromedp.ByQuery, chromedp.NodeVisible),
	)
	return status, body
}

// In serve the page has no key: it asks for one, and forgets it on a reload.
func TestDocsAskForAKey(t *testing.T) {
	t.Parallel()
	_, r := harness.LaunchDev(t, harness.DataDir(t))
	at := servePages(t, r.URL, pages.Options{})

	w := openWindow(t, 1440, 900, "light")
	w.run(t, chromedp.Navigate(at+"/docs"))
	require.Contains(t, evaluate[string](t, w, `document.querySelector('.session').textContent`), "choose Authorize")
	status, body := w.tryList(t)
	require.Contains(t, status, "401")
	require.Contains(t, body, "Unauthorized")

	w.run(t,
		chromedp.Click(`.btn.authorize`, chromedp.ByQuery, chromedp.NodeVisible),
		chromedp.SendKeys(`.auth-container input`, r.APIKey, chromedp.ByQuery),
		chromedp.Click(`.auth-btn-wrapper .authorize`, chromedp.ByQuery),
		chromedp.Click(`.auth-btn-wrapper .btn-done`, chromedp.ByQuery),
		chromedp.Click(docsList+`.execute`, chromedp.ByQuery),
	)
	w.until(t, `document.querySelector('`+docsList+`.live-responses-table tbody').textContent.includes('`+r.MerchantID+`')`)
	w.run(t, chromedp.Text(docsList+`.live-responses-table tbody .response-col_status`, &status, chromedp.ByQuery, chromedp.NodeVisible))
	require.Contains(t, status, "200")

	var kept int
	w.run(t, chromedp.Evaluate(`localStorage.length + sessionStorage.length + document.cookie.length`, &kept), chromedp.Navigate(at+"/docs"))
	require.Zero(t, kept)
	status, _ = w.tryList(t)
	require.Contains(t, status, "401")
	w.noFaults(t)
}

// The page begins with the routes and without the HEADs, which repeat the GETs. It sends requests with
// the key of the demo merchant that is chosen.
func TestDocsBeginWithRoutesAndSwitchMerchants(t *testing.T) {
	t.Parallel()
	at, merchants := serveDemo(t)
	w := openWindow(t, 1440, 900, "light")
	w.run(t, chromedp.Navigate(at+"/docs"), chromedp.WaitVisible(docsList, chromedp.ByQuery))
	require.Less(t, evaluate[float64](t, w, `document.querySelector('.opblock').getBoundingClientRect().bottom`), 600.0)
	require.False(t, evaluate[bool](t, w, `document.querySelector('.conventions').open`))
	w.run(t, chromedp.Click(`.conventions summary`, chromedp.ByQuery))
	w.until(t, `document.querySelector('.conventions').innerText.includes('Soft deletion')`)
	require.Equal(t, []string{"GET", "POST", "GET", "POST", "PATCH", "DELETE", "GET", "GET", "POST", "GET"}, evaluate[[]string](t, w,
		`[...document.querySelectorAll('.opblock-summary-method')].filter(e => e.checkVisibility()).map(e => e.textContent)`))
	w.screenshot(t, "docs-1440-light-conventions")
	w.accessible(t)

	session := `document.querySelector('.session').textContent`
	require.Contains(t, evaluate[string](t, w, session), "Signed in as Demo Shop.")
	_, body := w.tryList(t)
	require.Contains(t, body, merchants[0].ID)
	w.choose(t, merchants[1])
	require.Contains(t, evaluate[string](t, w, session), "Signed in as Other Shop.")
	w.run(t, chromedp.Click(docsList+`.execute`, chromedp.ByQuery))
	w.until(t, `(text => text.includes('`+merchants[1].ID+`') && !text.includes('`+merchants[0].ID+`'))(
		document.querySelector('`+docsList+`.live-responses-table tbody').textContent)`)
	w.noFaults(t)
}

// The page sends requests with the demo key and fits the window. The short form opens each scheme in
// one window, the long form in both.
func TestDocsInABrowser(t *testing.T) {
	t.Parallel()
	_, r := harness.LaunchDev(t, harness.DataDir(t))
	for i, scheme := range []string{"light", "dark"} {
		for j, size := range [][2]int64{{1440, 900}, {390, 844}} {
			if i != j && !storetest.Long() {
				continue
			}
			name := fmt.Sprintf("%s-%dx%d", scheme, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				w := openWindow(t, size[0], size[1], scheme)
				at, sent := counted(t, r.URL)
				start := time.Now()
				w.run(t, chromedp.Navigate(at+"/docs"), chromedp.WaitVisible(docsList, chromedp.ByQuery))
				t.Logf("usable after %s, %d bytes on the wire", time.Since(start).Round(time.Millisecond), sent.Load())
				require.Less(t, float64(sent.Load()), 0.6*(1<<20))
				w.screenshot(t, "docs-"+name+"-top")

				status, body := w.tryList(t)
				require.Contains(t, status, "200")
				require.Contains(t, body, `"merchantId": "`+r.MerchantID+`"`)
				require.NotContains(t, body, "Could not render")
				w.screenshot(t, "docs-"+name)
				w.run(t,
					chromedp.Click(docsCreate+`.opblock-summary-control`, chromedp.ByQuery),
					chromedp.Click(docsCreate+`.try-out__btn`, chromedp.ByQuery, chromedp.NodeVisible),
					chromedp.WaitVisible(docsCreate+`textarea`, chromedp.ByQuery),
					chromedp.Click(`.models > h4 button, .models > h4`, chromedp.ByQuery),
					chromedp.Click(docsList+`.opblock-summary-control`, chromedp.ByQuery),
				)
				w.screenshot(t, "docs-"+name+"-create")
				w.accessible(t)
				w.run(t, chromedp.Click(`.btn.authorize`, chromedp.ByQuery), chromedp.WaitVisible(`.auth-container`, chromedp.ByQuery))
				w.screenshot(t, "docs-"+name+"-authorize")
				w.accessible(t)
				var width int64
				var dark bool
				w.run(t,
					chromedp.Evaluate(`document.documentElement.scrollWidth`, &width),
					chromedp.Evaluate(`document.documentElement.classList.contains('dark-mode')`, &dark),
				)
				require.LessOrEqual(t, width, size[0], "the page is wider than the window")
				require.Equal(t, scheme == "dark", dark)
				w.noFaults(t)
			})
		}
	}
}
