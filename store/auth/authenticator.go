package auth

import (
	"context"
	"strings"
	"time"

	"lumen/store"
)

// Authenticator turns a presented secret into a credential. It works with the plain role, which cannot read the keys:
// functions of the owner's look one up.
type Authenticator struct {
	lookUps    *lookUps
	keys       *gatherer[Digest, foundKey]
	tokens     *gatherer[tokenOrigin, foundToken]
	cache      *credentialCache
	acceptDemo bool
	audience   string // of access tokens
}

// Authenticate returns the credential of a live secret: an API key that is known, not expired, not revoked, of an enabled
// merchant, or an access token that such a key minted. That it was so half a second ago is enough, except that no token
// outlives its expiry. Anything else is Unauthenticated, indistinguishably; Unavailable when it could not be looked up.
func (a *Authenticator) Authenticate(ctx context.Context, secret Secret) (store.Credential, error) {
	found, err := a.authenticate(ctx, secret)
	if err != nil {
		return store.Credential{}, err
	}
	return found.Credential, nil
}

func (a *Authenticator) authenticate(ctx context.Context, secret Secret) (*keptCredential, error) {
	if len(secret) > maxTokenLength {
		return nil, store.NewError(store.Unauthenticated)
	}
	// What was kept was presented byte for byte, so it has the form that the rest insists on.
	presented := secret.Digest()
	kept, ages, ok := a.cache.get(presented)
	if ok && !ages {
		return kept, nil
	}
	look, err := a.look(presented, secret)
	switch {
	case err != nil:
		return nil, err
	case ok:
		a.cache.renew(ctx, presented, look)
		return kept, nil
	default:
		return a.cache.lookUp(ctx, presented, look)
	}
}

// Recheck returns a function that asks whether an authenticated secret is still good. The function returns nil while it
// is. Where the database can't be asked, it returns nil as long as the last good answer may still be used.
func (a *Authenticator) Recheck(secret Secret) func(context.Context) error {
	var until time.Time
	return func(ctx context.Context) error {
		found, err := a.authenticate(ctx, secret)
		switch {
		case err == nil:
			until = found.until
		case store.AsError(err).Code == store.Unavailable && time.Now().Before(until):
			return nil
		}
		return err
	}
}

// look returns how to look up a secret, Unauthenticated when its form tells that it is none.
func (a *Authenticator) look(presented Digest, secret Secret) (credentialLook, error) {
	if !strings.HasPrefix(string(secret), secretPrefix) {
		return a.lookToken(presented, string(secret))
	}
	if !secret.IsWellFormed() || secret.IsDemo() && !a.acceptDemo {
		return nil, store.NewError(store.Unauthenticated)
	}
	return func(ctx context.Context) (store.Credential, time.Duration, error) {
		credential, err := a.lookUpKey(ctx, a.cache.party(presented), presented)
		return credential, credentialLifetime, err
	}, nil
}

// foundKey is what the database knows of a live key.
type foundKey struct {
	number
	KeyID        string
	Access       store.Access
	MerchantID   string
	MerchantName string
	UsedLately   bool
}

func newKeyGatherer(l *lookUps) *gatherer[Digest, foundKey] {
	const statement = `SELECT q.number, a.key_id, a.access, a.merchant_id, a.merchant_name, a.used_lately
		FROM pg_catalog.unnest($1::bytea[]) WITH ORDINALITY AS q (digest, number), public.lumen_authenticate(q.digest) AS a`
	return newGatherer[Digest, foundKey](l, statement, func(presented []Digest) []any {
		digests := make([][]byte, len(presented))
		for i := range presented {
			digests[i] = presented[i][:]
		}
		return []any{digests}
	})
}

func (a *Authenticator) lookUpKey(ctx context.Context, party string, presented Digest) (store.Credential, error) {
	found, err := a.keys.ask(ctx, party, presented)
	if err != nil {
		return store.Credential{}, err
	}
	if len(found) != 1 {
		return store.Credential{}, store.NewError(store.Unauthenticated)
	}
	key := found[0]
	if !key.UsedLately {
		// For the operator: a caller must not fail because it could not be taken, nor wait until it is on disk.
		_ = a.lookUps.note(ctx, `SELECT public.lumen_key_used($1, $2), set_config('synchronous_commit', 'off', true)`, key.MerchantID, key.KeyID)
	}
	return store.Credential{KeyID: key.KeyID, Access: key.Access, Merchant: store.Merchant{ID: key.MerchantID, Name: key.MerchantName}}, nil
}
