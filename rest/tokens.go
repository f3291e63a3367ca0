package rest

import (
	"crypto/ed25519"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lumen/store"
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
	writeJSON(w, http.StatusCreated, struct {
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

// readTokenInput reads the documented keys of a token to mint and ignores all others. Null is as good as absent.
func readTokenInput(members map[string]jsontext.Value) store.TokenInput {
	var in store.TokenInput
	read := map[string]func(jsontext.Value) error{
		"access":     func(value jsontext.Value) error { return json.Unmarshal(value, &in.Access) },
		"customerId": func(value jsontext.Value) error { return json.Unmarshal(value, &in.CustomerID) },
		"expiresIn":  func(value jsontext.Value) error { return json.Unmarshal(value, &in.ExpiresIn, wholeNumbers) },
	}
	for _, name := range store.TokenFieldNames {
		if value, said := members[name]; said && read[name](value) != nil {
			in.WrongType = append(in.WrongType, name)
		}
	}
	return in
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

// NewJWKS returns the handler of the public keys that verify access tokens, as a JWK Set (RFC 7517, RFC 8037). It answers GET
// and HEAD, whatever the path, and needs no credential. log gets the causes of internal errors and outages.
func NewJWKS(tokens *store.Tokens, log *slog.Logger) http.Handler {
	h := &handler{log: log}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			h.fail(w, r, store.NewError(store.MethodNotAllowed))
			return
		}
		keys, err := tokens.PublicKeys(r.Context())
		if err != nil {
			h.fail(w, r, err)
			return
		}
		set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, len(keys))}
		for i, key := range keys {
			set.Keys[i] = jose.JSONWebKey{Key: ed25519.PublicKey(key.PublicKey), KeyID: key.KeyID, Algorithm: string(jose.EdDSA), Use: "sig"}
		}
		w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(jwksAge.Seconds())))
		write(w, http.StatusOK, "application/jwk-set+json", set)
	})
}
