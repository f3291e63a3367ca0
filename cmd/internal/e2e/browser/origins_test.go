//go:build browser

package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// A page of an allowed origin reads and changes its customer through both APIs, with an access token
// only. It can read the customer's version and make an update depend on it. The browser withholds every reply from pages of other origins.
func TestPagesOfOtherOriginsInABrowser(t *testing.T) {
	t.Parallel()
	page := func() *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprint(w, "<title>A shop</title>")
		}))
		t.Cleanup(s.Close)
		return s
	}
	allowed, refused := page(), page()
	d := harness.Serve(t, "--cors-origins", allowed.URL)
	m := d.Merchant(t, "Shop")
	id := d.Create(t, m, `{"email":"ada@example.com","name":"Ada"}`)
	token := string(d.Mint(t, m.WriteKey, `{"access":"write","customerId":"`+id+`"}`))

	// ask returns the replies that a page got, a line for each request.
	ask := func(origin string) string {
		w := openWindow(t, 800, 600, "light")
		w.run(t, chromedp.Navigate(origin))
		script := fmt.Sprintf(`window.replies = ''; (async () => {
			const headers = { authorization: 'Bearer %[1]s', 'content-type': 'application/json' };
			let tag = null;
			const send = async (path, method, body) => {
				try {
					const reply = await fetch('%[2]s' + path, { method, headers, body: body && JSON.stringify(body) });
					tag = reply.headers.get('etag');
					replies += reply.status + ' ' + (reply.headers.get('x-request-id') ? 'id ' : '') + (tag ? tag + ' ' : '') + await reply.text() + '\n';
				} catch (e) { replies += e.name + '\n'; }
			};
			await send('/graphql', 'POST', { query: 'query($id: ID!) { customer(id: $id) { name } }', variables: { id: '%[3]s' } });
			await send('/api/customers/%[3]s', 'PATCH', { name: 'Ada King' });
			headers['if-match'] = tag;
			await send('/api/customers/%[3]s', 'PATCH', { name: 'Countess of Lovelace' });
			await send('/api/customers/%[3]s', 'PATCH', { name: 'Nobody' });
			await send('/api/customers', 'GET');
			replies += document.cookie + 'end';
		})()`, token, d.URL, id)
		w.run(t, chromedp.Evaluate(script, nil))
		w.until(t, `window.replies.endsWith('end')`)
		return evaluate[string](t, w, `window.replies`)
	}
	replies := ask(allowed.URL)
	require.Regexp(t, `^200 id \{"data":\{"customer":\{"name":"Ada"\}\},.*\n200 id "2" \{"customer":\{.*"name":"Ada King".*\n`+
		`200 id "3" \{"customer":\{.*"name":"Countess of Lovelace".*\n412 id "3" \{"error":"The customer was changed in the meantime"\}\n403 id \{"error":"This credential may not do that"\}\nend$`, replies)
	require.Equal(t, strings.Repeat("TypeError\n", 5)+"end", ask(refused.URL))
	require.Equal(t, []string{"Countess of Lovelace"}, d.Lines(t, "SELECT name FROM customers"))
}
