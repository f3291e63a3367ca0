package program

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A flag or a command without a help text makes Run panic. The test finds help texts of no flag.
func TestEveryHelpTextIsShown(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, command := range []string{"", "dev", "serve", "key create", "token-key", "token-key rotate", "changes prune"} {
		var stdout, stderr bytes.Buffer
		require.Zero(t, Run(t.Context(), append(strings.Fields(command), "--help"), &stdout, &stderr, Release{}))
		all.WriteString(strings.Join(strings.Fields(stdout.String()), " "))
	}
	for of, text := range helpTexts {
		begin, _, _ := strings.Cut(text, "(${")
		require.Contains(t, all.String(), strings.TrimSpace(begin), of)
	}
}
