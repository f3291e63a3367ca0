package graph

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/graph/guard"
)

// TestManualStatesLimits checks that README.md has the default of each limit.
func TestManualStatesLimits(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("README.md")
	require.NoError(t, err)
	limits := guard.DefaultLimits
	for name, limit := range map[string]int{
		"BODY": limits.Body, "TOKENS": limits.Tokens, "DEPTH": limits.Depth, "FIELDS": limits.Fields,
		"ALIASES": limits.Aliases, "DIRECTIVES": limits.Directives, "VALUE_DEPTH": limits.ValueDepth,
		"VARIABLES_SIZE": limits.VariablesSize, "IDS": limits.IDs, "ERRORS": limits.Errors, "COST": limits.Cost,
	} {
		require.Contains(t, string(manual), fmt.Sprintf("\n| `LUMEN_GRAPHQL_MAX_%s` | %d | ", name, limit))
	}
}
