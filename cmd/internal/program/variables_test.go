package program

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

func flagVariables(t *testing.T) []string {
	t.Helper()
	return variablesOf(flagModel(t))
}

func flagModel(t *testing.T) *kong.Application {
	t.Helper()
	var p program
	parser, err := kong.New(&p, defaultLimits(), kong.Vars{"version": ""}, kong.PostBuild(describe))
	require.NoError(t, err)
	return parser.Model
}

// Every variable that the code, the manuals and the examples name is known, so that none of them is
// warned about.
func TestEveryDocumentedVariableIsKnown(t *testing.T) {
	t.Parallel()
	const root = "../../../"
	skipped := regexp.MustCompile(`/(\.git|node_modules|dist|testdata)$|_test\.go$|CHANGELOG\.md$|variables\.go$`)
	variable := regexp.MustCompile(`\bLUMEN_[A-Z0-9_]*[A-Z0-9]\b`)
	read, found := flagVariables(t), 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch isSkipped := skipped.MatchString(filepath.ToSlash(path)); {
		case err != nil:
			return err
		case entry.IsDir() && isSkipped:
			return fs.SkipDir
		case !entry.Type().IsRegular() || isSkipped:
			return nil
		}
		text, err := os.ReadFile(path)
		if bytes.IndexByte(text, 0) >= 0 {
			return err // no text
		}
		for _, name := range variable.FindAllString(string(text), -1) {
			require.Empty(t, unknownVariables([]string{name + "=x"}, read), "%s names %s", path, name)
			found++
		}
		return err
	})
	require.NoError(t, err)
	require.Greater(t, found, 100)
}

// The operator's manual has a row for each variable, with its flag and its default.
func TestManualHasEveryVariable(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../lumen/README.md")
	require.NoError(t, err)
	rows := 0
	require.NoError(t, kong.Visit(flagModel(t), func(visited kong.Visitable, next kong.Next) error {
		if flag, ok := visited.(*kong.Flag); ok && len(flag.Envs) > 0 {
			row := "| `" + flag.Envs[0] + "` | `--" + flag.Name + "` | "
			require.Contains(t, string(manual), row)
			if _, isBool := flag.Target.Interface().(bool); flag.HasDefault && !isBool {
				value := flag.Default
				require.Regexp(t, regexp.QuoteMeta(row)+"`?"+regexp.QuoteMeta(value)+"`? ", string(manual))
			}
			rows++
		}
		return next(nil)
	}))
	require.Greater(t, rows, 30)
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
