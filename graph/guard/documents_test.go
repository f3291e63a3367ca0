package guard

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHasHalfPair(t *testing.T) {
	t.Parallel()
	for document, refused := range map[string]bool{
		`{a(b:"\ud83d\ude00")}`:              false,
		`{a(b:"\ud83d")}`:                    true,
		`{a(b:"\ude00\ud83d")}`:              true,
		`{a(b:"\uD83Dx\uDE00")}`:             true,
		`{a(b:"\u{D83D}")}`:                  true,
		`{a(b:"\u{1F600}")}`:                 false,
		`{a(b:"\\ud83d")}`:                   false,
		`{a(b:"x\\\ud83d")}`:                 true,
		`{a(b:"\"\ud83d")}`:                  true,
		`{a(b:"""\ud83d""")}`:                false,
		`{a(b:"""x \""" " \ud83d""" c:"y")}`: false,
		`{a(b:"""x""" c:"\ud83d")}`:          true,
		"{a # \\ud83d\n}":                    false,
		"{a # \"\n(b:\"\\ud83d\")}":          true,
		`{a(b:"#" c:"\ud83d")}`:              true,
		`{a(b:"" c:"\ud83d")}`:               true,
	} {
		require.Equal(t, refused, hasHalfPair(document), document)
	}
}
