package graph

import (
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lumen/graph/guard"
	"lumen/store"
)

// read reads the one JSON object that the body, of at most maxBody octets, must be. jsontext is strict: UTF-8, no
// duplicate names at any depth, nothing after the object.
func read(w http.ResponseWriter, r *http.Request, maxBody int) (*guard.Request, error) {
	mediaType, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, said := parameters["charset"]
	if err != nil || mediaType != jsonType || said && !strings.EqualFold(charset, "utf-8") ||
		len(r.Header.Values("Content-Type")) != 1 || len(r.Header.Values("Content-Encoding")) > 0 {
		return nil, store.NewError(store.UnsupportedType)
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
		Extensions    struct {
			PersistedQuery struct {
				SHA256Hash string `json:"sha256Hash"`
			} `json:"persistedQuery"`
		} `json:"extensions"`
	}
	if err := json.Unmarshal(body, &sent); err != nil || sent == nil {
		return nil, store.NewError(store.BadRequest)
	}
	read := &guard.Request{Query: sent.Query, DocumentID: sent.DocumentID, OperationName: sent.OperationName}
	if read.DocumentID == "" { // Apollo's clients and urql's say it in their own way
		read.DocumentID = sent.Extensions.PersistedQuery.SHA256Hash
	}
	if read.Query == nil && read.DocumentID == "" {
		return nil, store.NewError(store.BadRequest)
	}
	if len(sent.Variables) > 0 {
		if err := json.Unmarshal(sent.Variables, &read.Variables, numbers); err != nil {
			return nil, store.NewError(store.BadRequest)
		}
		read.VariablesSize = len(sent.Variables)
	}
	return read, nil
}

// maxExactFloat is where float64 stops to hold every integer.
const maxExactFloat = 1 << 53

// numbers reads whole numbers as int64 and others as float64, so that a number is never taken for a string, as a
// json.Number would be. A number too large for float64 becomes an infinity: it is valid JSON, and every
// type of the schema refuses it.
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
	f, _ := strconv.ParseFloat(text, 64) // The syntax is JSON's: a number out of range is the only error.
	if f == math.Trunc(f) && math.Abs(f) <= maxExactFloat {
		*value = int64(f)
		return nil
	}
	*value = f
	return nil
}))
