package guard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// TestMeasureIsLinear checks that the time of measure is linear in the length of the document,
// because it visits a fragment once. The fragments here stand for 4^800 fields.
func TestMeasureIsLinear(t *testing.T) {
	t.Parallel()
	measured := func(levels int) (steps int, refused bool) {
		var text strings.Builder
		text.WriteString("{...F0}")
		for i := range levels {
			fmt.Fprintf(&text, " fragment F%d on Query{...F%d ...F%[2]d ...F%[2]d ...F%[2]d}", i, i+1)
		}
		fmt.Fprintf(&text, " fragment F%d on Query{merchant{id}}", levels)
		document, err := parser.ParseQuery(&ast.Source{Input: text.String()})
		require.NoError(t, err)
		unlimited := Limits{Depth: saturated, Fields: saturated - 1, Aliases: saturated, Directives: saturated, ValueDepth: saturated}
		start := time.Now()
		refused = unlimited.check(measure(document)) != nil
		return int(time.Since(start) / time.Microsecond), refused
	}
	for _, levels := range []int{15, 200, 800} { // 4^15 is beyond saturated
		took, refused := measured(levels)
		require.True(t, refused)
		require.Less(t, took, 1_000_000, "microseconds")
	}
	_, refused := measured(5)
	require.False(t, refused)
}
