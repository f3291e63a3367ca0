package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"lumen/store"
)

// ErrNoTokenKey is returned by CheckSigner when no key signs.
var ErrNoTokenKey = errors.New("there is no key to sign access tokens with")

// CheckSigner checks that the token secret opens the current signing key. It returns ErrNoTokenKey
// when there is no secret or no signing key. It also returns the errors of the database.
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

// PublicKeys returns the keys that verify tokens now, or will when they begin to sign. It omits
// keys of an algorithm that this program does not know, because it refuses their tokens. It needs
// no credential.
func (t *Tokens) PublicKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	var found []struct {
		KeyID     string
		PublicKey []byte
	}
	if err := t.queries.run(ctx, tenantUnknown, &found, `SELECT key_id, public_key FROM public.lumen_token_keys()`); err != nil {
		return nil, store.Failed("fetch token keys", err)
	}
	keys := []jose.JSONWebKey{}
	for _, row := range found {
		if key, err := publicKey(row.KeyID, row.PublicKey); err == nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// signingKey is the current signing key, encrypted.
type signingKey struct {
	KeyID      string
	PrivateKey []byte
	Now        time.Time // the database's (I5)

	// APIKeyExpiresAt is when the API key of the context expires, or nil.
	APIKeyExpiresAt *time.Time
}

// signingKey returns the current signing key, or nil when there is none.
func (t *Tokens) signingKey(ctx context.Context) (*signingKey, error) {
	const statement = `SELECT key_id, private_key, now, api_key_expires_at FROM public.lumen_token_signer($1, $2)`
	credential, _ := store.CredentialFrom(ctx)
	var keys []signingKey
	if err := t.queries.run(ctx, tenantKnown, &keys, statement, credential.Merchant.ID, credential.KeyID); err != nil || len(keys) == 0 {
		return nil, err
	}
	return &keys[0], nil
}

// signer signs tokens with one key.
type signer struct {
	jose.Signer
	key       *signingKey
	algorithm Algorithm
}

// signer returns a signer with the current signing key, or nil when there is no key.
func (t *Tokens) signer(ctx context.Context) (*signer, error) {
	key, err := t.signingKey(ctx)
	if err != nil || key == nil {
		return nil, err
	}
	private, err := t.secret.Open(key.KeyID, key.PrivateKey)
	if err != nil {
		return nil, err
	}
	algorithm := algorithmOf(private)
	made, err := jose.NewSigner(
		jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: private, KeyID: key.KeyID}},
		(&jose.SignerOptions{}).WithType(tokenType))
	if err != nil {
		return nil, err
	}
	return &signer{made, key, algorithm}, nil
}

// sign returns a signed token. Half of all ES256 signatures have a large s, which fetchToken
// refuses, so sign repeats them until s is small.
func (s *signer) sign(c claims) (Token, error) {
	for {
		text, err := jwt.Signed(s.Signer).Claims(c).Serialize()
		if err != nil || s.algorithm != ES256 || hasLowS(text) {
			return Token(text), err
		}
	}
}
