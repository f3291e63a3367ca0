package rest

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lumen/store"
)

// maxBody is the largest body that is read, in bytes.
const maxBody = 64 << 10

// readBody returns the members of the one JSON object that the body must be. jsontext is strict: UTF-8, no duplicate
// names at any depth, no lone surrogates, nothing after the object.
func readBody(w http.ResponseWriter, r *http.Request) (map[string]jsontext.Value, error) {
	if !isJSON(r.Header) {
		return nil, store.NewError(store.UnsupportedType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, store.NewError(store.PayloadTooLarge)
	case err != nil: // the client broke off, or broke the framing
		return nil, store.NewError(store.BadRequest)
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, store.NewError(store.BadRequest)
	}
	return members, nil
}

// isJSON reports whether the body is declared as plain JSON, in UTF-8 if anything is said of it, and not encoded.
func isJSON(header http.Header) bool {
	if len(header.Values("Content-Encoding")) > 0 || len(header.Values("Content-Type")) != 1 {
		return false
	}
	mediaType, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return false
	}
	charset, said := parameters["charset"]
	return !said || strings.EqualFold(charset, "utf-8")
}

// readInput reads the documented keys of a customer and ignores all others. What has the wrong type is noted in the
// input, to be reported with the store's own faults.
func readInput(members map[string]jsontext.Value) store.CustomerInput {
	var in store.CustomerInput
	for _, name := range store.FieldNames {
		value, said := members[name]
		if !said {
			continue
		}
		var text *string
		if err := json.Unmarshal(value, &text); err != nil {
			in.WrongType = append(in.WrongType, name)
			continue
		}
		*in.Field(name) = store.SetPtr(text)
	}
	if value, said := members[store.DangerousFlag]; said {
		// Null leaves it false, as if it were absent.
		if err := json.Unmarshal(value, &in.DangerouslyAllowSameEmailForDifferentCustomers); err != nil {
			in.WrongType = append(in.WrongType, store.DangerousFlag)
		}
	}
	return in
}

// writeJSON answers with a body that is known whole.
func writeJSON(w http.ResponseWriter, status int, body any) {
	write(w, status, "application/json", body)
}

// write is writeJSON for JSON of another media type.
func write(w http.ResponseWriter, status int, mediaType string, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err) // the wire types always encode
	}
	send(w, status, mediaType, encoded)
}

// send answers with a body that is JSON already.
func send(w http.ResponseWriter, status int, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// appendCustomer appends a customer as it is on the wire: the documented fields in the documented order. Lists have
// hundreds of thousands of them, so nothing is made for one but its text.
func appendCustomer(to []byte, c *store.Customer) []byte {
	to = appendText(append(to, `{"id":`...), c.ID)
	to = appendText(append(to, `,"email":`...), c.Email)
	to = appendNullable(append(to, `,"name":`...), c.Name, appendText)
	to = appendNullable(append(to, `,"userId":`...), c.UserID, appendText)
	to = appendNullable(append(to, `,"billingAddressLine1":`...), c.BillingAddressLine1, appendText)
	to = appendNullable(append(to, `,"billingAddressLine2":`...), c.BillingAddressLine2, appendText)
	to = appendNullable(append(to, `,"billingCity":`...), c.BillingCity, appendText)
	to = appendNullable(append(to, `,"billingPostalCode":`...), c.BillingPostalCode, appendText)
	to = appendNullable(append(to, `,"billingCountry":`...), c.BillingCountry, appendText)
	to = appendNullable(append(to, `,"taxId":`...), c.TaxID, appendText)
	to = appendText(append(to, `,"merchantId":`...), c.MerchantID)
	to = appendTime(append(to, `,"createdAt":`...), c.CreatedAt)
	to = appendTime(append(to, `,"updatedAt":`...), c.UpdatedAt)
	to = appendNullable(append(to, `,"deletedAt":`...), c.DeletedAt, appendTime)
	return append(to, '}')
}

func appendText(to []byte, text string) []byte {
	to, _ = jsontext.AppendQuote(to, text) // what Postgres holds is UTF-8
	return to
}

// appendTime appends a time as it is on the wire: RFC 3339, UTC, three fractional digits.
func appendTime(to []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(to, `"2006-01-02T15:04:05.000Z"`)
}

func appendNullable[V any](to []byte, value *V, write func([]byte, V) []byte) []byte {
	if value == nil {
		return append(to, "null"...)
	}
	return write(to, *value)
}

// instant is a time on the wire.
type instant time.Time

// MarshalJSON implements json.Marshaler.
func (t instant) MarshalJSON() ([]byte, error) { return appendTime(nil, time.Time(t)), nil }
