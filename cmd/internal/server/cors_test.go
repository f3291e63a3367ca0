package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/graph/guard"
)

func TestIsOrigin(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"https://app.example.com": true, "http://localhost:5173": true, "https://[::1]:8443": true,
		"*": false, "": false, "null": false, "app.example.com": false, "https://": false, "https://*.example.com": false, "https://app.example.com/": false,
		"https://app.example.com/x": false, "https://app.example.com?x": false, "https://me@app.example.com": false, "ftp://app.example.com": false, "HTTPS://app.example.com": false,
		"https://app.example.com:443": false, "http://app.example.com:80": false, "http://app.example.com:443": true, "https://app.example.com:": false, "https://app.example.com:0": false, "https://app.example.com:123456": false,
		"https://münchen.de": false, "https://xn--mnchen-3ya.de": true, "https://App.example.com": false,
		"capacitor://localhost": true, "ionic://localhost": true, "tauri://localhost": true, "app://.": true, "app://obsidian.md": true, "app://localhost:3000": true,
		"chrome-extension://abcdefghijklmnopabcdefghijklmnop": true, "moz-extension://0aF3-11": true, "vscode-webview://1qa": true, "com.example.app+x://Host_1~": true,
		"app://": false, "app:///": false, "app://x/": false, "App://x": false, "1app://x": false, "app:x": false, "app://me@x": false, "app://*": false, "app://x?y": false, "app://x:0": false,
		"file://localhost": false, "file://": false, "ws://localhost": false, "wss://localhost": false, "data://x": false, "blob://x": false, "://x": false,
	} {
		require.Equal(t, want, IsOrigin(text), text)
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	const known, stranger, local = "https://app.example.com", "https://evil.example.com", "http://localhost:5173"
	send := func(options Options, method, path string, header ...string) *http.Response {
		options.Log, options.GraphQL.Limits = slog.New(slog.DiscardHandler), guard.DefaultLimits
		r := httptest.NewRequest(method, "http://127.0.0.1"+path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		NewHandler(noBackend, options).ServeHTTP(w, r)
		return w.Result()
	}
	preflight := func(options Options, path, origin, method string) *http.Response {
		return send(options, "OPTIONS", path, "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,content-type")
	}
	const app, odd = "capacitor://localhost", "vscode-webview://0aF3"
	production, development := Options{Origins: []string{known, odd}}, Options{LoopbackOnly: true, Origins: []string{known}}

	for _, path := range []string{"/graphql", "/api/customers", "/api/customers/cust_1"} {
		for _, c := range []struct {
			options Options
			origin  string
			allowed bool
		}{
			{production, known, true}, {production, stranger, false}, {production, local, false}, {production, "null", false},
			{production, known + ".evil.example", false}, {production, known + ":8443", false}, {production, "http://app.example.com", false},
			{development, local, true}, {development, "http://127.0.0.1:3000", true}, {development, known, true}, {development, stranger, false}, {development, "http://localhost.evil.example", false},
			{production, odd, true}, {production, "vscode-webview://0af3", false}, {production, app, false}, {development, app, true}, {development, odd, false},
			{Options{}, known, false},
		} {
			// The server answers a preflight without a credential. It refuses a request without
			// one, with the headers that let the page read why.
			asked := preflight(c.options, path, c.origin, "POST")
			answered := send(c.options, "GET", path, "Origin", c.origin)
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusMethodNotAllowed}, answered.StatusCode)
			if c.allowed {
				require.Equal(t, http.StatusNoContent, asked.StatusCode)
				require.Equal(t, c.origin, asked.Header.Get("Access-Control-Allow-Origin"))
				require.Equal(t, "POST", asked.Header.Get("Access-Control-Allow-Methods"))
				require.Equal(t, "authorization,content-type", asked.Header.Get("Access-Control-Allow-Headers"))
				require.Equal(t, "600", asked.Header.Get("Access-Control-Max-Age"))
				require.Equal(t, c.origin, answered.Header.Get("Access-Control-Allow-Origin"))
				require.Contains(t, answered.Header.Get("Access-Control-Expose-Headers"), "X-Request-Id")
			} else {
				for name := range asked.Header {
					require.NotContains(t, name, "Access-Control")
				}
				require.Empty(t, answered.Header.Get("Access-Control-Allow-Origin"))
			}
			if len(c.options.Origins) > 0 {
				require.Contains(t, answered.Header.Values("Vary"), "Origin")
			}
			for _, r := range []*http.Response{asked, answered} {
				require.Empty(t, r.Header.Get("Access-Control-Allow-Credentials"))
				require.Empty(t, r.Header.Get("Set-Cookie"))
			}
		}
		require.Empty(t, preflight(production, path, known, "PUT").Header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, http.StatusMethodNotAllowed, send(production, "OPTIONS", path, "Origin", known).StatusCode, "not a preflight")
	}
	// No page of another origin may read the pages that show a development server's key.
	for _, path := range []string{"/", "/docs", "/playground", "/playground/config.json"} {
		require.Empty(t, send(Options{LoopbackOnly: true, Playground: true, Origins: []string{known}}, "GET", path, "Origin", local).Header.Get("Access-Control-Allow-Origin"), path)
	}
}
