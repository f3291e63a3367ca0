//go:build browser

package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// The program shows a browser a page for a path that does not exist, and programs JSON.
func TestNotFoundPageInABrowser(t *testing.T) {
	t.Parallel()
	_, r := harness.LaunchDev(t, harness.DataDir(t))
	for _, width := range []int64{1440, 390} {
		for _, scheme := range []string{"light", "dark"} {
			w := openWindow(t, width, 800, scheme)
			w.run(t, chromedp.Navigate(r.URL+"/not-a-page"), chromedp.WaitVisible(`h1`, chromedp.ByQuery))
			require.Equal(t, "Page not found", evaluate[string](t, w, `document.querySelector('h1').textContent`))
			require.LessOrEqual(t, evaluate[int64](t, w, `document.documentElement.scrollWidth`), width, "nothing sticks out")
			w.screenshot(t, fmt.Sprintf("404-%d-%s", width, scheme))
			w.accessible(t)
			for _, link := range evaluate[[]string](t, w, `[...document.links].map(a => a.href)`) {
				status, _ := harness.Fetch(t, "GET", link, "", "")
				require.Equal(t, 200, status, link)
			}
			w.noFaults(t)
			w.close()
		}
	}
	status, body := harness.Fetch(t, "GET", r.URL+"/not-a-page", "", "")
	require.Equal(t, 404, status)
	require.Equal(t, `{"error":"Not found"}`, body)
}
