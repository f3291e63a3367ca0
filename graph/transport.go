package graph

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"lumen/store"
)

// transport carries GraphQL over HTTP. gqlgen's own echoes bodies that it can't read, takes the last of duplicate keys,
// and answers 200 to a body that is too large.
type transport struct{ authenticate Authenticate }

var _ graphql.Transport = transport{}

// maxBody is the largest body that is read, in bytes.
const maxBody = 64 << 10

// maxFaults is how many of a document's faults are named. A short document can have thousands.
const maxFaults = 10

// The media types of replies.
const (
	responseType = "application/graphql-response+json"
	jsonType     = "application/json"
)

// Supports implements graphql.Transport: it answers everything, if only with a refusal.
func (transport) Supports(*http.Request) bool { return true }

// Do implements graphql.Transport. The order of its checks is that of the REST door.
func (t transport) Do(w http.ResponseWriter, r *http.Request, executor graphql.GraphExecutor) {
	ctx := r.Context()
	params, err := func() (*graphql.RawParams, error) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			return nil, store.NewError(store.MethodNotAllowed)
		}
		authenticated, err := t.authenticate(r)
		if err != nil {
			return nil, err
		}
		ctx = authenticated
		return readParams(w, r)
	}()
	if err != nil {
		refuse(w, r, statuses[store.AsError(err).Code], executor.DispatchError(ctx, gqlerror.List{gqlerror.WrapPath(nil, err)}).Errors)
		return
	}

	operation, refused := executor.CreateOperationContext(ctx, params)
	if refused != nil {
		refused = refused[:min(len(refused), maxFaults)]
		// The media type for GraphQL has a status for a document that was refused; plain JSON says it in the body.
		status := http.StatusOK
		if accepts(r) == responseType {
			status = http.StatusBadRequest
		}
		refuse(w, r, status, executor.DispatchError(graphql.WithOperationContext(ctx, operation), refused).Errors)
		return
	}
	respond, ctx := executor.DispatchOperation(ctx, operation)
	response := respond(ctx)
	if response == nil { // the client left
		return
	}
	if isNull(response.Data) && allUnavailable(response.Errors) {
		w.Header().Set("Retry-After", "1")
		write(w, r, http.StatusServiceUnavailable, response)
		return
	}
	write(w, r, http.StatusOK, response)
}

// statuses are those of requests that were refused before their document was read.
var statuses = map[store.Code]int{
	store.BadRequest:       http.StatusBadRequest,
	store.Unauthenticated:  http.StatusUnauthorized,
	store.MethodNotAllowed: http.StatusMethodNotAllowed,
	store.PayloadTooLarge:  http.StatusRequestEntityTooLarge,
	store.UnsupportedType:  http.StatusUnsupportedMediaType,
	store.Internal:         http.StatusInternalServerError,
	store.Unavailable:      http.StatusServiceUnavailable,
}

// refuse answers a request that was not executed: there is no data, not even null.
func refuse(w http.ResponseWriter, r *http.Request, status int, list gqlerror.List) {
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	write(w, r, status, struct {
		Errors gqlerror.List `json:"errors"`
	}{list})
}

func write(w http.ResponseWriter, r *http.Request, status int, reply any) {
	var body bytes.Buffer
	encoder := stdjson.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(reply); err != nil {
		panic(err) // what the executor made always encodes
	}
	w.Header().Set("Content-Type", accepts(r)+"; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(bytes.TrimSuffix(body.Bytes(), []byte("\n")))
}

// accepts returns the media type of the reply.
func accepts(r *http.Request) string {
	if strings.Contains(r.Header.Get("Accept"), responseType) {
		return responseType
	}
	return jsonType
}

func isNull(data []byte) bool { return len(data) == 0 || string(data) == "null" }

func allUnavailable(list gqlerror.List) bool {
	for _, err := range list {
		if err.Extensions["code"] != store.Unavailable {
			return false
		}
	}
	return len(list) > 0
}

// readParams reads the one JSON object that the body must be. jsontext is strict: UTF-8, no duplicate names at any
// depth, nothing after the object.
func readParams(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, error) {
	mediaType, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, said := parameters["charset"]
	if err != nil || mediaType != jsonType || said && !strings.EqualFold(charset, "utf-8") ||
		len(r.Header.Values("Content-Type")) != 1 || len(r.Header.Values("Content-Encoding")) > 0 {
		return nil, store.NewError(store.UnsupportedType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, store.NewError(store.PayloadTooLarge)
	case err != nil:
		return nil, store.NewError(store.BadRequest)
	}
	return parseParams(body)
}

func parseParams(body []byte) (*graphql.RawParams, error) {
	var request *struct {
		Query         *string        `json:"query"`
		OperationName string         `json:"operationName"`
		Variables     map[string]any `json:"variables"`
		Extensions    map[string]any `json:"extensions"`
	}
	if err := json.Unmarshal(body, &request, numbers); err != nil || request == nil || request.Query == nil {
		return nil, store.NewError(store.BadRequest)
	}
	return &graphql.RawParams{
		Query: *request.Query, OperationName: request.OperationName,
		Variables: request.Variables, Extensions: request.Extensions,
	}, nil
}

// maxExactFloat is where float64 stops to hold every integer.
const maxExactFloat = 1 << 53

// numbers reads whole numbers as int64 and others as float64, so that a number is never taken for a string, as a
// json.Number would be.
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
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return err
	}
	if f == math.Trunc(f) && math.Abs(f) <= maxExactFloat {
		*value = int64(f)
		return nil
	}
	*value = f
	return nil
}))
