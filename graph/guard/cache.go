package guard

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// The limits of the document cache: documents, and bytes of memory. All merchants share the cache,
// so it holds only documents without strings; see holdsString.
const (
	maxCachedDocuments = 1000
	maxCacheMemory     = 16 << 20
)

// tokenMemory is the greatest memory of a token, in bytes, after parsing and validation. Only
// tokens that make a node of the tree, such as the name of a field, take memory.
const tokenMemory = 300

// memory returns an upper bound of the memory that a document takes, in bytes. The number of tokens
// that make a node is bounded by maxTokens and by half the length of the text.
func (d *Document) memory(maxTokens int) int {
	return len(d.Text) + tokenMemory*min(len(d.Text)/2+1, maxTokens)
}

// documentCache holds the documents that were used most recently, parsed and validated.
type documentCache struct {
	mu        sync.Mutex
	documents *simplelru.LRU[string, *Document]
	memory    int
	maxTokens int
}

func newDocumentCache(maxTokens int) *documentCache {
	c := &documentCache{maxTokens: maxTokens}
	onEvict := func(_ string, d *Document) { c.memory -= d.memory(maxTokens) }
	c.documents, _ = simplelru.NewLRU(maxCachedDocuments, onEvict) // The only error is a size of 0.
	return c
}

func (c *documentCache) get(text string) *Document {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, _ := c.documents.Get(text)
	return d
}

func (c *documentCache) add(d *Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.documents.Contains(d.Text) { // Two requests parsed it at the same time.
		return
	}
	c.memory += d.memory(c.maxTokens)
	c.documents.Add(d.Text, d)
	for c.memory > maxCacheMemory {
		c.documents.RemoveOldest()
	}
}
