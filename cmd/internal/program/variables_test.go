package program

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

func flagVariables(t *testing.T) []string {
	t.Helper()
	var p program
	parser, err := kong.New(&p, defaultLimits(), kong.Vars{"version": ""}, kong.PostBuild(describe))
	require.NoError(t, err)
	return variablesOf(parser.Model)
}

// Every variable that the code, the manuals and the examples name is known, so that none of them is
// warned about.
func TestEveryDocumentedVariableIsKnown(t *testing.T) {
	t.Parallel()
	const root = "../../../"
	listed, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files").Output()
	require.NoError(t, err)
	ownTests := regexp.MustCompile(`_test\.go$|/testdata/|^CHANGELOG\.md$|variables\.go$`)
	variable := regexp.MustCompile(`\bLUMEN_[A-Z0-9_]*[A-Z0-9]\b`)
	read, found := flagVariables(t), 0
	for file := range strings.Lines(string(listed)) {
		file = strings.TrimSpace(file)
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil || ownTests.MatchString(file) || bytes.IndexByte(text, 0) >= 0 {
			continue // a link to a folder, or no text
		}
		for _, name := range variable.FindAllString(string(text), -1) {
			require.Empty(t, unknownVariables([]string{name + "=x"}, read), "%s names %s", file, name)
			found++
		}
	}
	require.Greater(t, found, 100)
}

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	read := flagVariables(t)
	for name, want := range map[string]string{
		"LUMEN_DATABSE_URL":      "; did you mean LUMEN_DATABASE_URL?",
		"LUMEN_SHUTDOWN_DELAYS":  "; did you mean LUMEN_SHUTDOWN_DELAY?",
		"LUMEN_DB":               "",
		"LUMEN_PRIVATE_PORT":     "",
		"LUMEN_SOMETHING_LONGER": "",
	} {
		require.Equal(t, []string{"the variable " + name + " is unknown and ignored" + want},
			unknownVariables([]string{"PATH=/bin", name + "=hunter2"}, read))
	}
	known := []string{
		"LUMEN_KEY=x", "LUMEN_OTHER_KEY=x", "LUMEN_DATABSE_URL=", "LUMEN_TEST_ANYTHING=1", "LUMEN_PRIVATE_PORT=tcp://10.0.0.1:9464",
		"LUMEN_SERVICE_HOST=10.0.0.1", "LUMEN_SERVICE_PORT_HTTP=80", "LUMEN_PORT_80_TCP_PROTO=tcp", "LUMENX=1",
	}
	require.Empty(t, unknownVariables(known, read))
	require.True(t, slices.IsSorted(unknownVariables([]string{"LUMEN_B=1", "LUMEN_A=1"}, read)))
}

func TestInvocation(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"lumen": "lumen", "./lumen": "lumen", "/usr/local/bin/lumen": "lumen", "/tmp/go-build1/b001/program.test": "lumen",
		"/tmp/go-build123/b001/exe/lumen": "go run ./cmd/lumen", "/root/.cache/go-build/ab/cdef-d/lumen": "go run ./cmd/lumen",
	} {
		require.Equal(t, want, invocation(path), path)
	}
	var out bytes.Buffer
	at := terminal{out: &out, err: &out, invocation: "go run ./cmd/lumen"}
	require.Equal(t, 2, run(t.Context(), []string{"key"}, at, Release{}))
	require.Contains(t, out.String(), "; see: go run ./cmd/lumen key --help\n")
	require.Equal(t, "run: go run ./cmd/lumen migrate up; lumen_serve, lumen: x", at.asInvoked("run: lumen migrate up; lumen_serve, lumen: x"))
}
