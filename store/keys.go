package store

import (
	"strings"

	"lumen/store/folding"
)

// StoredKey is a column that is computed from texts of its row. It is computed whenever one of them is
// written, and for rows that are there when a release computes it in another way.
type StoredKey struct {
	Column, SQLType string
	// From are the columns of the texts.
	From []string
	// Of returns the key of the texts, nil being null, as a string, a []byte or nil. It returns false when one
	// of them is refused today: then the column keeps what it has.
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

// searchLines is the search key of a row.
func searchLines(texts []*string) (any, bool) {
	lines := make([]string, len(texts))
	for i, text := range texts {
		lines[i] = searchLine(text)
	}
	return strings.Join(lines, "\n"), true
}

// searchLine is the line of a text in the search key.
func searchLine(text *string) string {
	if text == nil {
		return ""
	}
	return folding.Search(*text)
}
