package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

func TestTokenSecret(t *testing.T) {
	t.Parallel()
	secret := NewTokenSecret()
	require.NotEqual(t, secret, NewTokenSecret())
	parsed, err := ParseTokenSecret(secret.Text())
	require.NoError(t, err)
	require.Equal(t, secret, parsed)

	hunter := "hunter2hunter2hunter2"
	for _, text := range []string{"", hunter, secret.Text()[1:], secret.Text() + "=", strings.Repeat("A", 44), "AAAA", strings.Repeat("A", 86) + "=="} {
		_, err := ParseTokenSecret(text)
		require.EqualError(t, err, "not the base64 of 32 bytes; make one with: openssl rand -base64 32", text)
	}

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "in", map[string]any{"secret": secret}, "token", Token(hunter), "minted", AccessToken{Token: Token(hunter)})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret, "token", Token(hunter), "minted", AccessToken{Token: Token(hunter)})
	encoded, err := json.Marshal(map[string]any{"secret": secret, "token": Token(hunter)})
	require.NoError(t, err)
	shown := log.String() + string(encoded) + fmt.Sprintf("%v %+v %#v %s %q %x", secret, secret, secret, secret, secret, secret) +
		fmt.Sprintf("%v %+v %#v %s %q", Token(hunter), AccessToken{Token: Token(hunter)}, Token(hunter), Token(hunter), Token(hunter))
	for _, text := range []string{secret.Text(), secret.Text()[:20], fmt.Sprintf("%x", []byte(secret)), fmt.Sprint([]byte(secret)), hunter} {
		require.NotContains(t, shown, text)
	}
}

// A sealed key opens only with its secret and under its ID.
func TestSealedKeys(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []Algorithm{EdDSA, ES256} {
		t.Run(string(algorithm), func(t *testing.T) { testSealedKeys(t, algorithm) })
	}
	_, _, err := NewSigningKey("HS256")
	require.EqualError(t, err, `no key signs access tokens with "HS256"`)

	// The sealed text does not contain the private key.
	secret := NewTokenSecret()
	sealer, err := secret.sealer()
	require.NoError(t, err)
	for _, size := range []int{0, 31, 33, 121} {
		_, err = secret.Open("token_key_1", sealer.Seal(nil, nil, make([]byte, size), []byte("token_key_1")))
		require.EqualError(t, err, "the token secret does not open signing key token_key_1", size)
	}
}

func testSealedKeys(t *testing.T, algorithm Algorithm) {
	secret := NewTokenSecret()
	key, public, err := NewSigningKey(algorithm)
	require.NoError(t, err)
	published, err := publicKey("token_key_1", public)
	require.NoError(t, err)
	require.Equal(t, jose.JSONWebKey{Key: key.Public(), KeyID: "token_key_1", Algorithm: string(algorithm), Use: "sig"}, published)
	sealed, err := secret.Seal("token_key_1", key)
	require.NoError(t, err)
	opened, err := secret.Open("token_key_1", sealed)
	require.NoError(t, err)
	require.Equal(t, key, opened)
	require.Equal(t, algorithm, algorithmOf(opened))

	text, err := marshalPrivate(key)
	require.NoError(t, err)
	// A program that knows only Ed25519 would take 32 bytes for a seed.
	require.Equal(t, algorithm == EdDSA, len(text) == 32)
	require.False(t, bytes.Contains(sealed, text))
	again, err := secret.Seal("token_key_1", key)
	require.NoError(t, err)
	require.NotEqual(t, sealed, again, "no nonce twice")
	refused := func(secret TokenSecret, id string, sealed []byte) {
		t.Helper()
		_, err := secret.Open(id, sealed)
		require.EqualError(t, err, "the token secret does not open signing key "+id)
	}
	refused(NewTokenSecret(), "token_key_1", sealed)
	refused(secret, "token_key_2", sealed)
	refused(secret, "token_key_1", nil)
	refused(secret, "token_key_1", sealed[:11])
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		refused(secret, "token_key_1", damaged)
	}
	_, err = TokenSecret(nil).Open("token_key_1", sealed)
	require.Error(t, err)
}
