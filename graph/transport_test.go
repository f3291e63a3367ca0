package graph

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/klauspost/compress/gzhttp"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"lumen/graph/guard"
)

// TestWriteResult checks that writeResult writes the same JSON as encoding/json, with the data
// copied byte by byte.
func TestWriteResult(t *testing.T) {
	t.Parallel()
	faults := gqlerror.List{
		{Message: "a \"fault\" <&> \u2028 \\", Path: ast.Path{ast.PathName("a"), ast.PathIndex(1)}, Locations: []gqlerror.Location{{Line: 1, Column: 2}}, Extensions: map[string]any{"code": "INTERNAL"}},
		{Message: "another", Err: errors.New("the cause")},
	}
	cost := map[string]any{"cost": guard.CostReport{Requested: 1, Limit: 2}, "z": nil, "a": "<b>"}
	data := json.RawMessage(`{"z":1,"a":"é😀<","n":12345678901234567890.10,"o":{"x":[null,true]}}`)
	for name, c := range map[string]struct {
		response graphql.Response
		begins   string
	}{
		"data":                    {graphql.Response{Data: data}, `{"data":{"z":1,`},
		"data and cost":           {graphql.Response{Data: data, Extensions: cost}, `{"data":{"z":1,`},
		"data and errors":         {graphql.Response{Data: data, Errors: faults, Extensions: cost}, `{"errors":[{"message":"a \"fault\" <&>`},
		"null and errors":         {graphql.Response{Data: json.RawMessage("null"), Errors: faults}, `{"errors":[`},
		"no data":                 {graphql.Response{Errors: faults, Extensions: cost}, `{"errors":[`},
		"no data and no cost":     {graphql.Response{Errors: faults[:1]}, `{"errors":[`},
		"neither data nor errors": {graphql.Response{Errors: gqlerror.List{}, Extensions: map[string]any{}}, `{"data":null}`},
	} {
		w := httptest.NewRecorder()
		writeResult(w, http.StatusTeapot, &c.response)
		wanted, err := json.Marshal(c.response)
		require.NoError(t, err)
		require.Equal(t, respelled(t, wanted), respelled(t, w.Body.Bytes()), name)
		require.True(t, strings.HasPrefix(w.Body.String(), c.begins), w.Body)
		require.Contains(t, w.Body.String(), string(c.response.Data), name)
		require.Equal(t, http.StatusTeapot, w.Code)
		require.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"), name)
	}
}

// TestContentLength checks that Content-Length is the length of the body that is sent, also if the
// body is compressed, and for a HEAD, whose reply has no body.
func TestContentLength(t *testing.T) {
	t.Parallel()
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(1024))
	require.NoError(t, err)
	handlers := newHandlerPair(t)
	server := httptest.NewServer(compress(handlers.encoder))
	t.Cleanup(server.Close)
	for _, c := range []struct {
		method, query, encoding string
		status                  int
		compressed              bool
	}{
		{http.MethodPost, page, "gzip", http.StatusOK, true},
		{http.MethodPost, page, "identity", http.StatusOK, false},
		{http.MethodPost, `{merchant{id}}`, "gzip", http.StatusOK, false},
		{http.MethodHead, ``, "gzip", http.StatusMethodNotAllowed, false},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, server.URL, strings.NewReader(bodyOf(t, c.query, ``)))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept-Encoding", c.encoding)
		response, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		sent := response.Body
		t.Cleanup(func() { _ = sent.Close() })
		if c.compressed {
			response.Body, err = gzip.NewReader(response.Body)
			require.NoError(t, err)
		}
		read, err := io.ReadAll(response.Body)
		require.NoError(t, err, "Content-Length differs from the body")
		body := string(read)
		require.Equal(t, c.status, response.StatusCode)
		require.Equal(t, c.compressed, response.Header.Get("Content-Encoding") == "gzip")
		if c.method == http.MethodHead {
			require.Empty(t, body)
			continue
		}
		require.Equal(t, post(handlers.encoder, bodyOf(t, c.query, ``)).Body.String(), body)
		if !c.compressed {
			require.EqualValues(t, len(body), response.ContentLength)
		}
	}
}
