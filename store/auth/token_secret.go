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

// TokenSecret seals the private keys that sign access tokens. The database never sees it.
type TokenSecret []byte

// tokenSecretSize is that of a key of AES-256, in bytes.
const tokenSecretSize = 32

// NewTokenSecret returns a fresh secret.
func NewTokenSecret() TokenSecret {
	secret := make(TokenSecret, tokenSecretSize)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	return secret
}

// ParseTokenSecret reads what Text writes: the base64 of 32 bytes. Its error never repeats the text.
func ParseTokenSecret(text string) (TokenSecret, error) {
	secret, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(secret) != tokenSecretSize {
		return nil, fmt.Errorf("not the base64 of %d bytes; make one with: openssl rand -base64 32", tokenSecretSize)
	}
	return secret, nil
}

// Text returns the secret in base64, for who means to keep it.
func (s TokenSecret) Text() string { return base64.StdEncoding.EncodeToString(s) }

// String hides the secret, so that no log can hold it by accident.
func (s TokenSecret) String() string { return "***" }

// GoString hides the secret from %#v.
func (s TokenSecret) GoString() string { return s.String() }

// LogValue hides the secret from slog.
func (s TokenSecret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from JSON.
func (s TokenSecret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Seal returns the private key as it is stored: a nonce, then the key under AES-256-GCM. The key's id is authenticated
// with it, so that no key can take another's place.
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

// Open undoes Seal.
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
