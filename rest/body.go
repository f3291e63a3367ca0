package rest

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lumen/store"
)

// maxBody is the size of the largest accepted body, in bytes.
const maxBody = 64 << 10

// readBody returns the members of the body, which must be one JSON object. jsontext is strict: it
// demands UTF-8 and refuses duplicate names at any depth, lone surrogates, and data after the
// object.
func readBody(w http.ResponseWriter, r *http.Request) (map[string]jsontext.Value, error) {
	if err := store.CheckMediaType(r.Header); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, store.NewError(store.PayloadTooLarge)
	case err != nil: // The client disconnected, or the framing is malformed.
		return nil, store.NewError(store.BadRequest)
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, store.BadBody(body, store.OneObject)
	}
	return members, nil
}

// readInput reads the documented keys of a noun and ignores all others. A value of the wrong type
// becomes store.Mistyped, which the store reports together with the faults that it finds.
func readInput(members map[string]jsontext.Value, noun store.Noun) store.Input {
	in := make(store.Input)
	for _, field := range noun.Inputs() {
		if value, present := members[field.Name]; present {
			in[field.Name] = readValue(value, field.Kind)
		}
	}
	return in
}

func readValue(value jsontext.Value, kind store.Kind) any {
	if value.Kind() == 'n' {
		return nil
	}
	var err error
	switch kind {
	case store.FlagKind:
		var flag bool
		if err = json.Unmarshal(value, &flag); err == nil {
			return flag
		}
	case store.NumberKind:
		var n int64
		if err = json.Unmarshal(value, &n); err == nil {
			return n
		}
	default:
		var text string
		if err = json.Unmarshal(value, &text); err == nil && kind != store.TimeKind {
			return text
		}
		if at, ok := store.ParseTime(text); err == nil && ok {
			return at
		}
	}
	return store.Mistyped{}
}

// send writes a reply whose body is encoded already.
func send(w http.ResponseWriter, status int, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// writeJSON encodes the body as JSON and writes the reply.
func writeJSON(w http.ResponseWriter, status int, mediaType string, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err) // All types of bodies encode without an error.
	}
	send(w, status, mediaType, encoded)
}
