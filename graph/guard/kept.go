package guard

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// How many documents are kept as they were parsed, and how much memory they may take, in octets. All
// merchants share them, so only documents without strings are kept: see holdsString.
const (
	keptDocuments = 1000
	keptMemory    = 16 << 20
)

// tokenMemory is what a token that makes a node, such as a field's name, takes once it is parsed and validated, at the most.
const tokenMemory = 300

// memory is what a document takes, at the most: such tokens are no more than the limit, nor than every second octet.
func (d *Document) memory(maxTokens int) int {
	return len(d.Text) + tokenMemory*min(len(d.Text)/2+1, maxTokens)
}

// kept are the documents that were used last.
type kept struct {
	mu        sync.Mutex
	documents *simplelru.LRU[string, *Document]
	memory    int
	maxTokens int
}

func newKept(maxTokens int) *kept {
	k := &kept{maxTokens: maxTokens}
	k.documents, _ = simplelru.NewLRU(keptDocuments, func(_ string, d *Document) { k.memory -= d.memory(maxTokens) }) // fails for a size of 0 alone
	return k
}

func (k *kept) get(text string) *Document {
	k.mu.Lock()
	defer k.mu.Unlock()
	d, _ := k.documents.Get(text)
	return d
}

func (k *kept) add(d *Document) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.documents.Contains(d.Text) { // two parsed it at once
		return
	}
	k.memory += d.memory(k.maxTokens)
	k.documents.Add(d.Text, d)
	for k.memory > keptMemory {
		k.documents.RemoveOldest()
	}
}
