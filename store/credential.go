package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// Access is the kind of access that a credential gives.
type Access string

// The kinds of access.
const (
	ReadAccess  Access = "read"
	WriteAccess Access = "write"
)

// Credential identifies an authenticated caller: the merchant, and what the caller may do.
type Credential struct {
	KeyID    string // the API key, or the one that minted the access token
	KeyName  string // "" if the key has no name
	Access   Access
	Merchant Merchant

	// TokenID is the id of the access token, or "" if the caller uses an API key.
	TokenID string
	// CustomerID is the one customer that the access token is bound to, or "" if it is not bound.
	CustomerID string
}

// Merchant is a tenant: it owns customers that no other merchant can see.
type Merchant struct {
	bun.BaseModel `bun:"table:merchants,alias:m"`

	ID         string     `bun:"id,pk" json:"id"`
	Name       string     `bun:"name" json:"name"`
	CreatedAt  time.Time  `bun:"created_at" json:"createdAt"`
	DisabledAt *time.Time `bun:"disabled_at" json:"disabledAt"`
}

// isBound reports whether the credential is an access token that is bound to one customer. Such a
// caller sees only rows that the customer owns.
func (c Credential) isBound() bool { return c.CustomerID != "" }

type credentialKey struct{}

// WithCredential returns a context in which the store works for the credential's merchant. Only
// authentication calls it, so a merchant enters a context in one place (I1).
func WithCredential(ctx context.Context, credential Credential) context.Context {
	return context.WithValue(ctx, credentialKey{}, credential)
}

// CredentialFrom returns the credential in the context, and whether there is one.
func CredentialFrom(ctx context.Context) (Credential, bool) {
	credential, ok := ctx.Value(credentialKey{}).(Credential)
	return credential, ok
}

type recheckKey struct{}

// WithRecheck returns a context for long work, such as sending a list. The work calls recheck
// between its steps to learn whether its credential is still good. recheck returns nil if it is.
func WithRecheck(ctx context.Context, recheck func(context.Context) error) context.Context {
	return context.WithValue(ctx, recheckKey{}, recheck)
}

// recheck returns nil if the credential of ctx is still good, or if ctx holds no recheck function.
func recheck(ctx context.Context) error {
	if ask, ok := ctx.Value(recheckKey{}).(func(context.Context) error); ok {
		return ask(ctx)
	}
	return nil
}

// Operation is an operation that a credential may be allowed.
type Operation string

// The operations. Reading by id needs no permission: the scope decides which rows the caller sees.
const (
	ToList   Operation = "list"
	ToCreate Operation = "create"
	ToUpdate Operation = "update"
	ToDelete Operation = "delete"
	ToFollow Operation = "follow" // to read the log of changes
)

// writes reports whether the operation needs a credential with write access.
func (o Operation) writes() bool { return o != ToList && o != ToFollow }

// scopeFrom returns the merchant in the context and the customer that the caller is bound to. Both
// are "" without a credential, and the customer is "" for a caller who is not bound. It is the one
// place where the merchant leaves the context (I1), for the predicates of the scope and for the
// settings of package wall.
func scopeFrom(ctx context.Context) (merchant, customer string) {
	credential, _ := CredentialFrom(ctx)
	return credential.Merchant.ID, credential.CustomerID
}
