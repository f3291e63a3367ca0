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
	if minted.CustomerID != nil {
		h.found(r.Context(), store.NounOf[store.Customer]().Name(), *minted.CustomerID)
	}
	writeJSON(w, http.StatusCreated, "application/json", struct {
		AccessToken accessToken `json:"accessToken"`
	}{accessToken{string(minted.Token), minted.Access, minted.CustomerID, instant(minted.ExpiresAt)}})
	return nil
}

// accessToken is the JSON form of a token. It is the only type of this package that shows the
// secret text of a token.
type accessToken struct {
	Token      string       `json:"token"`
	Access     store.Access `json:"access"`
	CustomerID *string      `json:"customerId"`
	ExpiresAt  instant      `json:"expiresAt"`
}

// readTokenInput reads the keys of a token to mint. Null counts as absent. It records unknown keys,
// which are refused, while unknown keys of a customer are ignored.
func readTokenInput(members map[string]jsontext.Value) auth.TokenInput {
	var in auth.TokenInput
	read := map[string]func(jsontext.Value) error{
		"access":     func(value jsontext.Value) error { return json.Unmarshal(value, &in.Access) },
		"customerId": func(value jsontext.Value) error { return json.Unmarshal(value, &in.CustomerID) },
		"expiresIn":  func(value jsontext.Value) error { return json.Unmarshal(value, &in.ExpiresIn, wholeNumbers) },
	}
	for _, name := range auth.TokenFieldNames {
		if value, present := members[name]; present && read[name](value) != nil {
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

// maxName is the length, in characters, beyond which replies cut a name that the client chose.
const maxName = 64

func shortName(name string) string {
	if runes := []rune(name); len(runes) > maxName {
		return string(runes[:maxName]) + "..."
	}
	return name
}

// wholeNumbers reads an int from every JSON number with an integral value. As in JSON Schema and in
// GraphQL variables, 900.0 is one. A number beyond int32 becomes the nearest int32, which is out of
// range for every field.
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

// jwksMaxAge is how long clients may cache the public keys. A new key is published for as long
// before it signs.
const jwksMaxAge = 5 * time.Minute

// jwksCacheTime is how long the server caches the keys. Clients need no credential to read them, so
// the number of requests is unlimited.
const jwksCacheTime = time.Second

// NewJWKS returns the handler of the public keys that verify access tokens, as a JWK Set (RFC
// 7517). It answers GET and HEAD on any path and needs no credential. log receives the causes of
// internal errors and outages.
func NewJWKS(tokens *auth.Tokens, log *slog.Logger) http.Handler {
	h := &handler{Options: Options{Log: log}}
	var fetches singleflight.Group // Concurrent requests share one query and its result.
	var set jose.JSONWebKeySet
	var validUntil time.Time
	keys := func(ctx context.Context) (any, error) {
		if time.Now().Before(validUntil) {
			return set, nil
		}
		keys, err := tokens.PublicKeys(ctx)
		if err != nil {
			return nil, err
		}
		set = jose.JSONWebKeySet{Keys: keys}
		validUntil = time.Now().Add(jwksCacheTime)
		return set, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			h.writeError(w, r, store.NewError(store.MethodNotAllowed))
			return
		}
		// A client that disconnects must not cancel the query that other clients wait for.
		set, err, _ := fetches.Do("", func() (any, error) { return keys(context.WithoutCancel(r.Context())) })
		if err != nil {
			h.writeError(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(jwksMaxAge.Seconds())))
		writeJSON(w, http.StatusOK, "application/jwk-set+json", set)
	})
}

// instant is a time that encodes as RFC 3339, in UTC and with milliseconds.
type instant time.Time

// MarshalJSON implements json.Marshaler.
func (t instant) MarshalJSON() ([]byte, error) { return store.AppendTime(nil, time.Time(t)), nil }
