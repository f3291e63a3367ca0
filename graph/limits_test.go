package graph

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
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
		for _, fields := range [][]string{ // of a document, and of what was executed
			{`x1`, `x2`, `x3`, `x4`},
			{`a:customer(id:"x"){id}`, `b:customers(first:0){totalCount}`, `c:customers(last:0){totalCount}`, `d:customers(after:""){totalCount}`},
		} {
			for _, n := range []int{3, 4} {
				document := "{" + strings.Join(fields[:n], " ") + "}"
				reply := decode(t, ask(door, bodyOf(t, document, "")))
				require.Len(t, reply.Errors, 3, document)
				require.Equal(t, n > 3, reply.Errors[2].Extensions.Code == guard.LimitExceeded, document)
			}
		}
	})
}

// An error that 30 fields have is said once, with its count, whether they were executed or not.
func TestEqualErrorsAreSaidOnce(t *testing.T) {
	t.Parallel()
	door := newDoor(t)
	aliased := func(field string) string {
		var fields strings.Builder
		for i := range 30 {
			fmt.Fprintf(&fields, "a%02d:%s ", i, field)
		}
		return bodyOf(t, "{"+fields.String()+"}", "")
	}
	for body, errors := range map[string]string{
		aliased(`customer(id:"x"){id}`): `[{"message":"Invalid customer ID format","path":["a00"],"extensions":{"code":"INVALID_ID","count":30}}]`,
		aliased(`nope`):                 `[{"message":"Cannot query field \"nope\" on type \"Query\".","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED","count":30}}]`,
		aliased(`customers(first:0){nodes{id}}`): `[{"message":"Invalid request data","path":["a00"],"extensions":{"code":"INVALID_INPUT","count":30,` +
			`"details":[{"field":"first","code":"INVALID_FORMAT","message":"first must be 1 to 250"}]}}]`,
		bodyOf(t, `{`+strings.Repeat("x", 100)+"a "+strings.Repeat("x", 100)+`b}`, ""): `[{"message":"Cannot query field \"` + strings.Repeat("x", 64) +
			`...\" on type \"Query\".","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED","count":2}}]`,
		bodyOf(t, `{b:customer(id:"x"){id} a:customer(id:"y"){id} c:customers(last:0){totalCount}}`, ""): `two`,
	} {
		for range 5 { // fields fail in any order
			told := string(decodeErrors(t, ask(door, body)))
			if errors == "two" { // what says something else stays
				require.Equal(t, 1, strings.Count(told, `"count":2`))
				require.Contains(t, told, `"path":["a"]`)
				require.Contains(t, told, `"last must be 1 to 250"`)
				continue
			}
			require.JSONEq(t, errors, told)
		}
	}
}

// decodeErrors returns the errors of a reply as they are.
func decodeErrors(t *testing.T, w *httptest.ResponseRecorder) json.RawMessage {
	t.Helper()
	var reply struct{ Errors json.RawMessage }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &reply))
	return reply.Errors
}
