package auth

import (
	"context"
	"strings"
	"time"

	"lumen/store"
)

// Authenticator turns a presented secret into a credential.
type Authenticator struct {
	queries    *queries
	cache      *cache
	acceptDemo bool
	audience   string // of access tokens
}

// Authenticate returns the credential of a valid secret: an API key that exists, has not expired,
// is not revoked and belongs to an enabled merchant, or an access token that such a key minted. The
// answer may be five seconds old, but no token works after its expiry. For any other secret it
// returns Unauthenticated, whatever the reason. It returns Unavailable when the secret could not be
// looked up.
func (a *Authenticator) Authenticate(ctx context.Context, secret Secret) (store.Credential, error) {
	found, err := a.authenticate(ctx, secret)
	if err != nil {
		return store.Credential{}, err
	}
	return found.Credential, nil
}

func (a *Authenticator) authenticate(ctx context.Context, secret Secret) (*entry, error) {
	if len(secret) > maxTokenLength {
		return nil, store.NewError(store.Unauthenticated)
	}
	// The digest of a cached credential covers every byte, so its form was checked when it was
	// cached.
	digest := secret.Digest()
	return a.cache.get(ctx, digest, func() (fetch, error) { return a.fetch(digest, secret) })
}

// Recheck returns a function that checks whether an authenticated secret is still valid. The
// function returns nil while it is. When the database does not answer, it returns nil until the
// last answer is too old.
func (a *Authenticator) Recheck(secret Secret) func(context.Context) error {
	var validUntil time.Time
	return func(ctx context.Context) error {
		found, err := a.authenticate(ctx, secret)
		switch {
		case err == nil:
			validUntil = found.validUntil
		case store.AsError(err).Code == store.Unavailable && time.Now().Before(validUntil):
			return nil
		}
		return err
	}
}

// fetch returns the function that looks up a secret, or Unauthenticated when the form of the secret
// is wrong.
func (a *Authenticator) fetch(digest Digest, secret Secret) (fetch, error) {
	if !strings.HasPrefix(string(secret), secretPrefix) {
		return a.fetchToken(digest, string(secret))
	}
	if !secret.IsWellFormed() || secret.IsDemo() && !a.acceptDemo {
		return nil, store.NewError(store.Unauthenticated)
	}
	return func(ctx context.Context) (store.Credential, time.Duration, error) {
		credential, err := a.findKey(ctx, digest)
		return credential, credentialLifetime, err
	}, nil
}

// foundKey is the result of looking up a valid key.
type foundKey struct {
	KeyID        string
	KeyName      *string
	Access       store.Access
	MerchantID   string
	MerchantName string
	UsedLately   bool
}

// findKey looks up a key by the digest of its secret.
func (a *Authenticator) findKey(ctx context.Context, digest Digest) (store.Credential, error) {
	const statement = `SELECT key_id, key_name, access, merchant_id, merchant_name, used_lately FROM public.lumen_authenticate($1)`
	var found []foundKey
	if err := a.queries.run(ctx, a.cache.tenant(digest), &found, statement, digest[:]); err != nil {
		return store.Credential{}, store.Outage(err)
	}
	if len(found) != 1 {
		return store.Credential{}, store.NewError(store.Unauthenticated)
	}
	key := found[0]
	if !key.UsedLately {
		a.recordUse(ctx, key)
	}
	credential := store.Credential{
		KeyID: key.KeyID, Access: key.Access, Merchant: store.Merchant{ID: key.MerchantID, Name: key.MerchantName},
	}
	if key.KeyName != nil {
		credential.KeyName = *key.KeyName
	}
	return credential, nil
}

// recordUse records when a key was last used, for the operator. The request does not fail when this
// fails and does not wait until the record is on disk.
func (a *Authenticator) recordUse(ctx context.Context, key foundKey) {
	const statement = `SELECT public.lumen_key_used($1, $2), set_config('synchronous_commit', 'off', true)`
	_ = a.queries.execAsync(ctx, statement, key.MerchantID, key.KeyID)
}
