package folding

import (
	"slices"
	"sync"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// MaxSortKey is the maximum length of a sort key, in octets. An entry of a btree index holds 2,704.
const MaxSortKey = 512

// SortKey returns a key for sorting by the text. Keys compare as octets, in the order of Unicode's
// root collation, which readers of most languages expect. Texts whose keys differ only after
// MaxSortKey octets have the same key. A key is never empty and never begins with 0xFF.
func SortKey(text string) []byte { return key(&collators, text) }

func key(pool *sync.Pool, text string) []byte {
	c := pool.Get().(*collator)
	defer pool.Put(c)
	c.buffer.Reset()
	// The collator confuses some Tibetan vowels unless the text is composed.
	key := c.KeyFromString(&c.buffer, norm.NFC.String(text))
	return slices.Clone(key[:min(len(key), MaxSortKey)])
}

// PrimaryKey returns the common beginning of the sort keys of all texts that differ only in letter
// case, marks and the like. In the key of a longer text, the octet that follows it is not 0.
func PrimaryKey(text string) []byte { return key(&primaryCollators, text) }

// collator collates for one goroutine at a time.
type collator struct {
	*collate.Collator
	buffer collate.Buffer
}

var (
	collators        = sync.Pool{New: func() any { return newCollator() }}
	primaryCollators = sync.Pool{New: func() any { return newCollator(collate.Loose) }}
)

func newCollator(options ...collate.Option) *collator {
	return &collator{Collator: collate.New(language.Und, options...)}
}
