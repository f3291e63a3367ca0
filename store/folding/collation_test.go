package folding

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// The golden list holds names in twelve scripts. Another implementation sorted it: ICU's root
// collation, through JavaScript's Intl.Collator. Keys are stored, so a changed order needs a
// migration.
func TestSortKeysHaveGoldenOrder(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/names.txt")
	require.NoError(t, err)
	want := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Greater(t, len(want), 80)

	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b string) int { return bytes.Compare(SortKey(a), SortKey(b)) })
	require.Equal(t, want, got)
}

func TestSortKeyProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := text().Draw(t, "text")
		key := SortKey(text)
		require.NotEmpty(t, key)
		require.Less(t, key[0], byte(0xFF), "the key of a missing name comes after it")
		require.LessOrEqual(t, len(key), MaxSortKey)
		require.Equal(t, key, SortKey(norm.NFC.String(text)), "NFC")
		require.Equal(t, key, SortKey(norm.NFD.String(text)), "NFD")
	})
	// Only names that differ in letter case or marks lie between the primary key and the same with
	// 0, 0xFF appended.
	for _, name := range []string{"anna schmidt", "Anna Schmidt", "ANNA SCHMIDT", "Änna Schmidt"} {
		low := PrimaryKey("anna schmidt")
		high := append(PrimaryKey("anna schmidt"), 0, 0xFF)
		require.Negative(t, bytes.Compare(low, SortKey(name)), name)
		require.Positive(t, bytes.Compare(high, SortKey(name)), name)
		require.Positive(t, bytes.Compare(low, SortKey("anna schmid")))
		require.Negative(t, bytes.Compare(high, SortKey("anna schmidt ")))
		require.Negative(t, bytes.Compare(high, SortKey("anna schmidta")))
	}
	long := strings.Repeat("Ő", 256)
	require.Len(t, SortKey(long), MaxSortKey)
	require.Equal(t, SortKey(long), SortKey(long+"x"))
	require.NotEmpty(t, SortKey(""))
}
