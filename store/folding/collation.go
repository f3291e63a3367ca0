package folding

import (
	"slices"
	"sync"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// MaxSortKey is the length of the longest sort key, in octets. An entry of a btree index holds 2,704.
const MaxSortKey = 512

// SortKey returns a key whose octets are in the order in which readers expect the texts: that of
// Unicode's root collation. Texts that differ after what fits into MaxSortKey have the same key. It is never
// empty and never begins with 0xFF.
func SortKey(text string) []byte { return key(&collators, text) }

func key(pool *sync.Pool, text string) []byte {
	c := pool.Get().(*collator)
	defer pool.Put(c)
	c.buffer.Reset()
	// The collator takes some vowels of Tibetan for others when they are not composed.
	key := c.KeyFromString(&c.buffer, norm.NFC.String(text))
	return slices.Clone(key[:min(len(key), MaxSortKey)])
}

// PrimaryKey returns what the sort keys begin with of all texts that differ in letter case, marks and the like
// alone. In the keys of texts that are longer it is followed by other octets than 0.
func PrimaryKey(text string) []byte { return key(&primaryCollators, text) }

// collator is for one goroutine at a time.
type collator struct {
	*collate.Collator
	buffer collate.Buffer
}

var (
	collators        = sync.Pool{New: func() any { return &collator{Collator: collate.New(language.Und)} }}
	primaryCollators = sync.Pool{New: func() any { return &collator{Collator: collate.New(language.Und, collate.Loose)} }}
)
