//go:build browser

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"lumen/rest"
)

// docsBrowser is a Chromium that reaches loopback and nothing else, and the faults that it noted.
type docsBrowser struct {
	context.Context

	mu       sync.Mutex
	faults   []string
	statuses map[string]int64
	bytes    float64
}

func newDocsBrowser(t *testing.T) *docsBrowser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // root, as in CI, has none
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)

	b := &docsBrowser{Context: ctx, statuses: map[string]int64{}}
	chromedp.ListenTarget(ctx, b.note)
	require.NoError(t, chromedp.Run(ctx, network.Enable(), log.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(
			`addEventListener('securitypolicyviolation', (e) => console.error('policy', e.violatedDirective, e.blockedURI))`).Do(ctx)
		return err
	})))
	return b
}

func (b *docsBrowser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fault := func(format string, args ...any) { b.faults = append(b.faults, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fault("exception: %s", e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			var said []string
			for _, arg := range e.Args {
				said = append(said, string(arg.Value), arg.Description)
			}
			fault("console: %s", said)
		}
	case *log.EventEntryAdded:
		// A 4xx that was asked for is an error for the browser's log alone.
		if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.URL, "/api/") {
			fault("log: %s (%s)", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if err != nil || u.Scheme != "data" && u.Scheme != "blob" && u.Hostname() != "127.0.0.1" {
			fault("request for %s", e.Request.URL)
		}
	case *network.EventResponseReceived:
		b.statuses[e.Response.URL] = e.Response.Status
	case *network.EventLoadingFinished:
		b.bytes += e.EncodedDataLength
	}
}

func (b *docsBrowser) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	err := chromedp.Run(b, actions...)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.NoError(t, err, "the browser noted %q, %v", b.faults, b.statuses)
}

func (b *docsBrowser) requireNoFaults(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.faults)
}

// The blocks of two operations.
const (
	docsList   = `#operations-Customers-listCustomers `
	docsCreate = `#operations-Customers-createCustomer `
)

// tryList runs the list and returns the status and the body that the page shows.
func (b *docsBrowser) tryList(t *testing.T) (status, body string) {
	t.Helper()
	b.run(t,
		chromedp.WaitVisible(docsList+`.opblock-summary-control`, chromedp.ByQuery),
		chromedp.Click(docsList+`.opblock-summary-control`, chromedp.ByQuery),
		chromedp.Click(docsList+`.try-out__btn`, chromedp.ByQuery),
		chromedp.Click(docsList+`.execute`, chromedp.ByQuery),
		chromedp.Text(docsList+`.live-responses-table tbody .response-col_status`, &status, chromedp.ByQuery, chromedp.NodeVisible),
		chromedp.Text(docsList+`.live-responses-table tbody .response-col_description`, &body, chromedp.ByQuery, chromedp.NodeVisible),
	)
	return status, body
}

func TestDocsTryTheList(t *testing.T) {
	t.Parallel()
	_, r := launchDev(t, dataDir(t))
	b := newDocsBrowser(t)
	start := time.Now()
	b.run(t, chromedp.Navigate(r.URL+"/docs"), chromedp.WaitVisible(docsList, chromedp.ByQuery))
	t.Logf("usable after %s, %.0f bytes on the wire", time.Since(start).Round(time.Millisecond), b.bytes)
	require.Less(t, b.bytes, 0.6*(1<<20))

	status, body := b.tryList(t)
	require.Contains(t, status, "200")
	require.Contains(t, body, `"merchantId": "`+r.MerchantID+`"`)
	require.NotContains(t, body, "Could not render")
	b.requireNoFaults(t)
}

// In serve the page knows no key: it asks for one, and forgets it with the page.
func TestDocsAskForAKey(t *testing.T) {
	t.Parallel()
	_, r := launchDev(t, dataDir(t))
	api, err := url.Parse(r.URL)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", rest.NewDocs(rest.DocsOptions{}))
	mux.Handle("/api/", &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(api) }})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	b := newDocsBrowser(t)
	b.run(t, chromedp.Navigate(server.URL+"/docs"))
	status, body := b.tryList(t)
	require.Contains(t, status, "401")
	require.Contains(t, body, "Unauthorized")

	b.run(t,
		chromedp.Navigate(server.URL+"/docs"),
		chromedp.Click(`.btn.authorize`, chromedp.ByQuery, chromedp.NodeVisible),
		chromedp.SendKeys(`.auth-container input`, r.APIKey, chromedp.ByQuery),
		chromedp.Click(`.auth-btn-wrapper .authorize`, chromedp.ByQuery),
		chromedp.Click(`.auth-btn-wrapper .btn-done`, chromedp.ByQuery),
	)
	status, body = b.tryList(t)
	require.Contains(t, status, "200")
	require.Contains(t, body, r.MerchantID)

	var kept int
	b.run(t, chromedp.Evaluate(`localStorage.length + sessionStorage.length + document.cookie.length`, &kept), chromedp.Navigate(server.URL+"/docs"))
	require.Zero(t, kept)
	status, _ = b.tryList(t)
	require.Contains(t, status, "401")
	b.requireNoFaults(t)
}

// Pictures for whoever looks at the page: LUMEN_TEST_SCREENSHOTS names the folder.
func TestDocsFitTheWindow(t *testing.T) {
	t.Parallel()
	_, r := launchDev(t, dataDir(t))
	for _, scheme := range []string{"light", "dark"} {
		for _, size := range [][2]int64{{1440, 900}, {390, 844}} {
			name := fmt.Sprintf("%s-%dx%d", scheme, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				b := newDocsBrowser(t)
				b.run(t,
					emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
					chromedp.EmulateViewport(size[0], size[1]),
					chromedp.Navigate(r.URL+"/docs"), chromedp.WaitVisible(docsList, chromedp.ByQuery),
				)
				b.picture(t, "docs-"+name+"-top", false)
				b.tryList(t)
				b.picture(t, "docs-"+name, true)
				b.run(t,
					chromedp.Click(docsCreate+`.opblock-summary-control`, chromedp.ByQuery),
					chromedp.Click(docsCreate+`.try-out__btn`, chromedp.ByQuery, chromedp.NodeVisible),
					chromedp.WaitVisible(docsCreate+`textarea`, chromedp.ByQuery),
					chromedp.Click(`.models > h4 button, .models > h4`, chromedp.ByQuery),
					chromedp.Click(docsList+`.opblock-summary-control`, chromedp.ByQuery),
				)
				b.picture(t, "docs-"+name+"-create", true)
				b.accessible(t)
				b.run(t, chromedp.Click(`.btn.authorize`, chromedp.ByQuery), chromedp.WaitVisible(`.auth-container`, chromedp.ByQuery))
				b.picture(t, "docs-"+name+"-authorize", false)
				var width int64
				var dark bool
				b.run(t,
					chromedp.Evaluate(`document.documentElement.scrollWidth`, &width),
					chromedp.Evaluate(`document.documentElement.classList.contains('dark-mode')`, &dark),
				)
				require.LessOrEqual(t, width, size[0], "the page is wider than the window")
				require.Equal(t, scheme == "dark", dark)
				b.requireNoFaults(t)
			})
		}
	}
}

// accessible fails for what axe finds serious or critical.
func (b *docsBrowser) accessible(t *testing.T) {
	t.Helper()
	axe, err := os.ReadFile("../../rest/docs/build/node_modules/axe-core/axe.min.js")
	require.NoError(t, err, "run npm ci in rest/docs/build first")
	var found []string
	b.run(t, chromedp.Evaluate(string(axe), nil), chromedp.Evaluate(`axe.run().then(r => r.violations
		.filter(v => ['serious', 'critical'].includes(v.impact))
		.map(v => v.id + ': ' + v.nodes.map(n => n.target + ' ' + n.any.map(c => c.message)).join(' | ')))`, &found,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	require.Empty(t, found)
}

func (b *docsBrowser) picture(t *testing.T, name string, whole bool) {
	t.Helper()
	folder := os.Getenv("LUMEN_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	var png []byte
	take := chromedp.CaptureScreenshot(&png)
	if whole {
		take = chromedp.FullScreenshot(&png, 100)
	}
	b.run(t, take)
	require.NoError(t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644))
}
