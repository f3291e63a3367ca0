package graph

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.opentelemetry.io/otel/trace"

	"lumen/graph/guard"
	"lumen/store"
)

// transport serves GraphQL over HTTP. It replaces the transport of gqlgen, which repeats unreadable
// bodies in its replies, takes the last of duplicate keys, and answers 200 when a body is too
// large.
type transport struct {
	authenticate Authenticate
	charge       func(ctx context.Context, cost int) error
	limits       guard.Limits
	documents    *guard.Documents
	observe      func(context.Context, Outcome)
}

var _ graphql.Transport = transport{}

// The media types of replies.
const (
	responseType = "application/graphql-response+json"
	jsonType     = "application/json"
)

// Supports implements graphql.Transport. The transport answers every request, even if it refuses
// it.
func (transport) Supports(*http.Request) bool { return true }

// Do implements graphql.Transport. Its checks have the same order as those of the REST API.
func (t transport) Do(w http.ResponseWriter, r *http.Request, executor graphql.GraphExecutor) {
	mediaType := accepts(r.Header)
	w.Header().Set("Content-Type", mediaType+"; charset=utf-8")
	ctx := r.Context()
	recorder := &outcomeRecorder{Outcome: Outcome{Operation: guard.NoField}}
	if t.observe != nil {
		defer func() { t.observe(r.Context(), recorder.outcome()) }()
	}
	sent, err := func() (*guard.Request, error) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			return nil, store.NewError(store.MethodNotAllowed)
		}
		authenticated, err := t.authenticate(r)
		if err != nil {
			return nil, err
		}
		ctx = authenticated
		return read(w, r, t.limits.Body)
	}()
	ctx = context.WithValue(ctx, recorderKey{}, recorder)
	if err != nil {
		writeError(ctx, w, executor, err)
		return
	}

	ctx, span := startSpan(ctx, "GraphQL Operation") // prepare renames it when it knows the type
	defer recorder.end(span)
	operation, refused := t.prepare(ctx, executor, sent, recorder)
	if refused != nil {
		// A refused document is a 400 only in the media type for GraphQL. In plain JSON the
		// specification asks for 200: a client could not tell another status from that of a proxy.
		status := http.StatusOK
		if mediaType == responseType {
			status = http.StatusBadRequest
		}
		response := executor.DispatchError(graphql.WithOperationContext(ctx, operation), refused)
		response.Errors = t.limits.First(response.Errors)
		writeRefusal(w, status, response)
		return
	}
	if t.charge != nil {
		cost, _ := guard.Cost(operation)
		if err := t.charge(ctx, cost); err != nil {
			writeError(ctx, w, executor, err)
			return
		}
	}
	respond, ctx := executor.DispatchOperation(ctx, operation)
	response := respond(ctx)
	if response == nil { // the client disconnected
		return
	}
	status := http.StatusOK
	if isNull(response.Data) {
		status = statusWithoutData(response.Errors)
	}
	if slices.ContainsFunc(response.Errors, isTemporary) {
		w.Header().Set("Retry-After", "1")
	}
	response.Errors = t.limits.First(response.Errors)
	if position := recorder.receipt.String(); position != "" {
		response.Extensions["sequence"] = position // beside the cost
	}
	writeResult(w, status, response)
}

// prepare returns the operation of a request, ready to be executed, or the errors that refuse it.
func (t transport) prepare(
	ctx context.Context, executor graphql.GraphExecutor, sent *guard.Request, recorder *outcomeRecorder,
) (*graphql.OperationContext, gqlerror.List) {
	if beyond := t.limits.CheckVariables(sent); beyond != nil {
		return nil, gqlerror.List{beyond}
	}
	document, source, refused := t.documents.Find(sent)
	recorder.Document = source
	if refused != nil {
		return nil, refused
	}
	operation, missing := document.Operation(sent.OperationName)
	if missing != nil {
		return nil, gqlerror.List{missing}
	}
	recorder.Operation = document.RootField(operation)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetName(string(operation.Operation))
		span.SetAttributes(operationTypes[operation.Operation])
	}
	prepared, refused := executor.CreateOperationContext(guard.WithDocument(ctx, document), &graphql.RawParams{
		Query: document.Text, OperationName: sent.OperationName, Variables: sent.Variables,
	})
	recorder.Cost, _ = guard.Cost(prepared)
	return prepared, refused
}

// writeError refuses a request for a reason other than its document. Its status is that of the
// error, in both media types.
func writeError(ctx context.Context, w http.ResponseWriter, executor graphql.GraphExecutor, err error) {
	known := store.AsError(err)
	for name, value := range known.Headers() {
		w.Header().Set(name, value)
	}
	writeRefusal(w, known.Status(), executor.DispatchError(ctx, gqlerror.List{gqlerror.WrapPath(nil, err)}))
}

// writeRefusal answers a request that was not executed. The reply has no member data, not even
// null.
func writeRefusal(w http.ResponseWriter, status int, response *graphql.Response) {
	writeBody(w, status, marshal(struct {
		Errors     gqlerror.List  `json:"errors"`
		Extensions map[string]any `json:"extensions,omitempty"`
	}{response.Errors, response.Extensions}))
}

// writeResult sends the reply of an executed operation, with errors first, as the specification
// advises. It copies the data, which is JSON already and can be large: an encoder would read all of
// it again.
func writeResult(w http.ResponseWriter, status int, response *graphql.Response) {
	body := make([]byte, 0, len(response.Data)+256)
	body = append(body, '{')
	if len(response.Errors) > 0 {
		body = append(append(append(body, `"errors":`...), marshal(response.Errors)...), ',')
	}
	body = append(append(body, `"data":`...), response.Data...)
	if len(response.Data) == 0 {
		body = append(body, "null"...)
	}
	if len(response.Extensions) > 0 {
		body = append(append(body, `,"extensions":`...), marshal(response.Extensions)...)
	}
	writeBody(w, status, append(body, '}'))
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// marshal returns a part of a reply as JSON, without HTML escapes, which make messages hard to
// read.
func marshal(part any) []byte {
	var encoded bytes.Buffer
	encoder := stdjson.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(part); err != nil {
		panic(err) // the executor's errors and extensions always encode
	}
	return bytes.TrimSuffix(encoded.Bytes(), []byte("\n"))
}

// accepts returns the media type of the reply. It is the one for GraphQL if the client names it and
// does not prefer plain JSON, else plain JSON.
func accepts(header http.Header) string {
	weights := make(map[string]float64)
	for _, accepted := range strings.Split(strings.Join(header.Values("Accept"), ","), ",") {
		mediaType, parameters, err := mime.ParseMediaType(accepted)
		if err != nil {
			continue
		}
		weight, err := strconv.ParseFloat(parameters["q"], 64)
		if err != nil {
			weight = 1
		}
		weights[mediaType] = max(weights[mediaType], weight)
	}
	if weight := weights[responseType]; weight > 0 && weight >= weights[jsonType] {
		return responseType
	}
	return jsonType
}

func isNull(data []byte) bool { return len(data) == 0 || string(data) == "null" }

// isTemporary reports whether the client can send the refused request again later.
func isTemporary(err *gqlerror.Error) bool {
	code := err.Extensions["code"]
	return code == store.Unavailable || code == store.RateLimited
}

// statusWithoutData returns the status of a reply without data. Where no error is the document's, it is
// 503, or 429 when the merchant's own requests are the only cause.
func statusWithoutData(list gqlerror.List) int {
	status := http.StatusOK
	for _, err := range list {
		switch err.Extensions["code"] {
		case store.Unavailable, store.TokensNotConfigured:
			status = http.StatusServiceUnavailable
		case store.RateLimited:
			status = max(status, http.StatusTooManyRequests)
		default:
			return http.StatusOK
		}
	}
	return status
}
