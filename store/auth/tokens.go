package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"lumen/store"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Token is an access token as its holder presents it: a JWT by the profile of RFC 9068.
type Token string

// String hides the token, so that no log can hold it by accident.
func (t Token) String() string { return "***" }

// GoString hides the token from %#v.
func (t Token) GoString() string { return t.String() }

// LogValue hides the token from slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText hides the token from JSON. Who means to show it converts it to a string.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// AccessToken is what was minted. It is stored nowhere.
type AccessToken struct {
	Token      Token
	Access     store.Access
	CustomerID *string // nil when it is bound to none
	ExpiresAt  time.Time
}

// Lifetimes of access tokens, in seconds.
const (
	DefaultTokenLifetime = 900
	MaxTokenLifetime     = 3600
)

// TokenInput is what a caller says of a token to mint; nil means the default.
type TokenInput struct {
	Access     *store.Access // read
	CustomerID *string       // none: the token is for all of the merchant's customers
	ExpiresIn  *int          // DefaultTokenLifetime

	// WrongType names the fields whose value a door could not read as their type, Unknown what it was sent besides.
	WrongType, Unknown []string
}

// TokenFieldNames are the documented names of the input's fields, in the documented order.
var TokenFieldNames = []string{"access", "customerId", "expiresIn"}

// normalize returns the input with its defaults, or all its faults. An empty customer's id is one, and so is a field that
// is unknown: neither must leave a token bound to nobody that was meant for one customer.
func (in TokenInput) normalize() (TokenInput, error) {
	access, expiresIn := store.ReadAccess, DefaultTokenLifetime
	if in.Access == nil {
		in.Access = &access
	}
	if in.ExpiresIn == nil {
		in.ExpiresIn = &expiresIn
	}
	malformed := map[string]bool{
		"access":     *in.Access != store.ReadAccess && *in.Access != store.WriteAccess,
		"customerId": in.CustomerID != nil && !store.IsCustomerID(*in.CustomerID),
		"expiresIn":  *in.ExpiresIn < 1 || *in.ExpiresIn > MaxTokenLifetime,
	}
	for _, name := range in.WrongType {
		malformed[name] = false
	}
	var faults []store.Fault
	for _, name := range TokenFieldNames {
		switch {
		case malformed[name]:
			faults = append(faults, store.NewFault(name, store.InvalidFormat))
		case slices.Contains(in.WrongType, name):
			faults = append(faults, store.NewFault(name, store.WrongType))
		}
	}
	for _, name := range in.Unknown {
		faults = append(faults, store.Fault{Field: name, Reason: store.InvalidFormat, Message: name + " is not a field of an access token"})
	}
	return in, store.Invalid(faults...)
}

// The values that every token shares.
const (
	tokenIssuer = "lumen"
	tokenType   = "at+jwt" // RFC 9068, 2.1

	// maxTokenLength bounds what is looked at, in bytes. A token of ours has about 600, an API key 61.
	maxTokenLength = 2 << 10
)

// scopes are how a token names what it may do.
var scopes = map[store.Access]string{store.ReadAccess: "read", store.WriteAccess: "read write"}

// claims are what a token says (RFC 9068, 2.2, and two of Lumen's own).
type claims struct {
	jwt.Claims
	ClientID   string  `json:"client_id"` // the API key that minted it
	MerchantID string  `json:"merchant_id"`
	Scope      string  `json:"scope"`
	CustomerID *string `json:"customer_id,omitempty"`
}

// Tokens mints access tokens, and tells which keys verify them.
type Tokens struct {
	lookUps   *lookUps
	secret    TokenSecret
	audience  string
	customers *store.Customers
}

// Create mints a token in the name of the API key that ctx carries. Forbidden when that may not, or when the service has no
// key to sign with; InvalidInput tells what is wrong with the input; NotFound that the customer is not one of the
// merchant's live ones. Nothing is stored: the token works until it expires or, within half a second, its API key or its
// signing key is revoked or the merchant is disabled.
func (t *Tokens) Create(ctx context.Context, in TokenInput) (*AccessToken, error) {
	if err := t.Authorize(ctx); err != nil {
		return nil, err
	}
	signer, err := t.signer(ctx)
	if err != nil {
		return nil, store.Failed("create access token", err)
	}
	if signer == nil {
		return nil, store.NewError(store.Forbidden)
	}
	if in, err = in.normalize(); err != nil {
		return nil, err
	}
	credential, _ := store.CredentialFrom(ctx)
	subject := credential.Merchant.ID
	if in.CustomerID != nil {
		if _, err := t.customers.Get(ctx, *in.CustomerID); err != nil {
			known := *store.AsError(err)
			known.Field = "customerId"
			return nil, &known
		}
		subject = *in.CustomerID
	}
	issued := signer.key.Now.Truncate(time.Second) // what a JWT can say
	expires := issued.Add(time.Duration(*in.ExpiresIn) * time.Second)
	if ends := signer.key.APIKeyExpiresAt; ends != nil && ends.Before(expires) {
		expires = ends.UTC().Truncate(time.Second)
	}
	token, err := signer.sign(claims{
		Claims: jwt.Claims{
			Issuer: tokenIssuer, Audience: jwt.Audience{t.audience}, Subject: subject, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(issued), Expiry: jwt.NewNumericDate(expires),
		},
		ClientID: credential.KeyID, MerchantID: credential.Merchant.ID, Scope: scopes[*in.Access], CustomerID: in.CustomerID,
	})
	if err != nil {
		return nil, store.Failed("create access token", err)
	}
	return &AccessToken{Token: token, Access: *in.Access, CustomerID: in.CustomerID, ExpiresAt: expires}, nil
}

// Authorize returns what Create would refuse the credential with, before anything is looked up: a door asks before it reads
// a body.
func (t *Tokens) Authorize(ctx context.Context) error {
	credential, ok := store.CredentialFrom(ctx)
	switch {
	case !ok:
		return store.NewError(store.Unauthenticated)
	case credential.Access != store.WriteAccess || credential.TokenID != "" || len(t.secret) == 0:
		return store.NewError(store.Forbidden)
	}
	return nil
}

// ErrNoTokenKey is what CheckSigner returns when nothing signs.
var ErrNoTokenKey = errors.New("there is no key to sign access tokens with")

// CheckSigner returns an error when there is a secret and it does not open the key that signs now, ErrNoTokenKey when there
// is no such key or no secret. Other errors mean that the database could not be asked.
func (t *Tokens) CheckSigner(ctx context.Context) error {
	if len(t.secret) == 0 {
		return ErrNoTokenKey
	}
	key, err := t.signingKey(ctx)
	if err != nil {
		return fmt.Errorf("check the token keys: %w", err)
	}
	if key == nil {
		return ErrNoTokenKey
	}
	_, err = t.secret.Open(key.KeyID, key.PrivateKey)
	return err
}

// PublicKey is what verifies the tokens of a signing key.
type PublicKey struct {
	KeyID     string
	PublicKey []byte // Ed25519
}

// PublicKeys returns the keys that verify now, or will when they begin to sign. It needs no credential.
func (t *Tokens) PublicKeys(ctx context.Context) ([]PublicKey, error) {
	keys := []PublicKey{}
	if err := t.lookUps.run(ctx, unknown, &keys, `SELECT key_id, public_key FROM public.lumen_token_keys()`); err != nil {
		return nil, store.Failed("fetch token keys", err)
	}
	return keys, nil
}

// signingKey is the key that signs now, still sealed.
type signingKey struct {
	KeyID      string
	PrivateKey []byte
	Now        time.Time // the database's (I5)

	// APIKeyExpiresAt is when the API key of the context ends, nil when it does not.
	APIKeyExpiresAt *time.Time
}

func (t *Tokens) signingKey(ctx context.Context) (*signingKey, error) {
	credential, _ := store.CredentialFrom(ctx)
	var keys []signingKey
	const statement = `SELECT key_id, private_key, now, api_key_expires_at FROM public.lumen_token_signer($1, $2)`
	if err := t.lookUps.run(ctx, known, &keys, statement, credential.Merchant.ID, credential.KeyID); err != nil || len(keys) == 0 {
		return nil, err
	}
	return &keys[0], nil
}

// signer signs tokens.
type signer struct {
	jose.Signer
	key *signingKey
}

// signer returns what signs now, nil when there is no key.
func (t *Tokens) signer(ctx context.Context) (*signer, error) {
	key, err := t.signingKey(ctx)
	if err != nil || key == nil {
		return nil, err
	}
	private, err := t.secret.Open(key.KeyID, key.PrivateKey)
	if err != nil {
		return nil, err
	}
	made, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: key.KeyID}},
		(&jose.SignerOptions{}).WithType(tokenType))
	if err != nil {
		return nil, err
	}
	return &signer{made, key}, nil
}

func (s *signer) sign(c claims) (Token, error) {
	text, err := jwt.Signed(s.Signer).Claims(c).Serialize()
	return Token(text), err
}

// lookToken returns how to look up a token that is good now: signed by a key that verifies, for this service, not expired, minted
// by an API key that is still live, of an enabled merchant. Anything else is Unauthenticated. What the database knows of all
// that is asked in one look-up.
func (a *Authenticator) lookToken(presented Digest, text string) (credentialLook, error) {
	refused := store.NewError(store.Unauthenticated)
	if !isCanonical(text) {
		return nil, refused
	}
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(token.Headers) != 1 || token.Headers[0].ExtraHeaders[jose.HeaderType] != tokenType {
		return nil, refused
	}
	var said claims
	if err := token.UnsafeClaimsWithoutVerification(&said); err != nil ||
		!anyID.MatchString(token.Headers[0].KeyID) || !anyID.MatchString(said.MerchantID) || !anyID.MatchString(said.ClientID) {
		return nil, refused
	}
	return func(ctx context.Context) (store.Credential, time.Duration, error) {
		return a.lookUpToken(ctx, a.cache.party(presented), token, said)
	}, nil
}

// tokenOrigin is where a token says it comes from.
type tokenOrigin struct{ signingKey, merchant, key string }

// foundToken is what the database knows of that, when it is so.
type foundToken struct {
	number
	PublicKey    []byte
	MerchantName string
	Now          time.Time
}

func newTokenGatherer(l *lookUps) *gatherer[tokenOrigin, foundToken] {
	const statement = `SELECT q.number, a.public_key, a.merchant_name, a.now
		FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[])) WITH ORDINALITY AS q (signing_key, merchant, key, number),
			public.lumen_authenticate_token(q.signing_key, q.merchant, q.key) AS a`
	return newGatherer[tokenOrigin, foundToken](l, statement, func(origins []tokenOrigin) []any {
		signingKeys, merchants, keys := make([]string, len(origins)), make([]string, len(origins)), make([]string, len(origins))
		for i, o := range origins {
			signingKeys[i], merchants[i], keys[i] = o.signingKey, o.merchant, o.key
		}
		return []any{signingKeys, merchants, keys}
	})
}

// lookUpToken returns the credential of a token that says this of itself, and how long it is until the token expires.
func (a *Authenticator) lookUpToken(ctx context.Context, party string, token *jwt.JSONWebToken, said claims) (store.Credential, time.Duration, error) {
	refused := store.NewError(store.Unauthenticated)
	found, err := a.tokens.ask(ctx, party, tokenOrigin{token.Headers[0].KeyID, said.MerchantID, said.ClientID})
	if err != nil {
		return store.Credential{}, 0, err
	}
	if len(found) != 1 {
		return store.Credential{}, 0, refused
	}
	// From here on the claims are what we signed, or the token is refused.
	if err := token.Claims(ed25519.PublicKey(found[0].PublicKey), &said); err != nil || !said.good(a.audience, found[0].Now) {
		return store.Credential{}, 0, refused
	}
	credential := store.Credential{
		KeyID: said.ClientID, TokenID: said.ID, Access: store.ReadAccess,
		Merchant: store.Merchant{ID: said.MerchantID, Name: found[0].MerchantName},
	}
	if said.Scope == scopes[store.WriteAccess] {
		credential.Access = store.WriteAccess
	}
	if said.CustomerID != nil {
		credential.CustomerID = *said.CustomerID
	}
	return credential, said.Expiry.Time().Sub(found[0].Now), nil
}

// good reports whether the claims are those of a token for this service that has not expired. A token without an id would
// be taken for an API key.
func (c claims) good(audience string, now time.Time) bool {
	subject := c.MerchantID
	if c.CustomerID != nil {
		subject = *c.CustomerID
	}
	return c.Issuer == tokenIssuer && len(c.Audience) == 1 && c.Audience[0] == audience && c.ID != "" && c.Subject == subject &&
		c.IssuedAt != nil && c.Expiry != nil && now.Before(c.Expiry.Time()) && *c.Expiry-*c.IssuedAt <= MaxTokenLifetime &&
		(c.Scope == scopes[store.ReadAccess] || c.Scope == scopes[store.WriteAccess]) &&
		(c.CustomerID == nil || store.IsCustomerID(*c.CustomerID))
}

// isCanonical reports whether every part of the token is the one base64url text of its bytes: there are no two texts of
// one token.
func isCanonical(text string) bool {
	for part := range strings.SplitSeq(text, ".") {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(decoded) != part {
			return false
		}
	}
	return true
}

// anyID is the form of every id, and one that Postgres can read.
var anyID = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)
