package graph

import (
	"bytes"
	stdjson "encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"lumen/graph/guard"
	"lumen/store"
)

func readBody(body []byte) (*guard.Request, error) {
	r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return read(httptest.NewRecorder(), r, guard.DefaultLimits.Body)
}

// FuzzGraphQLBody checks that every body is read or refused, without a panic. A body that is read
// is one object in UTF-8 without duplicate keys. Numbers in variables keep their values and never
// become text.
func FuzzGraphQLBody(f *testing.F) {
	for _, body := range []string{
		`{"query":"{merchant{id}}"}`, `{"query":"","variables":null,"operationName":null,"extensions":{}}`, `{"query":"q","variables":{"a":1,"b":1.5,"c":-0,"d":1e3,"e":9223372036854775807,"f":9223372036854775808,"g":"5","h":[true,null]}}`,
		`{"query":"q","operationName":"Q","extensions":{"persistedQuery":{"version":1}}}`, `{"documentId":"d","extensions":null}`, `{"extensions":{"persistedQuery":{"sha256Hash":"d"}}}`, `{"documentId":5}`, `{"query":null}`, `{"query":5}`, `{}`, `[]`, `null`, ``, `{"QUERY":"q"}`, `{"query":"a","query":"b"}`, `{"query":"a","variables":{"x":1,"x":2}}`,
		`{"query":"a","variables":[]}`, `{"query":"a","variables":"x"}`, `{"query":"\ud800"}`, `{"query":"\ud83d\ude00"}`, "{\"query\":\"\xff\"}", `{"query":"q"}x`, `{"query":"q","variables":{"x":1e999}}`, `{"query":"q","variables":{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`,
		`{"query":"{a(b:\"\\ud800\")}"}`, `{"query":"q","variables":{"x":-0.0,"y":1E-400,"z":123456789012345678901234567890}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		params, err := readBody(body)
		if err != nil {
			code := store.AsError(err).Code
			require.True(t, code == store.BadRequest || code == store.PayloadTooLarge && len(body) > guard.DefaultLimits.Body, "%v", err)
			return
		}
		require.LessOrEqual(t, len(body), guard.DefaultLimits.Body)
		require.True(t, utf8.Valid(body))
		require.True(t, stdjson.Valid(body))

		decoder := stdjson.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		var loose map[string]any
		require.NoError(t, decoder.Decode(&loose))
		_, err = decoder.Token()
		require.ErrorIs(t, err, io.EOF)
		if params.Query != nil {
			require.Equal(t, loose["query"], *params.Query)
		} else {
			require.NotEmpty(t, params.DocumentID)
		}
		name, _ := loose["operationName"].(string)
		require.Equal(t, name, params.OperationName)
		variables, _ := loose["variables"].(map[string]any)
		require.Len(t, params.Variables, len(variables))
		for key, value := range variables {
			same(t, value, params.Variables[key])
		}
	})
}

// same checks that a variable has the value that the body has for it.
func same(t *testing.T, sent, read any) {
	t.Helper()
	switch sent := sent.(type) {
	case stdjson.Number:
		switch read := read.(type) {
		case int64:
			f, err := sent.Float64()
			require.NoError(t, err)
			require.InDelta(t, f, float64(read), math.Abs(f)*1e-15)
		case float64:
			f, _ := sent.Float64() // An infinity if the number is too large.
			require.Equal(t, f, read)
		default:
			require.Failf(t, "not a number", "%s became %T", sent, read)
		}
	case []any:
		list, ok := read.([]any)
		require.True(t, ok)
		require.Len(t, list, len(sent))
		for i := range sent {
			same(t, sent[i], list[i])
		}
	case map[string]any:
		object, ok := read.(map[string]any)
		require.True(t, ok)
		require.Len(t, object, len(sent))
		for key := range sent {
			same(t, sent[key], object[key])
		}
	default:
		require.Equal(t, sent, read)
	}
}

func TestStatusWithoutData(t *testing.T) {
	t.Parallel()
	list := func(codes ...store.Code) (list gqlerror.List) {
		for _, code := range codes {
			list = append(list, guard.Refusal(string(code), ""))
			list[len(list)-1].Extensions["code"] = code
		}
		return list
	}
	require.Equal(t, 200, statusWithoutData(nil))
	require.Equal(t, 503, statusWithoutData(list(store.Unavailable)))
	require.Equal(t, 429, statusWithoutData(list(store.RateLimited, store.RateLimited)))
	require.Equal(t, 503, statusWithoutData(list(store.RateLimited, store.Unavailable)))
	require.Equal(t, 503, statusWithoutData(list(store.Unavailable, store.RateLimited)))
	require.Equal(t, 200, statusWithoutData(list(store.Unavailable, store.InvalidID)))
	require.Equal(t, 503, statusWithoutData(list(store.TokensNotConfigured)))
	require.Equal(t, 200, statusWithoutData(list(store.TokensNotConfigured, store.Forbidden)))
}

// TestBodiesOfWrongShape checks the message about a body that is JSON but has the wrong shape: it
// says what the body or its member must be.
func TestBodiesOfWrongShape(t *testing.T) {
	t.Parallel()
	const noJSON, oneObject = "The request body is not valid JSON", "The request body must be one JSON object"
	for body, message := range map[string]string{
		``: noJSON, `{`: noJSON, `{"query":5`: noJSON, `{"query":5}x`: noJSON, `{"query":"a","query":"b"}`: noJSON, `{"query":"\ud800"}`: noJSON,
		`null`: oneObject, `[]`: oneObject, `[{"query":"{merchant{id}}"}]`: oneObject, `"x"`: oneObject, `5`: oneObject,
		`{}`: "query must be a string", `{"query":null}`: "query must be a string", `{"query":5}`: "query must be a string", `{"QUERY":"x"}`: "query must be a string",
		`{"query":["x"]}`: "query must be a string", `{"documentId":5}`: "documentId must be a string", `{"query":"x","operationName":{}}`: "operationName must be a string",
		`{"query":"x","variables":"{}"}`: "variables must be an object", `{"query":"x","variables":[1]}`: "variables must be an object", `{"query":"x","variables":[null]}`: "variables must be an object",
		`{"query":"x","variables":false}`: "variables must be an object", `{"query":"x","extensions":[1]}`: "extensions must be an object", `{"query":"x","extensions":""}`: "extensions must be an object",
		`{"query":"x","extensions":{"persistedQuery":5}}`:                "extensions.persistedQuery must be an object",
		`{"query":"x","extensions":{"persistedQuery":{"sha256Hash":5}}}`: "extensions.persistedQuery.sha256Hash must be a string",
	} {
		_, err := readBody([]byte(body))
		require.EqualError(t, err, "BAD_REQUEST: "+message, body)
	}
}

// TestEmptyArraysAreEmptyObjects checks that an empty array counts as an empty object, because PHP
// writes one for an empty map.
func TestEmptyArraysAreEmptyObjects(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"query":"q","variables":[]}`, `{"query":"q","variables":[ ],"extensions":[]}`, "{\"query\":\"q\",\"extensions\":[\n\t],\"variables\":{}}",
		`{"query":"q","variables":null,"extensions":null}`, `{"query":"q"}`,
	} {
		params, err := readBody([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, "q", *params.Query)
		require.Empty(t, params.Variables)
	}
}
