package store

import "context"

// Access is what a credential may do.
type Access string

// The kinds of access.
const (
	ReadAccess  Access = "read"
	WriteAccess Access = "write"
)

// Credential is what an authenticated caller holds: a merchant, and what may be done in its name.
type Credential struct {
	KeyID    string
	Access   Access
	Merchant Merchant
}

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

// RequireWrite returns Unauthenticated without a credential and Forbidden when it may only read. The store asks before
// every write; doors may ask earlier, to answer before they read a body.
func RequireWrite(ctx context.Context) error {
	credential, ok := CredentialFrom(ctx)
	switch {
	case !ok:
		return NewError(Unauthenticated)
	case credential.Access != WriteAccess:
		return NewError(Forbidden)
	}
	return nil
}

// merchantFrom is how the merchant leaves the context: for the scope's predicates and for the wall's setting.
func merchantFrom(ctx context.Context) (string, bool) {
	credential, ok := CredentialFrom(ctx)
	return credential.Merchant.ID, ok && credential.Merchant.ID != ""
}
