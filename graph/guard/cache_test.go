package guard

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shapes holds functions that return the n-th document of a kind. Their tokens take the most
// memory: the parser uses the most for fields, then for arguments and values.
var shapes = map[string]func(n int) string{
	"fields": func(n int) string { return fmt.Sprintf("query n%d{merchant{", n) + strings.Repeat("id ", 950) + "}}" },
	"selections": func(n int) string {
		return fmt.Sprintf("query n%d{", n) + strings.Repeat("merchant{id}", 480) + "}"
	},
	"conditions": func(n int) string {
		return fmt.Sprintf("query n%d($a:Boolean!){", n) + strings.Repeat("merchant{id@skip(if:$a)}", 50) + "}"
	},
	"values": func(n int) string {
		return fmt.Sprintf("query n%d{nodes(ids:[", n) + strings.Repeat("1,", 240) + "]){id}}"
	},
	"variables": func(n int) string {
		var all, used strings.Builder
		for i := range 240 {
			fmt.Fprintf(&all, "$v%d:ID!", i)
			fmt.Fprintf(&used, "$v%d ", i)
		}
		return fmt.Sprintf("query n%d(", n) + all.String() + "){nodes(ids:[" + used.String() + "]){id}}"
	},
	"fragments": func(n int) string {
		var all strings.Builder
		for i := range 90 {
			fmt.Fprintf(&all, "fragment f%d on Merchant{id name}", i)
		}
		return fmt.Sprintf("query n%d{merchant{", n) + strings.Repeat("...f0 ", 10) + "}}" + all.String()
	},
	"small":   func(n int) string { return fmt.Sprintf("query n%d{merchant{id}}", n) },
	"comment": func(n int) string { return fmt.Sprintf("query n%d{merchant{id}}", n) + strings.Repeat("#\n", 1900) },
}

func TestDocumentMemoryIsBounded(t *testing.T) {
	heap := func() int {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int(stats.HeapAlloc)
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			const many = 20
			d := NewDocuments(testSchema, DefaultLimits, nil)
			parsed, estimate := make([]*Document, many), 0
			before := heap()
			for n := range many {
				document, refused := d.parse(strings.Clone(shape(n)))
				if strings.Contains(name, "fragments") { // Unused fragments are refused after parsing.
					require.NotNil(t, document)
				} else {
					require.Empty(t, refused)
				}
				parsed[n] = document
				estimate += document.memory(DefaultLimits.Tokens)
			}
			used := heap() - before
			t.Logf("%d bytes each, estimated as %d", used/many, estimate/many)
			require.Less(t, used, estimate+many*4096, "a document has up to 4 KiB beside its tokens")
			runtime.KeepAlive(parsed)
		})
	}
}

func TestDocumentCacheIsBounded(t *testing.T) {
	t.Parallel()
	add := func(d *Documents, text string) {
		_, _, refused := d.Find(&Request{Query: &text})
		require.Empty(t, refused)
	}
	hot := "{merchant{id}}"
	t.Run("by number", func(t *testing.T) {
		t.Parallel()
		d := NewDocuments(testSchema, DefaultLimits, nil)
		for n := range 3 * maxCachedDocuments {
			add(d, fmt.Sprintf("query n%d{merchant{id}}", n))
			add(d, hot)
		}
		require.Equal(t, maxCachedDocuments, d.cache.documents.Len())
		require.NotNil(t, d.cache.get(hot), "a document in use stays")
		require.Nil(t, d.cache.get("query n0{merchant{id}}"))
	})
	t.Run("by memory", func(t *testing.T) {
		t.Parallel()
		d := NewDocuments(testSchema, DefaultLimits, nil)
		for n := range 45 {
			add(d, shapes["fields"](n))
			add(d, hot)
			require.LessOrEqual(t, d.cache.memory, maxCacheMemory)
		}
		require.Less(t, d.cache.documents.Len(), 45)
		require.NotNil(t, d.cache.get(hot))
		d.cache.documents.Purge()
		require.Zero(t, d.cache.memory, "evicted documents are not subtracted")
	})
}
