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

// AccessToken is what was minted. It is stored nowhere.
type AccessToken struct {
	Token      Token
	Access     store.Access
	CustomerID *string // nil when the token is bound to no customer
	ExpiresAt  time.Time
}

// Lifetimes of access tokens, in seconds.
const (
	DefaultTokenLifetime = 900
	MaxTokenLifetime     = 3600
)

// TokenInput is what a caller asks of a token to mint. nil means the default.
type TokenInput struct {
	Access     *store.Access // read
	CustomerID *string       // none: the token is for all of the merchant's customers
	ExpiresIn  *int          // DefaultTokenLifetime

	// WrongType names the fields whose value an API could not read as their type, Unknown what it was sent besides.
	WrongType, Unknown []string
}

// TokenFieldNames are the documented names of the input's fields, in the documented order.
var TokenFieldNames = []string{"access", "customerId", "expiresIn"}

// tokenForms say what is expected of the fields: of their values, and of the types of those.
var tokenForms = map[string]struct{ value, kind string }{
	"access":     {"must be read or write", "must be a string"},
	"customerId": {"must be a customer ID", "must be a string"},
	"expiresIn":  {fmt.Sprintf("must be 1 to %d", MaxTokenLifetime), "must be a whole number"},
}

// normalize returns the input with its defaults, or all its faults. An empty customer id is a fault,
// and so is an unknown field: neither may turn a token that was meant for one customer into a token for
// all of them.
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

// Tokens mints access tokens, and tells which keys verify them.
type Tokens struct {
	queries   *queries
	secret    TokenSecret
	audience  string
	customers *store.Customers
}

// Create mints a token in the name of the API key that ctx carries. Forbidden means that the key may
// not mint. TokensNotConfigured means that the service has no token secret, or the database no key that
// signs. InvalidInput tells what is wrong with the input. NotFound means that the customer is not one of the merchant's live ones. Nothing is stored: the
// token works until it expires or, within five seconds, its API key or its signing key is revoked or the
// merchant is disabled.
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
	issued := signer.key.Now.Truncate(time.Second) // the precision of a JWT
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

// Authorize returns the error with which Create would refuse the credential, before anything is looked
// up. An API asks before it reads a body.
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
