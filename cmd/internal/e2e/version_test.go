package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/cmd/internal/program"
)

// TestVersion checks the version of a release build, as text and JSON, and that of a build without
// one.
func TestVersion(t *testing.T) {
	t.Parallel()
	lumen := harness.Program(t)
	line, err := exec.Command(lumen, "version").Output()
	require.NoError(t, err)
	require.Regexp(t, `^lumen v1\.2\.3( \(commit [0-9a-f]{40}( with changes)?, \S+\))?, `+runtime.Version()+` `+runtime.GOOS+`/`+runtime.GOARCH+`\n$`, string(line))

	flag, err := exec.Command(lumen, "--version").Output()
	require.NoError(t, err)
	require.Equal(t, string(line), string(flag))

	text, err := exec.Command(lumen, "version", "--json").Output()
	require.NoError(t, err)
	var document struct{ Build map[string]string }
	require.NoError(t, json.Unmarshal(text, &document))
	require.Equal(t, runtime.Version(), document.Build["go"])
	require.Equal(t, "v1.2.3", document.Build["version"])

	var out bytes.Buffer
	require.Zero(t, program.Run(t.Context(), []string{"version", "--json"}, &out, io.Discard, program.Release{}))
	require.NoError(t, json.Unmarshal(out.Bytes(), &document))
	require.Equal(t, "development", document.Build["version"], "a build without -ldflags, such as this test, is a development build")
}

// TestCompletion runs the completion script in bash and checks the proposals for incomplete
// commands.
func TestCompletion(t *testing.T) {
	t.Parallel()
	lumen := harness.Program(t)
	complete := func(line string) []string {
		const press = `eval "$("$1" completion bash)"
			[[ $(complete -p lumen) =~ ^complete\ .*\ -C\ (.*)\ lumen$ ]] && eval "command=${BASH_REMATCH[1]}"
			export COMP_LINE=$2 COMP_POINT=${#2}
			eval "$command"`
		out, err := exec.Command("bash", "-c", press, "-", lumen, line).CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.Fields(string(out))
	}
	require.Equal(t, []string{"merchant", "migrate"}, slices.Sorted(slices.Values(complete("lumen m"))))
	require.Equal(t, []string{"create"}, complete("lumen key cr"))
	require.Equal(t, []string{"read", "write"}, slices.Sorted(slices.Values(complete("lumen key create --access "))))
	require.Equal(t, []string{"--data-dir"}, complete("lumen dev --data"))
	shells := complete("lumen completion ")
	require.Equal(t, []string{"bash", "fish", "zsh"}, slices.Sorted(slices.Values(shells)))

	for _, shell := range shells {
		out, err := exec.Command(lumen, "completion", shell).Output()
		require.NoError(t, err)
		require.Contains(t, string(out), lumen)
	}
}
