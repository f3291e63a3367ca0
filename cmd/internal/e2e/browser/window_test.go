//go:build browser

package browser

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// A window is a Chromium with its own profile that reaches loopback only. It records requests, errors
// and warnings that a page must not cause.
type window struct {
	context.Context
	close   func()
	profile string

	mu     sync.Mutex
	faults []string
}

func openWindow(t *testing.T, width, height int64, scheme string) *window {
	t.Helper()
	w := &window{profile: t.TempDir()}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // root, as in CI, cannot have one
		chromedp.UserDataDir(w.profile),
		chromedp.DisableGPU, // its emulation in software would distort the times
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	tab, cancel := chromedp.NewContext(allocator)
	limited, cancelLimit := context.WithTimeout(tab, 2*time.Minute)
	w.Context = limited
	w.close = sync.OnceFunc(func() {
		_ = chromedp.Cancel(tab) // lets the browser write its profile to disk
		cancelLimit()
		cancel()
		stop()
	})
	t.Cleanup(w.close)

	chromedp.ListenTarget(limited, w.observe)
	w.run(t,
		network.Enable(), log.Enable(),
		emulation.SetDeviceMetricsOverride(width, height, 1, width < 700),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument(
				`addEventListener('securitypolicyviolation', e => console.error('policy', e.violatedDirective, e.blockedURI))`).Do(ctx)
			return err
		}))
	return w
}

func (w *window) observe(event any) {
	fault := func(format string, args ...any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		at, err := url.Parse(e.Request.URL)
		if err != nil || at.Scheme != "data" && at.Scheme != "blob" && at.Hostname() != "127.0.0.1" {
			fault("request to %s", e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		fault("exception: %s", e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			var texts []string
			for _, arg := range e.Args {
				texts = append(texts, string(arg.Value), arg.Description)
			}
			fault("console: %s", texts)
		}
	case *log.EventEntryAdded:
		// The tests provoke refusals by the REST API and a 404, which the browser logs as errors.
		provoked := strings.Contains(e.Entry.URL, "/api/") || strings.HasSuffix(e.Entry.URL, "/not-a-page")
		if (e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning) && !provoked {
			fault("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	}
}

func (w *window) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	require.NoError(t, chromedp.Run(w, actions...))
}

func (w *window) noFaults(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(t, w.faults)
}

// evaluate runs a script in the page and decodes what it returns.
func evaluate[T any](t *testing.T, w *window, script string) T {
	t.Helper()
	var result T
	w.run(t, chromedp.Evaluate(script, &result, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return result
}

// until waits for a script to return true.
func (w *window) until(t *testing.T, script string) {
	t.Helper()
	require.NoError(t, chromedp.Run(w, chromedp.Poll(script, nil, chromedp.WithPollingTimeout(20*time.Second))), script)
}

// screenshot writes a picture to the folder that LUMEN_TEST_SCREENSHOTS names, if any.
func (w *window) screenshot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("LUMEN_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	var picture []byte
	w.run(t, chromedp.Sleep(300*time.Millisecond), chromedp.CaptureScreenshot(&picture))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644))
}

// accessible fails for every violation that axe finds.
func (w *window) accessible(t *testing.T) {
	t.Helper()
	axe, err := os.ReadFile("../../../../graph/playground/web/node_modules/axe-core/axe.min.js")
	require.NoError(t, err, "run graph/playground/build first")
	w.run(t, chromedp.Evaluate(string(axe), nil))
	require.Empty(t, evaluate[[]string](t, w, `axe.run().then(r => r.violations
		.map(v => v.id + ' (' + v.impact + '): ' + v.nodes.map(n => n.target + ' ' + n.failureSummary).join(' | ')))`))
}

// counted starts a forwarder to a server. It counts the bytes that the server sends.
func counted(t *testing.T, to string) (at string, sent *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	sent = new(atomic.Int64)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target.Host)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go func() {
				_, _ = io.Copy(io.MultiWriter(client, counter{sent}), server)
				_ = client.Close()
			}()
		}
	}()
	return "http://" + listener.Addr().String(), sent
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
