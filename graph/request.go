package graph

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lumen/graph/guard"
	"lumen/store"
)

// read reads a request. Its body must be one JSON object of at most maxBody bytes. jsontext is
// strict: it demands UTF-8 and refuses duplicate names at any depth and data after the object.
func read(w http.ResponseWriter, r *http.Request, maxBody int) (*guard.Request, error) {
	if err := store.CheckMediaType(r.Header); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(maxBody)))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, store.NewError(store.PayloadTooLarge)
	case err != nil:
		return nil, store.NewError(store.BadRequest)
	}
	return parse(body)
}

func parse(body []byte) (*guard.Request, error) {
	var sent *struct {
		Query         *string        `json:"query"`
		DocumentID    string         `json:"documentId"`
		OperationName string         `json:"operationName"`
		Variables     jsontext.Value `json:"variables"`
		Extensions    jsontext.Value `json:"extensions"`
	}
	var extensions struct {
		PersistedQuery struct {
			SHA256Hash string `json:"sha256Hash"`
		} `json:"persistedQuery"`
	}
	if err := json.Unmarshal(body, &sent); err != nil || sent == nil {
		return nil, store.BadBody(body, formOf("", err))
	}
	if err := readObject(sent.Extensions, &extensions); err != nil {
		return nil, store.BadBody(body, formOf("/extensions", err))
	}
	read := &guard.Request{Query: sent.Query, DocumentID: sent.DocumentID, OperationName: sent.OperationName}
	if read.DocumentID == "" { // Apollo's and urql's clients send the id in extensions.
		read.DocumentID = extensions.PersistedQuery.SHA256Hash
	}
	if read.Query == nil && read.DocumentID == "" {
		return nil, store.BadBody(body, memberForms["/query"])
	}
	if err := readObject(sent.Variables, &read.Variables, numbers); err != nil {
		return nil, store.BadBody(body, memberForms["/variables"])
	}
	read.VariablesSize = len(sent.Variables)
	return read, nil
}

// readObject reads a member that must be an object, null or absent. An empty array counts as an
// empty object, because PHP writes one for it.
func readObject(value jsontext.Value, into any, options ...json.Options) error {
	if len(value) == 0 || value.Kind() == '[' && len(bytes.TrimSpace(value[1:len(value)-1])) == 0 {
		return nil
	}
	return json.Unmarshal(value, into, options...)
}

// memberForms holds the message about each member of a body that has the wrong type.
var memberForms = map[jsontext.Pointer]string{
	"/query":                                "query must be a string",
	"/documentId":                           "documentId must be a string",
	"/operationName":                        "operationName must be a string",
	"/variables":                            "variables must be an object",
	"/extensions":                           "extensions must be an object",
	"/extensions/persistedQuery":            "extensions.persistedQuery must be an object",
	"/extensions/persistedQuery/sha256Hash": "extensions.persistedQuery.sha256Hash must be a string",
}

// formOf returns the message about the member that err, an error of package json, is about. The
// pointer at is the place in the body where the value that was read begins.
func formOf(at jsontext.Pointer, err error) string {
	var mistyped *json.SemanticError
	if errors.As(err, &mistyped) {
		at += mistyped.JSONPointer
	}
	return cmp.Or(memberForms[at], store.OneObject)
}

// maxExactFloat is the limit up to which float64 represents every integer.
const maxExactFloat = 1 << 53

// numbers reads whole numbers as int64 and others as float64. A json.Number would be a string,
// which a String of the schema accepts. A number too large for float64 becomes an infinity: it is
// valid JSON, and every type of the schema refuses it.
var numbers = json.WithUnmarshalers(json.UnmarshalFromFunc(func(decoder *jsontext.Decoder, value *any) error {
	if decoder.PeekKind() != '0' {
		return errors.ErrUnsupported
	}
	token, err := decoder.ReadToken()
	if err != nil {
		return err
	}
	text := token.String()
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		*value = n
		return nil
	}
	f, _ := strconv.ParseFloat(text, 64) // The syntax is that of JSON, so the only error is the range.
	if f == math.Trunc(f) && math.Abs(f) <= maxExactFloat {
		*value = int64(f)
		return nil
	}
	*value = f
	return nil
}))
