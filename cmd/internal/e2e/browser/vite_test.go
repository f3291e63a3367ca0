//go:build browser

package browser

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
)

const clients = "../../../../graph/clients"

var (
	// codeBlock matches a code block of Markdown.
	codeBlock      = regexp.MustCompile("(?ms)^```\\w+\n(.*?)^```$")
	createCommand  = regexp.MustCompile(`(?m)^npm create vite@latest (app) -- (--template) (\S+) (--no-interactive)$`)
	installCommand = regexp.MustCompile(`(?m)^npm install (?:--save-dev )?(.+)$`)
)

// The recipe of graph/clients/README.md works as it is written: in the app that `npm create vite`
// makes, with the server's address and the ports changed and nothing else.
func TestViteRecipe(t *testing.T) {
	t.Parallel()
	backend, preview := freePort(t), freePort(t)
	origin := "http://127.0.0.1:" + preview
	d := harness.Serve(t, "--introspection", "--cors-origins", origin)
	m := d.Merchant(t, "Shop")
	d.Fill(t, m, 25)
	app := scaffold(t)
	commands := writeRecipe(t, app, strings.NewReplacer(
		"http://127.0.0.1:8080", d.URL, "3000", backend, "lumen_sk_demo_...", string(m.WriteKey)))
	mustRun(t, app, "npx", "graphql-codegen")
	mustRun(t, app, "npx", "tsc", "-b") // the command of the templates for frameworks
	mustRun(t, app, "npm", "run", "build")

	const life = 15 * time.Second // of a token; the page renews it after 12 s
	started := regexp.MustCompile("(?m)^.* node backend.mjs$").FindString(commands)
	start(t, app, "sh", "-c", fmt.Sprintf("export TOKEN_SECONDS=%d; exec env %s", life/time.Second, started))
	vite := absolute(t, clients+"/node_modules/.bin/vite")
	start(t, app, vite, "preview", "--host", "127.0.0.1", "--port", preview, "--strictPort")
	require.Eventually(t, func() bool {
		response, err := http.Get(origin + "/token") // the backend answers POST only
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusNotFound
	}, 20*time.Second, 50*time.Millisecond, "the backend answers through Vite")

	minted := func() int { return strings.Count(d.Logged(), `"operation":"createAccessToken","code":"OK"`) }
	refused := func() int { return strings.Count(d.Logged(), `"code":"UNAUTHENTICATED"`) }
	w := openWindow(t, 800, 600, "light")
	w.run(t, chromedp.Navigate(origin))
	w.until(t, `document.querySelectorAll('li').length === 20`)
	require.Equal(t, 1, minted())
	// rename changes the name of the first customer in the list.
	rename := func(name, also string) {
		w.run(t, chromedp.Evaluate(fmt.Sprintf(`{
			document.querySelector('output').value = '';
			const input = document.querySelector('li input');
			input.value = '%s';
			input.dispatchEvent(new Event('change'));
			%s
		}`, name, also), nil))
		w.until(t, `document.querySelector('output').value === 'Saved Filled25@example.com'`)
		require.Equal(t, []string{name}, d.Lines(t, "SELECT name FROM customers WHERE email = 'Filled25@example.com'"))
	}

	// The operator revokes the key that signed the token. Lumen answers 401 within 5 s, and the
	// page gets a new token and sends the same operation again.
	keys := d.Owner(t).TokenKeys
	_, err := keys.Revoke(t.Context(), d.Lines(t, "SELECT id FROM token_keys")[0])
	require.NoError(t, err)
	_, err = keys.Rotate(t.Context(), d.TokenSecret, auth.EdDSA)
	require.NoError(t, err)
	for i := 0; minted() == 1; i++ {
		rename("Renamed "+strconv.Itoa(i), "")
	}
	renewed := time.Now()
	require.Equal(t, 2, minted())
	require.Equal(t, 1, refused())

	// A token that is about to expire is renewed before two operations that the page sends at once,
	// and one renewal serves both.
	time.Sleep(time.Until(renewed.Add(life * 8 / 10)))
	rename("Renamed at last", "document.querySelector('button').click()")
	w.until(t, `document.querySelectorAll('li').length === 25 && document.querySelector('button').hidden`)
	require.Equal(t, 3, minted())
	require.Equal(t, 1, refused())

	w.mu.Lock()
	defer w.mu.Unlock()
	require.Len(t, w.faults, 1, "only the browser itself reports the 401")
	require.Contains(t, w.faults[0], "401 (Unauthorized)")
}

// scaffold makes the app of the template, as the recipe's commands do, and returns its folder. It
// lies below the packages of graph/clients: these are what the recipe installs, in versions that a
// lock file pins.
func scaffold(t *testing.T) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(clients+"/out", 0o755))
	folder, err := os.MkdirTemp(clients+"/out", "vite-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	commands := recipe(t)[0]
	create := createCommand.FindStringSubmatch(commands)
	require.NotNil(t, create, commands)
	mustRun(t, folder, absolute(t, clients+"/node_modules/.bin/create-vite"), create[1:]...)

	var stock, pinned struct{ DevDependencies map[string]string }
	for file, into := range map[string]any{folder + "/app/package.json": &stock, clients + "/package.json": &pinned} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, into))
	}
	major := func(version string) string {
		version, _, _ = strings.Cut(strings.TrimLeft(version, "^~"), ".")
		return version
	}
	for name, version := range stock.DevDependencies {
		require.Equal(t, major(version), major(pinned.DevDependencies[name]), name)
	}
	for _, command := range installCommand.FindAllStringSubmatch(commands, -1) {
		for _, name := range strings.Fields(command[1]) {
			require.Contains(t, pinned.DevDependencies, name)
		}
	}
	return filepath.Join(folder, "app")
}

// recipe returns the code blocks of the recipe.
func recipe(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile(clients + "/README.md")
	require.NoError(t, err)
	_, text, _ := strings.Cut(string(readme), "\n## A Vite app in TypeScript\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var blocks []string
	for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, block[1])
	}
	require.NotEmpty(t, blocks)
	return blocks
}

// writeRecipe writes each block that begins with a file's name to that file, and returns all
// others.
func writeRecipe(t *testing.T, app string, replacer *strings.Replacer) (commands string) {
	t.Helper()
	var files []string
	for _, block := range recipe(t) {
		block = replacer.Replace(block)
		first, rest, _ := strings.Cut(block, "\n")
		_, name, found := strings.Cut(first, " ")
		if !found || !strings.HasPrefix(first, "// ") && !strings.HasPrefix(first, "# ") {
			commands += block
			continue
		}
		require.NoError(t, os.WriteFile(filepath.Join(app, name), []byte(rest), 0o644))
		files = append(files, name)
	}
	require.Equal(t, []string{"codegen.ts", ".env", "src/lumen.ts", "src/main.ts", "backend.mjs", "vite.config.ts"}, files)
	return commands
}

// absolute returns the path of a file that npm ci installs.
func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	require.FileExists(t, path, "run npm ci in graph/clients first")
	return path
}

func mustRun(t *testing.T, folder, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = folder, append(harness.Environment(), "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
}

// start runs a command until the test ends, with all that it starts.
func start(t *testing.T, folder, name string, args ...string) {
	t.Helper()
	out := new(harness.LockedBuffer)
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = folder, harness.Environment(), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
}

// freePort returns a port of this machine that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}
