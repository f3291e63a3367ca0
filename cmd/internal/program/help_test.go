package program

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A command line whose definition has an error, such as a flag without a help text, would panic in any case.
func TestEveryHelpTextIsShown(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, command := range []string{"", "dev", "serve", "key create", "token-key", "token-key rotate"} {
		var stdout, stderr bytes.Buffer
		require.Zero(t, Run(t.Context(), append(strings.Fields(command), "--help"), &stdout, &stderr, Release{}))
		all.WriteString(strings.Join(strings.Fields(stdout.String()), " "))
	}
	for of, text := range helpTexts {
		begin, _, _ := strings.Cut(text, "(${")
		require.Contains(t, all.String(), strings.TrimSpace(begin), of)
	}
}
