package auth_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/storetest"
)

// TestTokenKeyRotation follows signing keys through their states. To let time pass, it moves their
// times into the past.
func TestTokenKeyRotation(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	operator, secret := db.Owner(t), auth.NewTokenSecret()
	s := openWith(t, db, secret)
	m := db.Merchant(t, "Acme")
	ctx := db.Context(t, m)

	pass := func(minutes int) {
		t.Helper()
		alter(t, db, fmt.Sprintf("UPDATE token_keys SET signs_from = signs_from - span, created_at = created_at - span, revoked_at = revoked_at - span FROM (SELECT interval '%d minutes' AS span) AS passed", minutes))
	}
	// published returns the numbers of the keys that the public keys hold.
	var all []owner.TokenKey
	published := func() string {
		t.Helper()
		keys, err := s.Tokens.PublicKeys(t.Context())
		require.NoError(t, err)
		numbers := ""
		for _, key := range keys {
			for i := range all {
				if all[i].ID == key.KeyID {
					require.Equal(t, string(all[i].Algorithm), key.Algorithm)
					numbers += fmt.Sprint(i + 1)
				}
			}
		}
		return numbers
	}
	states := func() string {
		t.Helper()
		keys, err := operator.TokenKeys.List(t.Context())
		require.NoError(t, err)
		byID := map[string]owner.TokenKeyState{}
		for _, key := range keys {
			byID[key.ID] = key.State
		}
		var states []string
		for _, key := range all {
			states = append(states, string(byID[key.ID]))
		}
		return strings.Join(states, " ")
	}
	rotate := func() { // alternates the algorithms
		t.Helper()
		algorithm := algorithms[len(all)%len(algorithms)]
		key, err := operator.TokenKeys.Rotate(t.Context(), secret, algorithm)
		require.NoError(t, err)
		require.Equal(t, algorithm, key.Algorithm)
		all = append(all, key)
	}
	// signed mints a token and returns it with the ID of the key that signed it.
	signed := func() (auth.Secret, string) {
		t.Helper()
		token := mint(t, ctx, s, auth.TokenInput{ExpiresIn: new(3600)}).Token
		return auth.Secret(token), part(t, token, 0)["kid"].(string)
	}
	good := func(token auth.Secret) bool {
		s.Authenticator.Forget()
		_, code := authenticate(t, s, token)
		return code == ""
	}

	require.ErrorIs(t, s.Tokens.CheckSigner(t.Context()), auth.ErrNoTokenKey)
	require.ErrorIs(t, db.Auth(t).Tokens.CheckSigner(t.Context()), auth.ErrNoTokenKey)
	for name, unable := range map[string]*auth.Auth{"no signing key": s, "no token secret": db.Auth(t)} {
		_, err := unable.Tokens.Create(ctx, auth.TokenInput{ExpiresIn: new(0)})
		require.Equal(t, store.NewError(store.TokensNotConfigured), err, name)
		_, err = unable.Tokens.Create(db.ReadContext(t, m), auth.TokenInput{})
		require.Equal(t, store.Forbidden, store.AsError(err).Code, "%s, and a read key", name)
	}
	require.Empty(t, published())

	rotate()
	require.Equal(t, "signing", states(), "the first signs at once")
	require.Equal(t, all[0].CreatedAt, all[0].SignsFrom)
	require.NoError(t, s.Tokens.CheckSigner(t.Context()))
	first, by := signed()
	require.Equal(t, all[0].ID, by)

	rotate()
	require.Equal(t, "signing waiting", states())
	require.Equal(t, all[1].CreatedAt.Add(5*time.Minute), all[1].SignsFrom)
	require.Equal(t, "12", published(), "a key is published before it signs")
	_, by = signed()
	require.Equal(t, all[0].ID, by)
	pass(4)
	require.Equal(t, "signing waiting", states())
	pass(1)
	require.Equal(t, "verifying signing", states())
	second, by := signed()
	require.Equal(t, all[1].ID, by)
	require.True(t, good(first), "no token is cut off")
	pass(64)
	require.Equal(t, "verifying signing", states())
	require.True(t, good(first))
	require.Equal(t, "12", published())
	pass(1)
	require.Equal(t, "retired signing", states())
	require.Equal(t, "2", published())
	require.False(t, good(first), "it has expired long ago, in this story")
	require.True(t, good(second))

	// Two rotations in a row: each key verifies until its own successor has signed long enough.
	rotate()
	rotate()
	require.Equal(t, "retired signing waiting waiting", states())
	pass(6)
	require.Equal(t, "retired verifying verifying signing", states())
	require.Equal(t, "234", published())

	leaked, by := signed()
	require.Equal(t, all[3].ID, by)
	revoked, err := operator.TokenKeys.Revoke(t.Context(), all[3].ID)
	require.NoError(t, err)
	require.Equal(t, owner.TokenKeyRevoked, revoked.State)
	require.False(t, good(leaked))
	require.True(t, good(second))
	require.Equal(t, "retired verifying signing revoked", states(), "the one before signs again")
	require.Equal(t, "23", published())
	again, err := operator.TokenKeys.Revoke(t.Context(), all[3].ID)
	require.NoError(t, err)
	require.Equal(t, revoked, again)
	_, err = operator.TokenKeys.Revoke(t.Context(), "token_key_none")
	require.EqualError(t, err, `there is no token key "token_key_none"`)

	// A revoked successor does not count, so the key verifies however long that takes.
	pass(70)
	require.Equal(t, "retired retired signing revoked", states())
	require.Equal(t, "3", published())
	late, by := signed()
	require.Equal(t, all[2].ID, by)
	require.True(t, good(late))

	// No key signs: the next key signs at once, although another one waits.
	rotate()
	for _, key := range all[:3] {
		_, err := operator.TokenKeys.Revoke(t.Context(), key.ID)
		require.NoError(t, err)
	}
	require.Equal(t, "revoked revoked revoked revoked waiting", states())
	require.ErrorIs(t, s.Tokens.CheckSigner(t.Context()), auth.ErrNoTokenKey)
	rotate()
	require.Equal(t, "revoked revoked revoked revoked waiting signing", states())

	// A retired key stays retired, even when its successor is revoked.
	pass(71)
	require.Equal(t, "revoked revoked revoked revoked signing retired", states())
	_, err = operator.TokenKeys.Revoke(t.Context(), all[4].ID)
	require.NoError(t, err)
	require.Equal(t, "revoked revoked revoked revoked revoked retired", states())
	require.ErrorIs(t, s.Tokens.CheckSigner(t.Context()), auth.ErrNoTokenKey)
	require.Empty(t, published())
}

// Of two concurrent rotations with different secrets, at most one succeeds.
func TestRotationsAtOnce(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	operator := db.Owner(t)
	results := make(chan error, 8)
	for range cap(results) {
		go func() {
			_, err := operator.TokenKeys.Rotate(t.Context(), auth.NewTokenSecret(), auth.EdDSA)
			results <- err
		}()
	}
	succeeded := 0
	for range cap(results) {
		if err := <-results; err == nil {
			succeeded++
		} else {
			require.ErrorContains(t, err, "the token secret does not open signing key")
		}
	}
	require.Equal(t, 1, succeeded)
	keys, err := operator.TokenKeys.List(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1)

	// The key that waits counts as well.
	db2 := storetest.New(t)
	second, secret := db2.Owner(t), auth.NewTokenSecret()
	first, err := second.TokenKeys.Rotate(t.Context(), secret, auth.ES256)
	require.NoError(t, err)
	_, err = second.TokenKeys.Rotate(t.Context(), secret, auth.ES256)
	require.NoError(t, err)
	_, err = second.TokenKeys.Revoke(t.Context(), first.ID)
	require.NoError(t, err)
	_, err = second.TokenKeys.Rotate(t.Context(), auth.NewTokenSecret(), auth.EdDSA)
	require.ErrorContains(t, err, "the token secret does not open signing key")
}

// A token does not outlive the API key that minted it, nor say that it does; and what a demo key
// mints is for development servers alone.
func TestTokensKnowTheirKeys(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, secret, _ := minting(t, db)
	m, operator := db.Merchant(t, "Acme"), db.Owner(t)
	authenticated := func(s *auth.Auth, text auth.Secret) (context.Context, error) {
		credential, err := s.Authenticator.Authenticate(t.Context(), text)
		return store.WithCredential(t.Context(), credential), err
	}

	span, short := time.Minute, auth.NewSecret()
	key, err := operator.Keys.Create(t.Context(), owner.NewKey{MerchantID: m.ID, Access: store.WriteAccess, Secret: short, Expires: &span})
	require.NoError(t, err)
	ctx, err := authenticated(s, short)
	require.NoError(t, err)
	minted, err := s.Tokens.Create(ctx, auth.TokenInput{})
	require.NoError(t, err)
	require.Equal(t, key.ExpiresAt.Truncate(time.Second).UTC(), minted.ExpiresAt)

	demo := auth.NewDemoSecret()
	_, err = operator.Keys.Create(t.Context(), owner.NewKey{MerchantID: m.ID, Access: store.WriteAccess, Secret: demo})
	require.NoError(t, err)
	development := storetest.OpenAuth(t, storetest.Service(t, db.AppURL(), false), auth.Options{AcceptDemoKeys: true, TokenSecret: secret})
	ctx, err = authenticated(development, demo)
	require.NoError(t, err)
	minted, err = development.Tokens.Create(ctx, auth.TokenInput{})
	require.NoError(t, err)
	_, err = authenticated(development, auth.Secret(minted.Token))
	require.NoError(t, err)
	_, err = authenticated(s, auth.Secret(minted.Token))
	require.Equal(t, store.Unauthenticated, store.AsError(err).Code)
}

func TestTokenKeysOfAnotherSecret(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, secret, key := minting(t, db)
	operator, ctx := db.Owner(t), db.Context(t, db.Merchant(t, "Acme"))
	other := openWith(t, db, auth.NewTokenSecret())

	require.EqualError(t, other.Tokens.CheckSigner(t.Context()), "the token secret does not open signing key "+key.ID)
	_, err := other.Tokens.Create(ctx, auth.TokenInput{})
	require.Equal(t, store.Internal, store.AsError(err).Code, "the operator has to know")
	_, err = operator.TokenKeys.Rotate(t.Context(), auth.NewTokenSecret(), auth.EdDSA)
	require.EqualError(t, err, "rotate token keys: the token secret does not open signing key "+key.ID+"; use the service's secret, or revoke that key")
	keys, err := operator.TokenKeys.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []owner.TokenKey{key}, keys)

	// A key that was stored under the ID of another signs nothing.
	second, err := operator.TokenKeys.Rotate(t.Context(), secret, auth.ES256)
	require.NoError(t, err)
	alter(t, db, "UPDATE token_keys SET private_key = (SELECT private_key FROM token_keys WHERE id = '"+second.ID+"') WHERE id = '"+key.ID+"'")
	require.Error(t, s.Tokens.CheckSigner(t.Context()))
	_, err = s.Tokens.Create(ctx, auth.TokenInput{})
	require.Equal(t, store.Internal, store.AsError(err).Code)

	_, err = operator.TokenKeys.Revoke(t.Context(), key.ID)
	require.NoError(t, err)
	_, err = operator.TokenKeys.Revoke(t.Context(), second.ID)
	require.NoError(t, err)
	fresh := auth.NewTokenSecret()
	_, err = operator.TokenKeys.Rotate(t.Context(), fresh, auth.ES256)
	require.NoError(t, err)
	require.NoError(t, openWith(t, db, fresh).Tokens.CheckSigner(t.Context()))

	var stored []byte
	require.NoError(t, db.Superuser().QueryRow(t.Context(), "SELECT string_agg(private_key || public_key || id::bytea, ''::bytea) FROM token_keys").Scan(&stored))
	require.Greater(t, len(stored), 3*90)
	require.False(t, bytes.Contains(stored, secret) || bytes.Contains(stored, fresh))
}
