package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// Access is what a credential may do.
type Access string

// The kinds of access.
const (
	ReadAccess  Access = "read"
	WriteAccess Access = "write"
)

// Credential is what an authenticated caller holds: a merchant, and what may be done in its name.
type Credential struct {
	KeyID    string // of the API key, or of the one that minted the access token
	Access   Access
	Merchant Merchant

	// TokenID is the id of the access token; "" when the caller holds an API key.
	TokenID string
	// CustomerID is the one customer that the access token is bound to; "" when it is bound to none.
	CustomerID string
}

// Merchant is a tenant: it owns customers, and nothing of it is visible to another.
type Merchant struct {
	bun.BaseModel `bun:"table:merchants,alias:m"`

	ID         string     `bun:"id,pk" json:"id"`
	Name       string     `bun:"name" json:"name"`
	CreatedAt  time.Time  `bun:"created_at" json:"createdAt"`
	DisabledAt *time.Time `bun:"disabled_at" json:"disabledAt"`
}

// isBound reports whether the credential is that of a token bound to one customer, which then owns all rows
// that the caller may see.
func (c Credential) isBound() bool { return c.CustomerID != "" }

type credentialKey struct{}

// WithCredential returns a context in which the store works for the credential's merchant. It is the one place where
// a merchant enters a context (I1); only authentication calls it.
func WithCredential(ctx context.Context, credential Credential) context.Context {
	return context.WithValue(ctx, credentialKey{}, credential)
}

// CredentialFrom returns the credential that the context carries.
func CredentialFrom(ctx context.Context) (Credential, bool) {
	credential, ok := ctx.Value(credentialKey{}).(Credential)
	return credential, ok
}

type recheckKey struct{}

// WithRecheck returns a context in which long work, such as sending a list, asks again whether its credential is still
// good. recheck returns nil while it is.
func WithRecheck(ctx context.Context, recheck func(context.Context) error) context.Context {
	return context.WithValue(ctx, recheckKey{}, recheck)
}

// recheck returns nil while the credential of ctx is good, or when nobody said how to ask.
func recheck(ctx context.Context) error {
	if ask, ok := ctx.Value(recheckKey{}).(func(context.Context) error); ok {
		return ask(ctx)
	}
	return nil
}

// Operation is what a credential may be asked for.
type Operation string

// The operations. Reading by id is open to every credential: the scope decides which rows there are.
const (
	ToList   Operation = "list"
	ToCreate Operation = "create"
	ToUpdate Operation = "update"
	ToDelete Operation = "delete"
)

// writes reports whether the operation needs a credential with write access.
func (o Operation) writes() bool { return o != ToList }

// scopeFrom is how the merchant leaves the context, with the customer that the caller is bound to: for the scope's
// predicates and for the wall's settings. Both are "" without a credential, the customer also when it is bound to none.
func scopeFrom(ctx context.Context) (merchant, customer string) {
	credential, _ := CredentialFrom(ctx)
	return credential.Merchant.ID, credential.CustomerID
}
