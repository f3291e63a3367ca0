package graph

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/graph/guard"
)

var trusting = Options{Limits: guard.DefaultLimits}

// TestTrustedDocuments checks that a trusted document is executed by its id, in every form in which
// clients send the id. Unknown ids are refused. Other documents are refused only in the mode
// "only".
func TestTrustedDocuments(t *testing.T) {
	t.Parallel()
	const text = "query Who($yes:Boolean!){merchant{id @include(if:$yes) name}}"
	const digest = "6ab9b4e4c1a5c2d3"
	const variables = `,"variables":{"yes":true}`
	const data = `{"merchant":{"id":"merchant_1","name":"One"}}`
	quoted, err := json.Marshal(text)
	require.NoError(t, err)
	query := `"query":` + string(quoted)
	const notSupported = `{"errors":[{"message":"PersistedQueryNotSupported","extensions":{"code":"PERSISTED_QUERY_NOT_SUPPORTED"}}]}`
	free := `{"query":"{merchant{name}}"}`

	for _, prefix := range []string{"", "sha256:"} {
		for _, only := range []bool{false, true} {
			trusted, err := Trust(map[string]string{prefix + digest: text}, trusting, only)
			require.NoError(t, err)
			handler := newTestHandler(t, func(o *Options) { o.Trusted = trusted })
			for _, body := range []string{
				`{"documentId":"` + digest + `"` + variables + `}`,
				`{"documentId":"sha256:` + digest + `"` + variables + `}`,
				`{"documentId":"sha256:` + digest + `","operationName":"Who"` + variables + `}`,
				`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + digest + `"}}` + variables + `}`,
				`{` + query + `,"documentId":"` + digest + `"` + variables + `}`,
				`{"query":null,"documentId":"` + digest + `"` + variables + `}`,
			} {
				w := post(handler, body)
				require.Equal(t, 200, w.Code)
				reply := decode(t, w)
				require.Empty(t, reply.Errors, body)
				require.JSONEq(t, data, string(reply.Data), body)
				require.NotNil(t, reply.Extensions.Cost)
			}
			for _, body := range []string{
				`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"other"}}}`, `{"documentId":"other"}`, `{"documentId":"` + digest + `x"}`, `{"documentId":"sha256:sha256:` + digest + `"}`,
			} {
				w := post(handler, body)
				if only {
					require.JSONEq(t, `{"errors":[{"message":"this server executes only trusted documents","extensions":{"code":"DOCUMENT_NOT_TRUSTED"}}]}`, w.Body.String(), body)
				} else {
					require.JSONEq(t, notSupported, w.Body.String(), body)
				}
			}
			w := post(handler, `{"query":"{merchant{name}}","documentId":"`+digest+`"}`)
			require.JSONEq(t, `{"errors":[{"message":"the id belongs to another document","extensions":{"code":"DOCUMENT_NOT_TRUSTED"}}]}`, w.Body.String())
			for _, body := range []string{free, `{"query":"{merchant{name}}","documentId":"other"}`, `{` + query + variables + `}`, `{"query":"{__schema{queryType{name}}}"}`, `{"query":"{"}`} {
				reply := decode(t, post(handler, body))
				require.Equal(t, only, len(reply.Errors) > 0 && reply.Errors[0].Extensions.Code == guard.DocumentNotTrusted, body)
			}
		}
	}
	for _, body := range []string{`{"documentId":"x"}`, `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}`} {
		require.JSONEq(t, notSupported, post(newTestHandler(t), body).Body.String(), "without trusted documents")
	}
	require.Equal(t, "BAD_REQUEST", decode(t, post(newTestHandler(t), `{"variables":{}}`)).Errors[0].Extensions.Code)
}
