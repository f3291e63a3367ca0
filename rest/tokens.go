package rest

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/singleflight"

	"lumen/store"
	"lumen/store/auth"
)

func (h *handler) createAccessToken(w http.ResponseWriter, r *http.Request) error {
	if err := h.tokens.Authorize(r.Context()); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	minted, err := h.tokens.Create(r.Context(), readTokenInput(body))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, "application/json", struct {
		AccessToken accessToken `json:"accessToken"`
	}{accessToken{string(minted.Token), minted.Access, minted.CustomerID, instant(minted.ExpiresAt)}})
	return nil
}

// accessToken is a token on the wire, where it is shown.
type accessToken struct {
	Token      string       `json:"token"`
	Access     store.Access `json:"access"`
	CustomerID *string      `json:"customerId"`
	ExpiresAt  instant      `json:"expiresAt"`
}

// readTokenInput reads the keys of a token to mint. Null is as good as absent. Unlike a customer's, unknown keys are noted,
// to be refused.
func readTokenInput(members map[string]jsontext.Value) auth.TokenInput {
	var in auth.TokenInput
	read := map[string]func(jsontext.Value) error{
		"access":     func(value jsontext.Value) error { return json.Unmarshal(value, &in.Access) },
		"customerId": func(value jsontext.Value) error { return json.Unmarshal(value, &in.CustomerID) },
		"expiresIn":  func(value jsontext.Value) error { return json.Unmarshal(value, &in.ExpiresIn, wholeNumbers) },
	}
	for _, name := range auth.TokenFieldNames {
		if value, said := members[name]; said && read[name](value) != nil {
			in.WrongType = append(in.WrongType, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if read[name] == nil {
			in.Unknown = append(in.Unknown, shortName(name))
		}
	}
	return in
}

// maxName is how much of a name that the client made up is repeated, in characters.
const maxName = 64

func shortName(name string) string {
	if runes := []rune(name); len(runes) > maxName {
		return string(runes[:maxName]) + "..."
	}
	return name
}

// wholeNumbers reads an int from every number that is one, as JSON Schema and GraphQL's variables have it: 900.0 is. One
// that no int32 holds becomes the nearest that it does, which is out of range wherever it matters.
var wholeNumbers = json.WithUnmarshalers(json.UnmarshalFromFunc(func(decoder *jsontext.Decoder, n *int) error {
	value, err := decoder.ReadValue()
	if err != nil {
		return err
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if value.Kind() != '0' || err == nil && f != math.Trunc(f) {
		return strconv.ErrSyntax
	}
	*n = int(min(max(f, math.MinInt32), math.MaxInt32))
	return nil
}))

// jwksAge is how long a copy of the public keys is good: as long as a new key waits before it signs.
const jwksAge = 5 * time.Minute

// jwksKept is how long the server itself keeps the keys. Nobody needs a credential to ask for them, so many may ask.
const jwksKept = time.Second

// NewJWKS returns the handler of the public keys that verify access tokens, as a JWK Set (RFC 7517). It answers GET
// and HEAD, whatever the path, and needs no credential. log gets the causes of internal errors and outages.
func NewJWKS(tokens *auth.Tokens, log *slog.Logger) http.Handler {
	h := &handler{Options: Options{Log: log}}
	var asking singleflight.Group // while one asks the database, the others wait for what it brings, be it an error
	var set jose.JSONWebKeySet
	var good time.Time
	keys := func(ctx context.Context) (any, error) {
		if time.Now().Before(good) {
			return set, nil
		}
		keys, err := tokens.PublicKeys(ctx)
		if err != nil {
			return nil, err
		}
		set = jose.JSONWebKeySet{Keys: keys}
		good = time.Now().Add(jwksKept)
		return set, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			h.writeError(w, r, store.NewError(store.MethodNotAllowed))
			return
		}
		// One who leaves must not take the answer from those who wait.
		set, err, _ := asking.Do("", func() (any, error) { return keys(context.WithoutCancel(r.Context())) })
		if err != nil {
			h.writeError(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(jwksAge.Seconds())))
		writeJSON(w, http.StatusOK, "application/jwk-set+json", set)
	})
}

// instant is a time on the wire.
type instant time.Time

// MarshalJSON implements json.Marshaler.
func (t instant) MarshalJSON() ([]byte, error) { return store.AppendTime(nil, time.Time(t)), nil }
