package store

import (
	"strings"

	"lumen/store/folding"
)

// StoredKey is a column that Go code computes from texts of its row. Writes compute it whenever
// they write one of the texts. A migration computes it for existing rows when a release changes the
// computation.
type StoredKey struct {
	Column, SQLType string
	// From are the columns that hold the texts.
	From []string
	// Of returns the key, as a string, a []byte or nil for null. A nil text is null. Of returns
	// false if a text is no longer valid; the column then keeps its value.
	Of func(texts []*string) (any, bool)
}

// StoredKeys implements Noun.
func (n *noun[T]) StoredKeys() []StoredKey {
	var keys []StoredKey
	for _, d := range n.derived {
		keys = append(keys, StoredKey{d.column, d.sqlType, []string{d.from}, func(texts []*string) (any, bool) {
			key := mapText(texts[0], d.key)
			return key, (key == nil) == (texts[0] == nil)
		}})
	}
	if len(n.search) > 0 {
		keys = append(keys, StoredKey{searchKey, "text", n.search, searchLines})
	}
	return keys
}

// searchLines returns the search key of a row.
func searchLines(texts []*string) (any, bool) {
	lines := make([]string, len(texts))
	for i, text := range texts {
		lines[i] = searchLine(text)
	}
	return strings.Join(lines, "\n"), true
}

// searchLine returns a text's line in the search key.
func searchLine(text *string) string {
	if text == nil {
		return ""
	}
	return folding.Search(*text)
}
