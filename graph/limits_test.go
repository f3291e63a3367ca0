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

// TestEachLimit checks that each limit admits a request at the limit and refuses one just beyond
// it.
func TestEachLimit(t *testing.T) {
	t.Parallel()
	repeat := strings.Repeat
	for _, c := range []struct {
		name       string
		set        func(*guard.Limits)
		at, beyond string // bodies
	}{
		{"tokens", func(l *guard.Limits) { l.Tokens = 6 }, bodyOf(t, `{merchant{id}}`, ""), bodyOf(t, `{merchant{id name}}`, "")},
		{"depth", func(l *guard.Limits) { l.Depth = 2 }, bodyOf(t, `{merchant{id}}`, ""), bodyOf(t, `{customers{nodes{id}}}`, "")},
		{"depth in fragments", func(l *guard.Limits) { l.Depth = 3 }, bodyOf(t, `{...F} fragment F on Query{merchant{id}}`, ""), bodyOf(t, `{...F} fragment F on Query{merchant{...{id}}}`, "")},
		{"fields", func(l *guard.Limits) { l.Fields = 3 }, bodyOf(t, `{merchant{id name}}`, ""), bodyOf(t, `{merchant{id name __typename}}`, "")},
		{"fields of a fragment, counted at each spread", func(l *guard.Limits) { l.Fields = 7 }, bodyOf(t, `{merchant{...F ...F}} fragment F on Merchant{id name}`, ""), bodyOf(t, `{merchant{...F ...F id}} fragment F on Merchant{id name}`, "")},
		{"fields of nested inline fragments, counted once more", func(l *guard.Limits) { l.Fields = 5 }, bodyOf(t, `{merchant{...{id ...{name}}}}`, ""), bodyOf(t, `{merchant{...{id ...{id name}}}}`, "")},
		{"fields of all operations and fragments", func(l *guard.Limits) { l.Fields = 6 }, `{"query":"query A{...F} query B{...F} fragment F on Query{merchant{id name}}","operationName":"A"}`, `{"query":"query A{...F} query B{...F id:__typename __typename} fragment F on Query{merchant{id name}}","operationName":"A"}`},
		{"aliases", func(l *guard.Limits) { l.Aliases = 2 }, bodyOf(t, `{a:merchant{b:id}}`, ""), bodyOf(t, `{a:merchant{b:id c:id}}`, "")},
		{"directives", func(l *guard.Limits) { l.Directives = 2 }, bodyOf(t, `{merchant@skip(if:false){id@skip(if:false)}}`, ""), bodyOf(t, `{...@skip(if:false){merchant@skip(if:false){id@skip(if:false)}}}`, "")},
		{"depth of values", func(l *guard.Limits) { l.ValueDepth = 1 }, bodyOf(t, `{customers(filter:{userId:"x"}){nodes{id}}}`, ""), bodyOf(t, `{customers(filter:{createdAt:{from:null}}){nodes{id}}}`, "")},
		{"depth of variables", func(l *guard.Limits) { l.ValueDepth = 1 }, bodyOf(t, `{merchant{id}}`, `{"a":{},"b":[1]}`), bodyOf(t, `{merchant{id}}`, `{"a":{"b":[]}}`)},
		{"size of variables", func(l *guard.Limits) { l.VariablesSize = 11 }, bodyOf(t, `{merchant{id}}`, `{"abcd":56}`), bodyOf(t, `{merchant{id}}`, `{"abcd":567}`)},
		{"length of an alias", func(*guard.Limits) {}, bodyOf(t, `{`+repeat("a", guard.MaxName)+`:merchant{id}}`, ""), bodyOf(t, `{`+repeat("a", guard.MaxName+1)+`:merchant{id}}`, "")},
		{"cost", func(l *guard.Limits) { l.Cost = 3 }, bodyOf(t, `{merchant{id name}}`, ""), bodyOf(t, `{merchant{id name __typename}}`, "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			handler := newTestHandler(t, func(o *Options) { c.set(&o.Limits) })
			require.Empty(t, decode(t, post(handler, c.at)).Errors)
			refused := decode(t, post(handler, c.beyond))
			require.Len(t, refused.Errors, 1)
			require.Equal(t, guard.LimitExceeded, refused.Errors[0].Extensions.Code)
			require.Empty(t, refused.Data)
		})
	}

	t.Run("body", func(t *testing.T) {
		t.Parallel()
		body := bodyOf(t, `{merchant{id}}`, "")
		require.Empty(t, decode(t, post(newTestHandler(t, func(o *Options) { o.Limits.Body = len(body) }), body)).Errors)
		w := post(newTestHandler(t, func(o *Options) { o.Limits.Body = len(body) - 1 }), body)
		require.Equal(t, 413, w.Code)
	})
	t.Run("ids in one list", func(t *testing.T) {
		t.Parallel()
		handler := newTestHandler(t, func(o *Options) { o.Limits.IDs = 2 })
		require.Empty(t, decode(t, post(handler, bodyOf(t, `{nodes(ids:["cust_1","cust_2"]){id}}`, ""))).Errors)
		refused := decode(t, post(handler, bodyOf(t, `{merchant{id} a:nodes(ids:["cust_1","cust_2","cust_3"]){id}}`, "")))
		require.Equal(t, "INVALID_INPUT", refused.Errors[0].Extensions.Code)
		require.Empty(t, refused.Data, "nothing was executed")
	})
	t.Run("errors of one reply", func(t *testing.T) {
		t.Parallel()
		handler := newTestHandler(t, func(o *Options) { o.Limits.Errors = 3 })
		for _, fields := range [][]string{ // errors of validation, and errors of executed fields
			{`x1`, `x2`, `x3`, `x4`},
			{`a:customer(id:"x"){id}`, `b:customers(first:0){totalCount}`, `c:customers(last:0){totalCount}`, `d:customers(after:""){totalCount}`},
		} {
			for _, n := range []int{3, 4} {
				document := "{" + strings.Join(fields[:n], " ") + "}"
				reply := decode(t, post(handler, bodyOf(t, document, "")))
				require.Len(t, reply.Errors, 3, document)
				require.Equal(t, n > 3, reply.Errors[2].Extensions.Code == guard.LimitExceeded, document)
			}
		}
	})
}

// TestEqualErrorsAreMerged checks that a reply has an error of 30 fields once, with its count,
// whether the fields were executed or not.
func TestEqualErrorsAreMerged(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t)
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
		for range 5 { // Fields fail in any order.
			got := string(decodeErrors(t, post(handler, body)))
			if errors == "two" { // The third error differs and stays.
				require.Equal(t, 1, strings.Count(got, `"count":2`))
				require.Contains(t, got, `"path":["a"]`)
				require.Contains(t, got, `"last must be 1 to 250"`)
				continue
			}
			require.JSONEq(t, errors, got)
		}
	}
}

// decodeErrors returns the member errors of a reply.
func decodeErrors(t *testing.T, w *httptest.ResponseRecorder) json.RawMessage {
	t.Helper()
	var reply struct{ Errors json.RawMessage }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &reply))
	return reply.Errors
}
