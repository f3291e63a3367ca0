//go:build browser

package browser

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

const (
	variablesModel = `__MONACO.editor.getModels().find(m => m.uri.path.endsWith('variables.json'))`
	queryModel     = `__MONACO.editor.getModels().find(m => m.uri.path.endsWith('operation.graphql'))`
	responseModel  = `__MONACO.editor.getModels().find(m => m.uri.path.endsWith('response.json'))`
	headersModel   = `__MONACO.editor.getModels().find(m => m.uri.path.endsWith('request-headers.json'))`
	restCommand    = `(document.querySelector('.equivalent pre')?.textContent ?? '')`
	newExample     = `//button[text()="New example"]`
)

// again runs the operation of the tab that is shown and returns the reply as text.
func (w *window) again(t *testing.T) string {
	t.Helper()
	w.until(t, `!document.querySelector('.graphiql-spinner')`)
	w.run(t, chromedp.Evaluate(responseModel+`.setValue('')`, nil), chromedp.Click(runButton, chromedp.ByQuery))
	w.until(t, responseText+` !== '' && !document.querySelector('.graphiql-spinner')`)
	return evaluate[string](t, w, responseText)
}

func (w *window) variables(t *testing.T) string {
	t.Helper()
	return evaluate[string](t, w, variablesModel+`.getValue()`)
}

// A second run of an operation acts on the customer of the first run, as the comments in the
// operations promise. Only New example changes the variables.
func TestPlaygroundKeepsVariablesAfterARun(t *testing.T) {
	t.Parallel()
	_, r := harness.LaunchDev(t, harness.DataDir(t))
	w := openWindow(t, 1440, 900, "light")
	w.run(t, chromedp.Navigate(r.PlaygroundURL))
	w.until(t, usable)
	count := func() string {
		w.openTabAgain(t, "FirstPage")
		reply := w.again(t)
		return reply[strings.Index(reply, `"totalCount"`):strings.Index(reply, `"nodes"`)]
	}
	w.openTab(t, "FirstPage")
	before := count()

	w.openTab(t, "CreateCustomer")
	shown := w.variables(t)
	require.Contains(t, w.again(t), `"billingCity": "Lyon"`)
	require.Contains(t, w.again(t), "EMAIL_TAKEN", "the second run")
	require.Equal(t, shown, w.variables(t))
	w.run(t, chromedp.Click(newExample, chromedp.BySearch))
	w.until(t, variablesModel+`.getValue() !== `+fmt.Sprintf("%q", shown))
	require.Contains(t, w.again(t), `"billingCity": "Lyon"`, "a new example")

	w.openTab(t, "DeleteCustomer")
	shown = w.variables(t)
	require.Contains(t, w.again(t), `"deletedCustomerId": "cust_`)
	require.Contains(t, w.again(t), "NOT_FOUND", "the second run")
	w.openTabAgain(t, "CreateCustomer")
	w.openTabAgain(t, "DeleteCustomer")
	require.Equal(t, shown, w.variables(t), "another tab was open in between")
	require.Contains(t, w.again(t), "NOT_FOUND", "the third run")
	require.NotEqual(t, before, count(), "two were created, one was deleted")

	w.openTabAgain(t, "DeleteCustomer")
	w.run(t, chromedp.Click(newExample, chromedp.BySearch))
	w.until(t, variablesModel+`.getValue() !== `+fmt.Sprintf("%q", shown))
	next := w.variables(t)
	require.Contains(t, w.again(t), regexp.MustCompile(`cust_\w+`).FindString(next))
	require.Equal(t, before, count())
	w.noFaults(t)
}

// openTabAgain opens a tab that may show a reply.
func (w *window) openTabAgain(t *testing.T, name string) {
	t.Helper()
	w.run(t, chromedp.Click(fmt.Sprintf(`.graphiql-tab-button[title=%q]`, name), chromedp.ByQuery))
	w.until(t, fmt.Sprintf(`document.querySelector('.graphiql-tab-active .graphiql-tab-button').title === %q`, name))
}

// The REST command is the one for the reply that is shown, also while the variables are edited.
func TestRESTCommandBelongsToTheReply(t *testing.T) {
	t.Parallel()
	at, _ := serveDemo(t)
	w := openWindow(t, 1440, 900, "light")
	w.run(t, chromedp.Navigate(at+"/playground"))
	w.until(t, usable)
	w.openTab(t, "FirstPage")
	w.run(t, chromedp.Evaluate(variablesModel+`.setValue('{"first": 3}')`, nil))
	w.until(t, restCommand+`.includes('limit=3')`)
	w.again(t)
	w.run(t, chromedp.Evaluate(variablesModel+`.setValue('{"first": 4}')`, nil), chromedp.Sleep(time.Second))
	require.Contains(t, evaluate[string](t, w, restCommand), "limit=3'")
	panel := evaluate[string](t, w, `document.querySelector('.equivalent').textContent`)
	require.Contains(t, panel, "As in the reply shown, for Demo Shop")
	w.openTab(t, "WhoAmI")
	w.openTabAgain(t, "FirstPage")
	w.until(t, restCommand+`.includes("limit=3'")`)
	w.again(t)
	w.until(t, restCommand+`.includes("limit=4'")`)
	w.noFaults(t)
}

// A reload keeps the tabs and the edits, and the history lists what was run. Neither the key nor a
// header is stored, in the page or in the browser's profile on disk.
func TestPlaygroundKeepsTabsAndNeverTheKey(t *testing.T) {
	t.Parallel()
	at, merchants := serveDemo(t)
	w := openWindow(t, 1440, 900, "light")
	w.run(t, chromedp.Navigate(at+"/playground"))
	w.until(t, usable)
	w.openTab(t, "FindByEmail")
	w.run(t, chromedp.Evaluate(variablesModel+`.setValue('{"email": "edited-before-the-reload@example.com"}')`, nil))
	w.until(t, restCommand+`.includes('edited-before-the-reload')`)
	w.again(t)
	w.run(t, chromedp.Click(`.graphiql-tab-add`, chromedp.ByQuery))
	w.until(t, `document.querySelectorAll('.graphiql-tab').length === 13`)
	key := merchants[0].APIKey
	w.run(t, chromedp.Evaluate(queryModel+`.setValue('query Mine { merchant { name } } # `+key+`')`, nil),
		chromedp.Evaluate(headersModel+`.setValue('{"X-Marked": "`+key+`", "Authorization": "Bearer `+key+`"}')`, nil))
	w.until(t, `document.querySelector('.graphiql-tab-active .graphiql-tab-button').title === 'Mine'`)
	require.Contains(t, w.again(t), "Demo Shop")
	w.until(t, `sessionStorage.getItem('graphiql:tabState')?.includes('query Mine')`)

	w.run(t, chromedp.Reload())
	w.until(t, `document.querySelectorAll('.graphiql-tab').length === 13 &&
		document.querySelector('.graphiql-response .monaco-editor') !== null`)
	w.until(t, `document.querySelector('.graphiql-tab-active .graphiql-tab-button').title === 'Mine'`)
	require.NotContains(t, evaluate[string](t, w, headersModel+`.getValue()`), "lumen_sk_")
	w.openTab(t, "FindByEmail")
	require.Equal(t, `{"email": "edited-before-the-reload@example.com"}`, w.variables(t))
	w.run(t, chromedp.Click(`button[aria-label="Show History"]`, chromedp.ByQuery))
	const history = `[...document.querySelectorAll('.graphiql-history-item-label')].map(b => b.textContent)`
	w.until(t, history+`.length > 0`)
	require.Equal(t, []string{"Mine", "FindByEmail"}, evaluate[[]string](t, w, history))
	w.screenshot(t, "playground-1440-light-history")
	w.accessible(t)

	require.NotContains(t, evaluate[string](t, w, `JSON.stringify({...sessionStorage, ...localStorage})`), "X-Marked")
	w.noFaults(t)
	// Shows that the search for the key below would find it: the tabs reach the disk a moment later.
	stored := func() bool { return contains(t, w.profile, "edited-before-the-reload") }
	require.Eventually(t, stored, time.Minute, time.Second)
	w.keepsNothingOf(t, key, "edited-before-the-reload")
}

// A merchant sees its own customers; another one's customer does not exist for it. The key of the
// merchant chosen stays out of the browser's storage.
func TestPlaygroundSwitchesMerchants(t *testing.T) {
	t.Parallel()
	at, merchants := serveDemo(t)
	w := openWindow(t, 1440, 900, "light")
	w.run(t, chromedp.Navigate(at+"/playground"))
	w.until(t, usable)
	w.openTab(t, "UpdateOneField")
	first := w.variables(t)
	require.Contains(t, w.again(t), `"name": "Jane Doe"`)

	w.choose(t, merchants[1])
	w.until(t, `document.querySelector('#merchant').value === '`+merchants[1].ID+`'`)
	require.Equal(t, first, w.variables(t), "the variables of the run stay")
	require.Contains(t, w.again(t), "NOT_FOUND", "the customer belongs to the other merchant")
	w.until(t, `document.querySelector('.equivalent').textContent.includes('As in the reply shown, for Other Shop')`)
	w.run(t, chromedp.Click(newExample, chromedp.BySearch))
	w.until(t, variablesModel+`.getValue() !== `+fmt.Sprintf("%q", first))
	require.Contains(t, w.again(t), `"name": "Jane Doe"`)
	w.openTab(t, "WhoAmI")
	require.Contains(t, w.again(t), merchants[1].ID)
	w.screenshot(t, "playground-1440-light-other-merchant")

	w.run(t, chromedp.Reload())
	w.until(t, `document.querySelector('#merchant')?.value === '`+merchants[1].ID+`'`)
	w.noFaults(t)
	w.keepsNothingOf(t, merchants[1].APIKey, merchants[1].ID)
}

// Another key can be entered, refused, and given up; until one is accepted the first stays in use.
func TestAnotherKeyCanBeCancelled(t *testing.T) {
	t.Parallel()
	at, merchants := serveDemo(t)
	w := openWindow(t, 1440, 900, "light")
	w.run(t, chromedp.Navigate(at+"/playground"))
	w.until(t, usable)
	const another = `//button[text()="Use another key"]`
	signedIn := `document.querySelector('#merchant')?.value === '` + merchants[0].ID + `'`
	enter := func(keys string) {
		w.run(t, chromedp.Click(another, chromedp.BySearch), chromedp.SendKeys(`input[name=key]`, keys, chromedp.ByQuery))
	}
	enter("lumen_sk_wrong" + kb.Enter)
	w.until(t, `document.querySelector('#key-note').textContent === 'Invalid key.'`)
	w.screenshot(t, "playground-1440-light-another-key")
	w.accessible(t)
	require.Contains(t, w.again(t), merchants[0].ID, "still signed in")
	w.run(t, chromedp.Click(`//button[text()="Cancel"]`, chromedp.BySearch))
	w.until(t, signedIn)
	enter(kb.Escape)
	w.until(t, signedIn+` && document.activeElement.textContent === 'Use another key'`)

	// A reply that arrives after Cancel has no effect.
	w.run(t, chromedp.Evaluate(`{
		const send = window.fetch;
		window.held = [];
		window.fetch = async (...request) => {
			const response = await send(...request);
			await new Promise(resolve => window.held.push(resolve));
			return response;
		};
		window.release = () => { window.fetch = send; window.held.forEach(resolve => resolve()); };
	}`, nil))
	enter(merchants[1].APIKey + kb.Enter)
	w.until(t, `window.held.length === 1`)
	w.run(t, chromedp.Click(`//button[text()="Cancel"]`, chromedp.BySearch), chromedp.Evaluate(`window.release()`, nil))
	require.Contains(t, w.again(t), merchants[0].ID, "still signed in")

	enter(merchants[1].APIKey + kb.Enter)
	w.until(t, `document.querySelector('#merchant')?.value === '`+merchants[1].ID+`'`)
	require.Contains(t, w.again(t), merchants[1].ID)
}

// The prepared tabs are on one line, ten or more of them wholly visible. The line scrolls to the tab
// that has the focus.
func TestTabsFitOrScroll(t *testing.T) {
	t.Parallel()
	at, _ := serveDemo(t)
	const visible = `(button => {
		const list = document.querySelector('.graphiql-tabs').getBoundingClientRect(), b = button.getBoundingClientRect();
		return b.left >= list.left - 1 && b.right <= list.right + 1 && b.top >= list.top - 1 && b.bottom <= list.bottom + 1;
	})`
	for _, width := range []int64{1440, 800} {
		w := openWindow(t, width, 900, "light")
		w.run(t, chromedp.Navigate(at+"/playground"))
		w.until(t, usable)
		require.Equal(t, 1, evaluate[int](t, w,
			`new Set([...document.querySelectorAll('.graphiql-tab')].map(tab => tab.getBoundingClientRect().top)).size`))
		all := evaluate[int](t, w, `[...document.querySelectorAll('.graphiql-tab-button')].filter(`+visible+`).length`)
		require.Equal(t, width == 1440, all >= 10, "%d tabs are visible at %d px", all, width)

		w.run(t, chromedp.Focus(`.graphiql-tab-button[title="WhoAmI"]`, chromedp.ByQuery))
		for range 22 { // past a tab's button and its close button, eleven times
			w.run(t, chromedp.KeyEvent(kb.Tab))
		}
		w.until(t, `document.activeElement.title === 'DuplicateEmail' && `+visible+`(document.activeElement)`)
		w.run(t, chromedp.KeyEvent(kb.Enter))
		w.until(t, `document.querySelector('.graphiql-tab-active .graphiql-tab-button').title === 'DuplicateEmail'`)
		w.screenshot(t, fmt.Sprintf("playground-%d-light-tabs", width))
		w.close()
	}
}
