package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"lumen/store"
)

// AccessToken is a minted token. It is not stored.
type AccessToken struct {
	Token      Token
	Access     store.Access
	CustomerID *string // nil when the token is not bound to a customer
	ExpiresAt  time.Time
}

// Lifetimes of access tokens, in seconds.
const (
	DefaultTokenLifetime = 900
	MaxTokenLifetime     = 3600
)

// TokenInput describes a token to mint. A nil field has the default.
type TokenInput struct {
	Access     *store.Access // default: read
	CustomerID *string       // default: all of the merchant's customers
	ExpiresIn  *int          // default: DefaultTokenLifetime

	// WrongType names the fields whose value has the wrong type. Unknown names the fields that do
	// not exist.
	WrongType, Unknown []string
}

// TokenFieldNames are the names of the input's fields, in the documented order.
var TokenFieldNames = []string{"access", "customerId", "expiresIn"}

// tokenForms describes the expected value and the expected type of each field.
var tokenForms = map[string]struct{ value, kind string }{
	"access":     {"must be read or write", "must be a string"},
	"customerId": {"must be a customer ID", "must be a string"},
	"expiresIn":  {fmt.Sprintf("must be 1 to %d", MaxTokenLifetime), "must be a whole number"},
}

// normalize returns the input with its defaults, or all of its faults. An empty customer ID and an
// unknown field are faults. Neither may turn a token for one customer into a token for all
// customers.
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
			faults = append(faults, store.NewFault(name, store.InvalidFormat, tokenForms[name].value))
		case slices.Contains(in.WrongType, name):
			faults = append(faults, store.NewFault(name, store.WrongType, tokenForms[name].kind))
		}
	}
	for _, name := range in.Unknown {
		faults = append(faults, store.NewFault(name, store.InvalidFormat, "is not a field of an access token"))
	}
	return in, store.Invalid(faults...)
}

// Tokens mints access tokens and returns the keys that verify them.
type Tokens struct {
	queries   *queries
	secret    TokenSecret
	audience  string
	customers *store.Customers
}

// Create mints a token for the API key in ctx. It returns Forbidden when the key may not mint
// tokens, TokensNotConfigured when there is no token secret or no signing key, InvalidInput for a
// faulty input, and NotFound when the merchant has no such live customer. The token is not stored.
// It works until it expires and stops within five seconds when its API key or its signing key is
// revoked or the merchant is disabled.
func (t *Tokens) Create(ctx context.Context, in TokenInput) (*AccessToken, error) {
	if err := t.Authorize(ctx); err != nil {
		return nil, err
	}
	signer, err := t.signer(ctx)
	if err != nil {
		return nil, store.Failed("create access token", err)
	}
	if signer == nil {
		return nil, store.NewError(store.TokensNotConfigured)
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
	issued := signer.key.Now.Truncate(time.Second) // JWTs count in seconds
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

// Authorize returns the error that Create returns for the credential without any query. An API
// calls it before it reads a request body.
func (t *Tokens) Authorize(ctx context.Context) error {
	credential, ok := store.CredentialFrom(ctx)
	switch {
	case !ok:
		return store.NewError(store.Unauthenticated)
	case credential.Access != store.WriteAccess || credential.TokenID != "":
		return store.NewError(store.Forbidden)
	case len(t.secret) == 0:
		return store.NewError(store.TokensNotConfigured)
	}
	return nil
}
