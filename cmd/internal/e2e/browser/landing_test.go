//go:build browser

package browser

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/cmd/internal/pages"
	"lumen/store/storetest"
)

// The short form opens each scheme in one window, the long form in both.
func TestLandingPageInABrowser(t *testing.T) {
	t.Parallel()
	at, _ := serveDemo(t)
	for i, size := range []struct{ width, height int64 }{{1440, 900}, {390, 844}} {
		for j, scheme := range []string{"light", "dark"} {
			if i != j && !storetest.Long() {
				continue
			}
			w := openWindow(t, size.width, size.height, scheme)
			w.run(t, chromedp.Navigate(at+"/"), chromedp.WaitVisible(`#live`, chromedp.ByQuery))
			require.LessOrEqual(t, evaluate[int64](t, w, `document.documentElement.scrollWidth`), size.width, "nothing sticks out")
			w.screenshot(t, fmt.Sprintf("landing-%d-%s", size.width, scheme))
			w.run(t, chromedp.Evaluate(`scrollTo(0, 9999)`, nil))
			w.screenshot(t, fmt.Sprintf("landing-%d-%s-end", size.width, scheme))
			w.accessible(t)
			links := evaluate[[]string](t, w, `[...document.links].map(a => a.href)`)
			require.Contains(t, links, at+"/schema.graphql")
			for _, link := range links {
				status, body := harness.Fetch(t, "GET", link, "", "")
				require.Equal(t, 200, status, "%s: %s", link, body)
			}
			w.noFaults(t)
			w.close()
		}
	}
}

// The page shows the customers, the counts and the key of the merchant chosen. The other merchant
// does not find the newest of them, although its own customers have the same names and addresses.
func TestLandingPageSwitchesMerchants(t *testing.T) {
	t.Parallel()
	at, merchants := serveDemo(t)
	w := openWindow(t, 1440, 900, "light")
	w.run(t, chromedp.Navigate(at+"/"))
	shown := func(m pages.Merchant) (newest, isolation []string) {
		w.until(t, `document.querySelector('#live-title').textContent === 'Customers of `+m.Name+`' &&
			document.querySelector('#key').textContent === '`+m.APIKey+`' &&
			[...document.querySelectorAll('#isolation tbody tr')].some(r =>
				r.textContent.includes('`+m.Name+`') && r.textContent.includes('The customer'))`)
		require.Equal(t, fmt.Sprintf("%d customers. The newest are these:", sharedCustomers),
			evaluate[string](t, w, `document.querySelector('#count').textContent`))
		const rows = `[...document.querySelectorAll('%s tbody tr')].map(r => [...r.cells].map(c => c.textContent).join('|'))`
		newest = evaluate[[]string](t, w, fmt.Sprintf(rows, "#newest"))
		return newest, evaluate[[]string](t, w, fmt.Sprintf(rows, "#isolation"))
	}
	mine, isolation := shown(merchants[0])
	require.Len(t, mine, 5)
	require.Regexp(t, `^Customer 11\|customer11@example\.com\|cust_\w+$`, mine[0])
	require.Equal(t, []string{"Demo Shop|12|The customer", "Other Shop|12|Not found"}, isolation)

	w.choose(t, merchants[1])
	theirs, isolation := shown(merchants[1])
	require.Regexp(t, `^Customer 11\|customer11@example\.com\|cust_\w+$`, theirs[0])
	require.NotEqual(t, mine[0], theirs[0])
	require.Equal(t, []string{"Demo Shop|12|Not found", "Other Shop|12|The customer"}, isolation)

	w.run(t, chromedp.Reload())
	again, _ := shown(merchants[1])
	require.Equal(t, theirs, again)
	require.Equal(t, `{"lumen:merchant":"`+merchants[1].ID+`"}`,
		evaluate[string](t, w, `JSON.stringify({...sessionStorage, ...localStorage})`))
	w.run(t, chromedp.Click(`//nav/a[text()="Playground"]`, chromedp.BySearch),
		chromedp.WaitVisible(runButton, chromedp.ByQuery))
	w.until(t, `document.querySelector('#merchant')?.value === '`+merchants[1].ID+`'`)
	w.noFaults(t)
}

// A click anywhere on a card follows its link, and a click on Copy copies the command.
func TestLandingPageCardsAndCopyButtons(t *testing.T) {
	t.Parallel()
	at, merchants := serveDemo(t)
	w := openWindow(t, 1440, 900, "light")
	w.run(t, chromedp.Navigate(at+"/"), chromedp.WaitVisible(`#live`, chromedp.ByQuery),
		chromedp.Evaluate(`navigator.clipboard.writeText = async text => { window.copied = text; }`, nil))
	for name, path := range map[string]string{
		"GraphQL playground": "/playground", "REST reference": "/docs",
		"schema.graphql": "/schema.graphql", "openapi.yaml": "/openapi.yaml",
	} {
		link := evaluate[string](t, w, `(() => {
			const card = [...document.querySelectorAll('.cards li')].find(li =>
				li.querySelector('a').textContent === '`+name+`');
			const box = card.getBoundingClientRect();
			return document.elementFromPoint(box.right - 6, box.bottom - 6).closest('a').href;
		})()`)
		require.Equal(t, at+path, link)
	}
	for label, has := range map[string]string{
		"API key":      "export LUMEN_KEY=" + merchants[0].APIKey,
		"REST command": "/api/customers?limit=3", "GraphQL command": "/graphql",
	} {
		button := fmt.Sprintf(`button[aria-label="Copy: %s"]`, label)
		w.run(t, chromedp.Click(button, chromedp.ByQuery))
		w.until(t, `document.querySelector('`+button+`').textContent === 'Copied'`)
		require.Contains(t, evaluate[string](t, w, `window.copied`), has)
	}
	w.noFaults(t)
}

// The commands of the landing page and of the playground run unchanged in the usual shells.
func TestCommandsRunInEachShell(t *testing.T) {
	t.Parallel()
	at, merchants := serveDemo(t)
	w := openWindow(t, 1440, 900, "light")
	w.run(t, chromedp.Navigate(at+"/"), chromedp.WaitVisible(`#live`, chromedp.ByQuery))
	texts := evaluate[[]string](t, w, `[...document.querySelectorAll('pre')].map(pre => pre.textContent)`)
	require.Len(t, texts, 3)
	script := strings.Join(texts, "\n") + "\n"
	w.run(t, chromedp.Navigate(at+"/playground"))
	w.until(t, usable)
	w.openTab(t, "FirstPage")
	w.until(t, restCommand+`.includes('limit=5')`)
	script += evaluate[string](t, w, restCommand) + "\n"
	w.openTab(t, "CreateCustomer")
	special := `{ email: "o'neill+$HOME@example.com", name: 'Who\\!! ` + "`id`" + ` "x"' }` // to a shell
	w.run(t, chromedp.Evaluate(variablesModel+`.setValue(JSON.stringify({ input: `+special+` }))`, nil))
	w.until(t, restCommand+`.includes('neill')`)
	script += evaluate[string](t, w, restCommand) + "\n"
	for i, shell := range [][]string{{"sh"}, {"bash"}, {"zsh", "-f"}} {
		// An interactive shell reads the script as it reads what is pasted.
		command := exec.CommandContext(t.Context(), shell[0], append(shell[1:], "-i")...)
		command.Stdin = strings.NewReader(script)
		out, _ := command.Output() // the status is that of the last command
		require.Equal(t, 2, strings.Count(string(out), `{"customers":[`), "%s: %s", shell, out)
		require.Contains(t, string(out), `"totalCount":`, shell)
		require.Contains(t, string(out), merchants[0].ID, shell)
		if i == 0 {
			require.Contains(t, string(out), `"email":"o'neill+$HOME@example.com"`, shell)
		} else {
			require.Contains(t, string(out), "already exists", shell)
		}
	}
}
