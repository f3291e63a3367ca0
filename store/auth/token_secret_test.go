package auth

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

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

// What the database holds of a private key is of no use without the secret, and for no other key.
func TestSealedKeys(t *testing.T) {
	t.Parallel()
	secret := NewTokenSecret()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	sealed, err := secret.Seal("token_key_1", key)
	require.NoError(t, err)
	opened, err := secret.Open("token_key_1", sealed)
	require.NoError(t, err)
	require.Equal(t, key, opened)

	require.False(t, bytes.Contains(sealed, key.Seed()))
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
