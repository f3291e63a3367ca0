package auth

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
)

// TokenSecret encrypts the private keys that sign access tokens. It is never sent to the database.
type TokenSecret []byte

// tokenSecretSize is the size of an AES-256 key, in bytes.
const tokenSecretSize = 32

// NewTokenSecret returns a new random secret.
func NewTokenSecret() TokenSecret {
	secret := make(TokenSecret, tokenSecretSize)
	_, _ = rand.Read(secret) // never returns an error
	return secret
}

// ParseTokenSecret parses the result of Text: 32 bytes in base64. Its error never contains the
// text.
func ParseTokenSecret(text string) (TokenSecret, error) {
	secret, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(secret) != tokenSecretSize {
		return nil, fmt.Errorf("not the base64 of %d bytes; make one with: openssl rand -base64 32", tokenSecretSize)
	}
	return secret, nil
}

// Text returns the secret in base64, for code that stores it.
func (s TokenSecret) Text() string { return base64.StdEncoding.EncodeToString(s) }

// String hides the secret, so that no log contains it by accident.
func (s TokenSecret) String() string { return "***" }

// GoString hides the secret from %#v.
func (s TokenSecret) GoString() string { return s.String() }

// LogValue hides the secret from slog.
func (s TokenSecret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from JSON.
func (s TokenSecret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Seal encrypts a private key for storage: a nonce followed by the key under AES-256-GCM. It
// authenticates the key's ID as well, so that a stored key cannot be put in the place of another.
func (s TokenSecret) Seal(id string, key crypto.Signer) ([]byte, error) {
	sealer, err := s.sealer()
	if err != nil {
		return nil, err
	}
	text, err := marshalPrivate(key)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(nil, nil, text, []byte(id)), nil
}

// Open decrypts what Seal returned.
func (s TokenSecret) Open(id string, sealed []byte) (crypto.Signer, error) {
	sealer, err := s.sealer()
	if err != nil {
		return nil, err
	}
	if text, err := sealer.Open(nil, nil, sealed, []byte(id)); err == nil {
		if key, err := parsePrivate(text); err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("the token secret does not open signing key %s", id)
}

func (s TokenSecret) sealer() (cipher.AEAD, error) {
	block, err := aes.NewCipher(s)
	if err != nil {
		return nil, errors.New("there is no token secret")
	}
	return cipher.NewGCMWithRandomNonce(block)
}
