package rest

import (
	"bytes"
	stdjson "encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"lumen/store"
)

func read(body []byte) (store.Input, error) {
	r := httptest.NewRequest(http.MethodPost, "/api/customers", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	members, err := readBody(httptest.NewRecorder(), r)
	if err != nil {
		return store.Input{}, err
	}
	return readInput(members, store.NounOf[store.Customer]()), nil
}

// FuzzRESTBody checks that every body is read or refused, without a panic. A body that is read is
// UTF-8 without duplicate keys, and has the values that the lenient standard library reads.
func FuzzRESTBody(f *testing.F) {
	for _, body := range []string{
		`{}`, `{"email":"a@x.io"}`, `{"email":null,"name":""}`, ` {"email" : "a@x.io" , "x":[1,{"y":null}]} `, `{"name":5,"taxId":true,"userId":[],"billingCity":{}}`,
		`{"dangerouslyAllowSameEmailForDifferentCustomers":true}`, `{"dangerouslyAllowSameEmailForDifferentCustomers":null}`, `{"dangerouslyAllowSameEmailForDifferentCustomers":1}`,
		`{"name":"a","name":"b"}`, `{"name":"a","\u006eame":"b"}`, `{"x":{"a":1,"a":2}}`, `{"NAME":"a","name":"b"}`, `{"name":"\ud800"}`, `{"name":"\ud83d\ude00"}`, "{\"name\":\"\xff\"}", `{"name":"\u0000"}`,
		``, `null`, `[]`, `"x"`, `{}{}`, `{} x`, `{"a":1e999}`, `{"a":-0}`, `{"a":01}`, `{a:1}`, `{'a':1}`, `{"a":1,}`, "\xef\xbb\xbf{}", `{"a":NaN}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := read(body)
		if err != nil {
			code := store.AsError(err).Code
			require.True(t, code == store.BadRequest || code == store.PayloadTooLarge && len(body) > maxBody, "%v", err)
			return
		}
		require.LessOrEqual(t, len(body), maxBody)
		require.True(t, utf8.Valid(body))
		require.True(t, stdjson.Valid(body))
		require.False(t, repeatsKeys(t, body))

		var loose map[string]any
		require.NoError(t, stdjson.Unmarshal(exactNumbers(body), &loose))
		require.NotNil(t, loose)
		for _, field := range store.NounOf[store.Customer]().Inputs() {
			value, present := loose[field.Name]
			got, inInput := in[field.Name]
			require.Equal(t, present, inInput, field.Name)
			_, isText := value.(string)
			_, isFlag := value.(bool)
			if value == nil || isText && field.Kind == store.TextKind || isFlag && field.Kind == store.FlagKind {
				require.Equal(t, value, got, field.Name)
			} else {
				require.Equal(t, store.Mistyped{}, got, field.Name)
			}
		}
	})
}

// exactNumbers replaces all numbers by 0, because the standard library cannot read numbers beyond
// float64 and their values do not matter here.
func exactNumbers(body []byte) []byte {
	decoder := stdjson.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return body
	}
	var plain func(any) any
	plain = func(value any) any {
		switch v := value.(type) {
		case stdjson.Number:
			return 0
		case []any:
			for i := range v {
				v[i] = plain(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = plain(v[k])
			}
		}
		return value
	}
	out, err := stdjson.Marshal(plain(value))
	if err != nil {
		return body
	}
	return out
}

// repeatsKeys reports whether an object in the body has a duplicate key, by reading all tokens.
func repeatsKeys(t *testing.T, body []byte) bool {
	t.Helper()
	type object struct {
		keys  map[string]bool // nil for an array
		value bool            // whether the next token is a value
	}
	var open []*object
	decoder := stdjson.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return false
		}
		require.NoError(t, err)
		top := func() *object {
			if len(open) == 0 {
				return &object{}
			}
			return open[len(open)-1]
		}()
		if key, ok := token.(string); ok && top.keys != nil && !top.value {
			if top.keys[key] {
				return true
			}
			top.keys[key], top.value = true, true
			continue
		}
		switch token {
		case stdjson.Delim('{'):
			top.value = false
			open = append(open, &object{keys: map[string]bool{}})
		case stdjson.Delim('['):
			top.value = false
			open = append(open, &object{})
		case stdjson.Delim('}'), stdjson.Delim(']'):
			open = open[:len(open)-1]
		default:
			top.value = false
		}
	}
}
