package guard

import (
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

func TestTrust(t *testing.T) {
	t.Parallel()
	for _, manifest := range []map[string]string{
		{}, {"": "{merchant{id}}"}, {"sha256:": "{merchant{id}}"}, {"a": "{merchant{id}}", "sha256:a": "{merchant{name}}"}, {"a": "{merchant{id}}", "b": "{nope}"}, {"a": "{"},
		{"a": "{" + strings.Repeat("merchant{"+strings.Repeat("id ", 60)+"} ", 20) + "}"},
		{"a": "{a:customers(first:250){...P} b:customers(first:250){...P} c:customers(first:250){...P}} fragment P on CustomerConnection{" +
			strings.Repeat("nodes{id email name taxId userId createdAt updatedAt} ", 5) + "}"},
	} {
		_, err := Trust(testSchema, manifest, DefaultLimits, newTestCosts(t), false)
		require.Error(t, err, manifest)
	}
	_, err := Trust(testSchema, map[string]string{"good": "{merchant{id}}", "bad": "{nope}", "worse": "{"}, DefaultLimits, newTestCosts(t), false)
	require.ErrorContains(t, err, `document "bad": Cannot query field`)
	require.ErrorContains(t, err, `document "worse": Expected Name`)
	require.NotContains(t, err.Error(), "good")
}
