package e2e

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The code that the README shows is the code that the tests of the clients run.
func TestReadmeShowsTheClientAsItIs(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../../README.md")
	require.NoError(t, err)
	for _, file := range []string{"codegen.ts", "lumen.ts"} {
		code, err := os.ReadFile("../../../graph/clients/typescript/" + file)
		require.NoError(t, err)
		require.Contains(t, string(readme), "\n```ts\n// "+file+"\n"+string(code)+"```\n")
	}
}
