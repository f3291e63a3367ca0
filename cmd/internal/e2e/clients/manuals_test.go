//go:build clients

package clients

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// shellBlock matches an example for the shell, and the reply that the manual shows right after it, if
// any. An example in a list is indented.
var shellBlock = regexp.MustCompile("(?s)\n *```sh\n(.*?)\n *```\n(?:\n```json\n(.*?)\n```\n)?")

// TestManuals runs the shell examples of the manuals for clients, each manual from its beginning to its
// end, with nothing replaced but the address. curl must succeed in each of them, no reply may have
// errors, and a reply that the manual shows must be the real one.
func TestManuals(t *testing.T) {
	for file, examples := range map[string]int{"graph/README.md": 2, "rest/README.md": 8} {
		t.Run(file, func(t *testing.T) {
			d := harness.Serve(t)
			m := d.Merchant(t, "Manual")
			d.Create(t, m, `{"email":"one.customer@example.com"}`) // as dev has some
			manual, err := os.ReadFile("../../../../" + file)
			require.NoError(t, err)
			blocks := shellBlock.FindAllStringSubmatch(string(manual), -1)
			require.Len(t, blocks, examples)

			const end = "\n--- end of example ---\n"
			script := "curl() { command curl -sS --fail-with-body \"$@\"; }\n"
			for _, block := range blocks {
				script += block[1] + "\nprintf '" + strings.ReplaceAll(end, "\n", `\n`) + "'\n"
			}
			script = strings.ReplaceAll(script, "http://127.0.0.1:8080", d.URL)
			cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
			cmd.Dir = t.TempDir() // an example writes files
			cmd.Env = append(os.Environ(), "LUMEN_KEY="+string(m.WriteKey))
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)

			replies := strings.Split(string(out), end)
			require.Len(t, replies, len(blocks)+1)
			for i, block := range blocks {
				require.NotContains(t, replies[i], `"errors"`, block[1])
				decoder := json.NewDecoder(strings.NewReader(replies[i]))
				for decoder.More() {
					require.NoError(t, decoder.Decode(new(any)), "%s: %s", block[1], replies[i])
				}
				if block[2] != "" {
					require.JSONEq(t, block[2], replies[i], block[1])
				}
			}
		})
	}
}

// TestManualShowsTheClient checks that graph/README.md shows code of the TypeScript client, which
// TestClients runs.
func TestManualShowsTheClient(t *testing.T) {
	manual, err := os.ReadFile("../../../../graph/README.md")
	require.NoError(t, err)
	client, err := os.ReadFile("../../../../graph/clients/typescript/lumen.ts")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)\n```ts\n(.*?)```\n").FindAllSubmatch(manual, -1)
	require.NotEmpty(t, shown)
	for _, block := range shown {
		require.Contains(t, string(client), string(block[1]))
	}
}
