package rest

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
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
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(encoded)
}

// customer is a customer on the wire: the documented fields in the documented order.
type customer struct {
	ID                  string  `json:"id"`
	Email               string  `json:"email"`
	Name                *string `json:"name"`
	UserID              *string `json:"userId"`
	BillingAddressLine1 *string `json:"billingAddressLine1"`
	BillingAddressLine2 *string `json:"billingAddressLine2"`
	BillingCity         *string `json:"billingCity"`
	BillingPostalCode   *string `json:"billingPostalCode"`
	BillingCountry      *string `json:"billingCountry"`
	TaxID               *string `json:"taxId"`
	MerchantID          string  `json:"merchantId"`
	CreatedAt           instant `json:"createdAt"`
	UpdatedAt           instant `json:"updatedAt"`
	DeletedAt           instant `json:"deletedAt"`
}

func onWire(c *store.Customer) customer {
	wire := customer{
		ID: c.ID, Email: c.Email, Name: c.Name, UserID: c.UserID,
		BillingAddressLine1: c.BillingAddressLine1, BillingAddressLine2: c.BillingAddressLine2, BillingCity: c.BillingCity,
		BillingPostalCode: c.BillingPostalCode, BillingCountry: c.BillingCountry, TaxID: c.TaxID,
		MerchantID: c.MerchantID, CreatedAt: instant(c.CreatedAt), UpdatedAt: instant(c.UpdatedAt),
	}
	if c.DeletedAt != nil {
		wire.DeletedAt = instant(*c.DeletedAt)
	}
	return wire
}

// instant is a time on the wire: RFC 3339, UTC, three fractional digits; null when zero.
type instant time.Time

// MarshalJSON implements json.Marshaler.
func (t instant) MarshalJSON() ([]byte, error) {
	if time.Time(t).IsZero() {
		return []byte("null"), nil
	}
	return time.Time(t).UTC().AppendFormat(bytes.NewBufferString("").AvailableBuffer(), `"2006-01-02T15:04:05.000Z"`), nil
}
