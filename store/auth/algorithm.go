package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Algorithm is a signature algorithm of access tokens, by its name in JWS.
type Algorithm = jose.SignatureAlgorithm

// The supported algorithms. The type of a key determines its algorithm, so no request can combine a
// key with another algorithm.
const (
	EdDSA = jose.EdDSA // Ed25519 (RFC 8037)
	ES256 = jose.ES256 // P-256 with SHA-256 (RFC 7518), for verifiers that do not know EdDSA
)

// NewSigningKey returns a new private key and the stored form of its public key: 32 bytes for
// EdDSA, an uncompressed point of 65 bytes for ES256.
func NewSigningKey(algorithm Algorithm) (private crypto.Signer, public []byte, err error) {
	switch algorithm {
	case EdDSA:
		public, private, err := ed25519.GenerateKey(nil)
		return private, public, err
	case ES256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		public, err := private.PublicKey.Bytes()
		return private, public, err
	}
	return nil, nil, fmt.Errorf("no key signs access tokens with %q", algorithm)
}

// publicKey parses a stored public key. The result names the algorithm of the key.
func publicKey(id string, stored []byte) (jose.JSONWebKey, error) {
	key := jose.JSONWebKey{Key: ed25519.PublicKey(stored), KeyID: id, Algorithm: string(EdDSA), Use: "sig"}
	if len(stored) != ed25519.PublicKeySize {
		point, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), stored)
		if err != nil {
			return jose.JSONWebKey{}, err
		}
		key.Key, key.Algorithm = point, string(ES256)
	}
	return key, nil
}

// marshalPrivate returns the form of a private key that Seal encrypts: the seed of an Ed25519 key,
// or the SEC 1 form of a P-256 key. The bare P-256 scalar would have the size of a seed. A server
// without ES256 would sign with it, and this program could not tell the two apart.
func marshalPrivate(key crypto.Signer) ([]byte, error) {
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return key.Seed(), nil
	case *ecdsa.PrivateKey:
		return x509.MarshalECPrivateKey(key)
	}
	return nil, fmt.Errorf("no access token is signed by a %T", key)
}

// parsePrivate parses what marshalPrivate returned.
func parsePrivate(text []byte) (crypto.Signer, error) {
	if len(text) == ed25519.SeedSize {
		return ed25519.NewKeyFromSeed(text), nil
	}
	key, err := x509.ParseECPrivateKey(text)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// algorithmOf returns the algorithm of a private key.
func algorithmOf(key crypto.Signer) Algorithm {
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		return ES256
	}
	return EdDSA
}

// halfOrder is half of the order of P-256.
var halfOrder = new(big.Int).Rsh(elliptic.P256().Params().N, 1).Bytes()

// hasLowS reports whether s is the smaller of the two values with which an ES256 signature
// verifies. Anybody can compute the larger value and so make a second text of the same token.
func hasLowS(token string) bool {
	signature, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	return err == nil && len(signature) == 64 && bytes.Compare(signature[32:], halfOrder) <= 0
}
