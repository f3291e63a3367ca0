package folding

import (
	"slices"
	"sync"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
)

// MaxSortKey is the length of the longest sort key, in octets. An entry of a btree index holds 2,704.
const MaxSortKey = 512

// SortKey returns a key whose octets are in the order in which readers expect the texts: that of
// Unicode's root collation. Texts that differ after what fits into MaxSortKey have the same key. It is never
// empty and never begins with 0xFF.
func SortKey(text string) []byte {
	c := collators.Get().(*collator)
	defer collators.Put(c)
	c.buffer.Reset()
	key := c.KeyFromString(&c.buffer, text)
	return slices.Clone(key[:min(len(key), MaxSortKey)])
}

// collator is for one goroutine at a time.
type collator struct {
	*collate.Collator
	buffer collate.Buffer
}

var collators = sync.Pool{New: func() any { return &collator{Collator: collate.New(language.Und)} }}
