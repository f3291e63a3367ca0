package graph

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadManifest(t *testing.T) {
	t.Parallel()
	want := map[string]string{"a": "{merchant{id}}", "b": "query B{merchant{name}}"}
	for name, manifest := range map[string]string{
		"graphql-codegen, Relay": `{"a":"{merchant{id}}","b":"query B{merchant{name}}"}`,
		"Apollo": `{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"a","name":"A","type":"query","body":"{merchant{id}}"},
			{"id":"b","name":"B","type":"query","body":"query B{merchant{name}}","clientName":"web"}]}`,
	} {
		documents, err := ReadManifest([]byte(manifest))
		require.NoError(t, err, name)
		require.Equal(t, want, documents, name)
	}
	for _, manifest := range []string{
		``, `[]`, `"x"`, `{"a":5}`, `{"a":"{merchant{id}}","a":"{x}"}`, `{"a":"x"} ` + "\x00",
		`{"format":"apollo-persisted-query-manifest","version":2,"operations":[]}`, `{"format":"other","version":1,"operations":[]}`, `{"operations":"{merchant{id}}"}`,
		`{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"a","body":"x"},{"id":"a","body":"y"}]}`,
	} {
		_, err := ReadManifest([]byte(manifest))
		require.Error(t, err, manifest)
	}
}

var trusting = Options{Limits: DefaultLimits}

func TestTrust(t *testing.T) {
	t.Parallel()
	for _, manifest := range []map[string]string{
		{}, {"": "{merchant{id}}"}, {"sha256:": "{merchant{id}}"}, {"a": "{merchant{id}}", "sha256:a": "{merchant{name}}"}, {"a": "{merchant{id}}", "b": "{nope}"}, {"a": "{"},
		{"a": "{" + strings.Repeat("merchant{"+strings.Repeat("id ", 60)+"} ", 20) + "}"},
		{"a": "{a:customers(first:250){...P} b:customers(first:250){...P} c:customers(first:250){...P}} fragment P on CustomerConnection{" +
			strings.Repeat("nodes{id email name taxId userId createdAt updatedAt} ", 5) + "}"},
	} {
		_, err := Trust(manifest, trusting, false)
		require.Error(t, err, manifest)
	}
	_, err := Trust(map[string]string{"good": "{merchant{id}}", "bad": "{nope}", "worse": "{"}, trusting, false)
	require.ErrorContains(t, err, `document "bad": Cannot query field`)
	require.ErrorContains(t, err, `document "worse": Expected Name`)
	require.NotContains(t, err.Error(), "good")
}

// What is trusted is executed by its id, in every way that clients send it; what is not is refused, all else only where
// only the trusted are served.
func TestTrustedDocuments(t *testing.T) {
	t.Parallel()
	const text = "query Who($yes:Boolean!){merchant{id @include(if:$yes) name}}"
	const digest = "6ab9b4e4c1a5c2d3"
	const variables = `,"variables":{"yes":true}`
	const data = `{"merchant":{"id":"merchant_1","name":"One"}}`
	quoted, err := json.Marshal(text)
	require.NoError(t, err)
	query := `"query":` + string(quoted)
	free := `{"query":"{merchant{name}}"}`

	for _, prefix := range []string{"", "sha256:"} {
		for _, only := range []bool{false, true} {
			trusted, err := Trust(map[string]string{prefix + digest: text}, trusting, only)
			require.NoError(t, err)
			door := newDoor(t, func(o *Options) { o.Trusted = trusted })
			for _, body := range []string{
				`{"documentId":"` + digest + `"` + variables + `}`,
				`{"documentId":"sha256:` + digest + `"` + variables + `}`,
				`{"documentId":"sha256:` + digest + `","operationName":"Who"` + variables + `}`,
				`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + digest + `"}}` + variables + `}`,
				`{` + query + `,"documentId":"` + digest + `"` + variables + `}`,
				`{"query":null,"documentId":"` + digest + `"` + variables + `}`,
			} {
				w := ask(door, body)
				require.Equal(t, 200, w.Code)
				reply := decode(t, w)
				require.Empty(t, reply.Errors, body)
				require.JSONEq(t, data, string(reply.Data), body)
				require.NotNil(t, reply.Extensions.Cost)
			}
			for _, body := range []string{
				`{"documentId":"other"}`, `{"documentId":"` + digest + `x"}`, `{"documentId":"sha256:sha256:` + digest + `"}`,
			} {
				w := ask(door, body)
				require.JSONEq(t, `{"errors":[{"message":"no such document is trusted here","extensions":{"code":"DOCUMENT_NOT_TRUSTED"}}]}`, w.Body.String(), body)
			}
			w := ask(door, `{"query":"{merchant{name}}","documentId":"`+digest+`"}`)
			require.JSONEq(t, `{"errors":[{"message":"the id stands for another document","extensions":{"code":"DOCUMENT_NOT_TRUSTED"}}]}`, w.Body.String())
			for _, body := range []string{free, `{"query":"{merchant{name}}","documentId":"other"}`, `{` + query + variables + `}`, `{"query":"{__schema{queryType{name}}}"}`, `{"query":"{"}`} {
				reply := decode(t, ask(door, body))
				require.Equal(t, only, len(reply.Errors) > 0 && reply.Errors[0].Extensions.Code == documentNotTrusted, body)
			}
		}
	}
	require.Equal(t, documentNotTrusted, decode(t, ask(newDoor(t), `{"documentId":"x"}`)).Errors[0].Extensions.Code, "where nothing is trusted")
	require.Equal(t, "BAD_REQUEST", decode(t, ask(newDoor(t), `{"variables":{}}`)).Errors[0].Extensions.Code)
}
