package graph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/graph/guard"
)

// Each limit admits what is at it and refuses what is one beyond, and nothing else refuses either.
func TestEachLimit(t *testing.T) {
	t.Parallel()
	repeat := strings.Repeat
	for _, c := range []struct {
		name    string
		set     func(*guard.Limits)
		at, one string // bodies
	}{
		{"tokens", func(l *guard.Limits) { l.Tokens = 6 }, bodyOf(t, `{merchant{id}}`, ""), bodyOf(t, `{merchant{id name}}`, "")},
		{"depth", func(l *guard.Limits) { l.Depth = 2 }, bodyOf(t, `{merchant{id}}`, ""), bodyOf(t, `{customers{nodes{id}}}`, "")},
		{"depth in fragments", func(l *guard.Limits) { l.Depth = 3 }, bodyOf(t, `{...F} fragment F on Query{merchant{id}}`, ""), bodyOf(t, `{...F} fragment F on Query{merchant{...{id}}}`, "")},
		{"fields", func(l *guard.Limits) { l.Fields = 3 }, bodyOf(t, `{merchant{id name}}`, ""), bodyOf(t, `{merchant{id name __typename}}`, "")},
		{"fields of fragments, each time", func(l *guard.Limits) { l.Fields = 7 }, bodyOf(t, `{merchant{...F ...F}} fragment F on Merchant{id name}`, ""), bodyOf(t, `{merchant{...F ...F id}} fragment F on Merchant{id name}`, "")},
		{"fields of inline fragments in each other, once more", func(l *guard.Limits) { l.Fields = 5 }, bodyOf(t, `{merchant{...{id ...{name}}}}`, ""), bodyOf(t, `{merchant{...{id ...{id name}}}}`, "")},
		{"fields of all operations and fragments", func(l *guard.Limits) { l.Fields = 6 }, `{"query":"query A{...F} query B{...F} fragment F on Query{merchant{id name}}","operationName":"A"}`, `{"query":"query A{...F} query B{...F id:__typename __typename} fragment F on Query{merchant{id name}}","operationName":"A"}`},
		{"aliases", func(l *guard.Limits) { l.Aliases = 2 }, bodyOf(t, `{a:merchant{b:id}}`, ""), bodyOf(t, `{a:merchant{b:id c:id}}`, "")},
		{"directives", func(l *guard.Limits) { l.Directives = 2 }, bodyOf(t, `{merchant@skip(if:false){id@skip(if:false)}}`, ""), bodyOf(t, `{...@skip(if:false){merchant@skip(if:false){id@skip(if:false)}}}`, "")},
		{"depth of values", func(l *guard.Limits) { l.ValueDepth = 1 }, bodyOf(t, `{customers(filter:{userId:"x"}){nodes{id}}}`, ""), bodyOf(t, `{customers(filter:{createdAt:{from:null}}){nodes{id}}}`, "")},
		{"depth of variables", func(l *guard.Limits) { l.ValueDepth = 1 }, bodyOf(t, `{merchant{id}}`, `{"a":{},"b":[1]}`), bodyOf(t, `{merchant{id}}`, `{"a":{"b":[]}}`)},
		{"size of variables", func(l *guard.Limits) { l.VariablesSize = 11 }, bodyOf(t, `{merchant{id}}`, `{"abcd":56}`), bodyOf(t, `{merchant{id}}`, `{"abcd":567}`)},
		{"alias of a length", func(*guard.Limits) {}, bodyOf(t, `{`+repeat("a", guard.MaxName)+`:merchant{id}}`, ""), bodyOf(t, `{`+repeat("a", guard.MaxName+1)+`:merchant{id}}`, "")},
		{"cost", func(l *guard.Limits) { l.Cost = 3 }, bodyOf(t, `{merchant{id name}}`, ""), bodyOf(t, `{merchant{id name __typename}}`, "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			door := newDoor(t, func(o *Options) { c.set(&o.Limits) })
			require.Empty(t, decode(t, ask(door, c.at)).Errors)
			refused := decode(t, ask(door, c.one))
			require.Len(t, refused.Errors, 1)
			require.Equal(t, guard.LimitExceeded, refused.Errors[0].Extensions.Code)
			require.Empty(t, refused.Data)
		})
	}

	t.Run("body", func(t *testing.T) {
		t.Parallel()
		body := bodyOf(t, `{merchant{id}}`, "")
		require.Empty(t, decode(t, ask(newDoor(t, func(o *Options) { o.Limits.Body = len(body) }), body)).Errors)
		w := ask(newDoor(t, func(o *Options) { o.Limits.Body = len(body) - 1 }), body)
		require.Equal(t, 413, w.Code)
	})
	t.Run("ids in one list", func(t *testing.T) {
		t.Parallel()
		door := newDoor(t, func(o *Options) { o.Limits.IDs = 2 })
		require.Empty(t, decode(t, ask(door, bodyOf(t, `{nodes(ids:["cust_1","cust_2"]){id}}`, ""))).Errors)
		refused := decode(t, ask(door, bodyOf(t, `{merchant{id} a:nodes(ids:["cust_1","cust_2","cust_3"]){id}}`, "")))
		require.Equal(t, "INVALID_INPUT", refused.Errors[0].Extensions.Code)
		require.Empty(t, refused.Data, "nothing was executed")
	})
	t.Run("errors of one reply", func(t *testing.T) {
		t.Parallel()
		door := newDoor(t, func(o *Options) { o.Limits.Errors = 3 })
		for _, field := range []string{`x%d `, `a%d:customer(id:"x"){id} `} { // of a document, and of what was executed
			for _, n := range []int{3, 4} {
				var fields strings.Builder
				for i := range n {
					fmt.Fprintf(&fields, field, i)
				}
				reply := decode(t, ask(door, bodyOf(t, "{"+fields.String()+"}", "")))
				require.Len(t, reply.Errors, 3, fields.String())
				require.Equal(t, n > 3, reply.Errors[2].Extensions.Code == guard.LimitExceeded, fields.String())
			}
		}
	})
}
