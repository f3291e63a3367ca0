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

// The golden list, names in twelve scripts, was sorted by another implementation (ICU's root collation, through
// JavaScript's Intl.Collator). Keys are stored, so an order that changes needs a migration.
func TestSortKeysAreInTheOrderOfReaders(t *testing.T) {
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
		require.Less(t, key[0], byte(0xFF), "what stands in for no name comes after it")
		require.LessOrEqual(t, len(key), MaxSortKey)
		require.Equal(t, key, SortKey(norm.NFC.String(text)), "NFC")
		require.Equal(t, key, SortKey(norm.NFD.String(text)), "NFD")
	})
	// Names that differ in letter case or marks alone lie between what begins with their primary key and what
	// goes on, other names do not.
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
