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

	"lumen/store"
)

// request is what a body asks for.
type request struct {
	query         *string
	documentID    string // of a trusted document
	operationName string
	variables     map[string]any
	variablesSize int // octets of the text they were read from
}

// read reads the one JSON object that the body, of at most maxBody octets, must be. jsontext is strict: UTF-8, no
// duplicate names at any depth, nothing after the object.
func read(w http.ResponseWriter, r *http.Request, maxBody int) (*request, error) {
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

func parse(body []byte) (*request, error) {
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
	read := &request{query: sent.Query, documentID: sent.DocumentID, operationName: sent.OperationName}
	if read.documentID == "" { // Apollo's clients and urql's say it in their own way
		read.documentID = sent.Extensions.PersistedQuery.SHA256Hash
	}
	if read.query == nil && read.documentID == "" {
		return nil, store.NewError(store.BadRequest)
	}
	if len(sent.Variables) > 0 {
		if err := json.Unmarshal(sent.Variables, &read.variables, numbers); err != nil {
			return nil, store.NewError(store.BadRequest)
		}
		read.variablesSize = len(sent.Variables)
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
