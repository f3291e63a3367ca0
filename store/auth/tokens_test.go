package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
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

// minting is a store that can mint, with its first signing key.
func minting(t testing.TB, db *storetest.Database) (*auth.Auth, auth.TokenSecret, owner.TokenKey) {
	t.Helper()
	secret := auth.NewTokenSecret()
	key, err := db.Owner(t).TokenKeys.Rotate(t.Context(), secret)
	require.NoError(t, err)
	return openWith(t, db, secret), secret, key
}

func openWith(t testing.TB, db *storetest.Database, secret auth.TokenSecret) *auth.Auth {
	t.Helper()
	s := storetest.OpenAuth(t, storetest.Service(t, db.AppURL(), false), auth.Options{TokenSecret: secret})
	return s
}

// part decodes the header (0) or the claims (1) of a token.
func part(t *testing.T, token auth.Token, n int) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(string(token), ".")[n])
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(text, &members))
	return members
}

func mint(t testing.TB, ctx context.Context, s *auth.Auth, in auth.TokenInput) *auth.AccessToken {
	t.Helper()
	minted, err := s.Tokens.Create(ctx, in)
	require.NoError(t, err)
	return minted
}

func TestAccessTokens(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, _, key := minting(t, db)
	m := db.Merchant(t, "Acme")
	ctx := db.Context(t, m)
	credential, _ := store.CredentialFrom(ctx)
	customer, err := db.Store(t).Customers.Create(ctx, store.CustomerInput{Email: store.Set("a@example.com")})
	require.NoError(t, err)

	for name, c := range map[string]struct {
		in       auth.TokenInput
		subject  string
		scope    string
		lifetime int
	}{
		"what it is by default":  {auth.TokenInput{}, m.ID, "read", 900},
		"read access":            {auth.TokenInput{Access: new(store.ReadAccess), ExpiresIn: new(3600)}, m.ID, "read", 3600},
		"write access":           {auth.TokenInput{Access: new(store.WriteAccess)}, m.ID, "read write", 900},
		"one customer":           {auth.TokenInput{CustomerID: &customer.ID, ExpiresIn: new(60)}, customer.ID, "read", 60},
		"one customer, to write": {auth.TokenInput{CustomerID: &customer.ID, Access: new(store.WriteAccess)}, customer.ID, "read write", 900},
	} {
		t.Run(name, func(t *testing.T) {
			var before time.Time
			require.NoError(t, db.Superuser().QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&before))
			minted := mint(t, ctx, s, c.in)
			require.Equal(t, map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": key.ID}, part(t, minted.Token, 0))
			claims := part(t, minted.Token, 1)
			issued := int64(claims["iat"].(float64))
			require.InDelta(t, before.Unix(), issued, 5)
			require.Regexp(t, `^[A-Z2-7]{26}$`, claims["jti"])
			want := map[string]any{
				"iss": "lumen", "aud": "lumen", "sub": c.subject, "client_id": credential.KeyID, "merchant_id": m.ID, "scope": c.scope,
				"iat": claims["iat"], "exp": float64(issued + int64(c.lifetime)), "jti": claims["jti"],
			}
			wantCredential := store.Credential{
				KeyID: credential.KeyID, TokenID: claims["jti"].(string), Access: store.ReadAccess, Merchant: store.Merchant{ID: m.ID, Name: "Acme"},
			}
			if c.in.CustomerID != nil {
				want["customer_id"], wantCredential.CustomerID = customer.ID, customer.ID
			}
			if c.scope == "read write" {
				wantCredential.Access = store.WriteAccess
			}
			require.Equal(t, want, claims)
			require.Equal(t, c.in.CustomerID, minted.CustomerID)
			require.Equal(t, wantCredential.Access, minted.Access)
			require.Equal(t, issued+int64(c.lifetime), minted.ExpiresAt.Unix())
			require.Zero(t, minted.ExpiresAt.Nanosecond())
			require.Less(t, len(minted.Token), 1024)

			got, code := authenticate(t, s, auth.Secret(minted.Token))
			require.Empty(t, code)
			require.Equal(t, wantCredential, got)
			// A store without the secret mints nothing, and accepts what others minted.
			got, code = authenticate(t, db.Auth(t), auth.Secret(minted.Token))
			require.Empty(t, code)
			require.Equal(t, wantCredential, got)
		})
	}

	t.Run("expires by the database's clock, kept or not", func(t *testing.T) {
		minted := mint(t, ctx, s, auth.TokenInput{ExpiresIn: new(2)})
		expired := func() bool {
			var now time.Time
			require.NoError(t, db.Superuser().QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&now))
			return !now.Before(minted.ExpiresAt)
		}
		_, code := authenticate(t, s, auth.Secret(minted.Token))
		require.Empty(t, code)
		for {
			before := expired()
			_, code := authenticate(t, s, auth.Secret(minted.Token))
			if code != "" {
				require.Equal(t, store.Unauthenticated, code)
				break
			}
			require.False(t, before)
		}
		require.True(t, expired())
	})
	t.Run("refuses all that is wrong with the input, together", func(t *testing.T) {
		fault := func(field string, reason store.Reason) store.Fault { return store.NewFault(field, reason) }
		for _, c := range []struct {
			in     auth.TokenInput
			faults []store.Fault
		}{
			{auth.TokenInput{ExpiresIn: new(0)}, []store.Fault{fault("expiresIn", store.InvalidFormat)}},
			{auth.TokenInput{ExpiresIn: new(3601)}, []store.Fault{fault("expiresIn", store.InvalidFormat)}},
			{auth.TokenInput{CustomerID: new("")}, []store.Fault{fault("customerId", store.InvalidFormat)}},
			{auth.TokenInput{CustomerID: new("cust_"), Access: new(store.Access("admin")), ExpiresIn: new(-1)},
				[]store.Fault{fault("access", store.InvalidFormat), fault("customerId", store.InvalidFormat), fault("expiresIn", store.InvalidFormat)}},
			{auth.TokenInput{Access: new(store.Access("")), WrongType: []string{"expiresIn", "customerId"}},
				[]store.Fault{fault("access", store.InvalidFormat), fault("customerId", store.WrongType), fault("expiresIn", store.WrongType)}},
		} {
			_, err := s.Tokens.Create(ctx, c.in)
			require.Equal(t, store.Invalid(c.faults...), err)
		}
	})
	t.Run("only an API key with write access mints", func(t *testing.T) {
		token := func(in auth.TokenInput) context.Context {
			got, code := authenticate(t, s, auth.Secret(mint(t, ctx, s, in).Token))
			require.Empty(t, code)
			return store.WithCredential(t.Context(), got)
		}
		for name, ctx := range map[string]context.Context{
			"a read key": db.ReadContext(t, m), "a write token": token(auth.TokenInput{Access: new(store.WriteAccess)}), "a read token": token(auth.TokenInput{}),
			"a bound token": token(auth.TokenInput{CustomerID: &customer.ID, Access: new(store.WriteAccess)}),
		} {
			_, err := s.Tokens.Create(ctx, auth.TokenInput{ExpiresIn: new(0)})
			require.Equal(t, store.Forbidden, store.AsError(err).Code, name)
		}
		_, err := s.Tokens.Create(t.Context(), auth.TokenInput{})
		require.Equal(t, store.Unauthenticated, store.AsError(err).Code)
	})
	t.Run("an outage is one", func(t *testing.T) {
		token := mint(t, ctx, s, auth.TokenInput{}).Token
		away := storetest.OpenAuth(t, storetest.Service(t, "postgres://nobody@127.0.0.1:1/none?sslmode=disable", false), auth.Options{TokenSecret: auth.NewTokenSecret()})
		_, code := authenticate(t, away, auth.Secret(token))
		require.Equal(t, store.Unavailable, code)
		_, err = away.Tokens.PublicKeys(t.Context())
		require.Equal(t, store.Unavailable, store.AsError(err).Code)
		_, err = away.Tokens.Create(ctx, auth.TokenInput{})
		require.Equal(t, store.Unavailable, store.AsError(err).Code)
		require.NotErrorIs(t, away.Tokens.CheckSigner(t.Context()), auth.ErrNoTokenKey)
	})
}

// The life of signing keys. Time passes by moving all of theirs into the past.
func TestTokenKeyRotation(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	operator, secret := db.Owner(t), auth.NewTokenSecret()
	s := openWith(t, db, secret)
	ctx := db.Context(t, db.Merchant(t, "Acme"))

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
	rotate := func() {
		t.Helper()
		key, err := operator.TokenKeys.Rotate(t.Context(), secret)
		require.NoError(t, err)
		all = append(all, key)
	}
	// signed mints a token and says which key signed it.
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
	_, err := s.Tokens.Create(ctx, auth.TokenInput{})
	require.Equal(t, store.Forbidden, store.AsError(err).Code)
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

	// Two in a hurry: each verifies until its own successor has signed long enough.
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

	// However long it goes on to: a successor that was revoked is none.
	pass(70)
	require.Equal(t, "retired retired signing revoked", states())
	require.Equal(t, "3", published())
	late, by := signed()
	require.Equal(t, all[2].ID, by)
	require.True(t, good(late))

	// Nothing signs: the next one does not wait, though another does.
	rotate()
	for _, key := range all[:3] {
		_, err := operator.TokenKeys.Revoke(t.Context(), key.ID)
		require.NoError(t, err)
	}
	require.Equal(t, "revoked revoked revoked revoked waiting", states())
	require.ErrorIs(t, s.Tokens.CheckSigner(t.Context()), auth.ErrNoTokenKey)
	rotate()
	require.Equal(t, "revoked revoked revoked revoked waiting signing", states())

	// What is retired stays so, even when what followed it is revoked.
	pass(71)
	require.Equal(t, "revoked revoked revoked revoked signing retired", states())
	_, err = operator.TokenKeys.Revoke(t.Context(), all[4].ID)
	require.NoError(t, err)
	require.Equal(t, "revoked revoked revoked revoked revoked retired", states())
	require.ErrorIs(t, s.Tokens.CheckSigner(t.Context()), auth.ErrNoTokenKey)
	require.Empty(t, published())
}

// Two who rotate at once with different secrets do not both succeed.
func TestRotationsAtOnce(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	operator := db.Owner(t)
	results := make(chan error, 8)
	for range cap(results) {
		go func() {
			_, err := operator.TokenKeys.Rotate(t.Context(), auth.NewTokenSecret())
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

	// The one that waits counts as well.
	db2 := storetest.New(t)
	second, secret := db2.Owner(t), auth.NewTokenSecret()
	first, err := second.TokenKeys.Rotate(t.Context(), secret)
	require.NoError(t, err)
	_, err = second.TokenKeys.Rotate(t.Context(), secret)
	require.NoError(t, err)
	_, err = second.TokenKeys.Revoke(t.Context(), first.ID)
	require.NoError(t, err)
	_, err = second.TokenKeys.Rotate(t.Context(), auth.NewTokenSecret())
	require.ErrorContains(t, err, "the token secret does not open signing key")
}

// A token does not outlive the API key that minted it, nor say that it does; and what a demo key mints is for development
// servers alone.
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
	_, err = operator.TokenKeys.Rotate(t.Context(), auth.NewTokenSecret())
	require.EqualError(t, err, "rotate token keys: the token secret does not open signing key "+key.ID+"; use the service's secret, or revoke that key")
	keys, err := operator.TokenKeys.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []owner.TokenKey{key}, keys)

	// A key that was put in another's place signs nothing.
	second, err := operator.TokenKeys.Rotate(t.Context(), secret)
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
	_, err = operator.TokenKeys.Rotate(t.Context(), fresh)
	require.NoError(t, err)
	require.NoError(t, openWith(t, db, fresh).Tokens.CheckSigner(t.Context()))

	var stored []byte
	require.NoError(t, db.Superuser().QueryRow(t.Context(), "SELECT string_agg(private_key || public_key || id::bytea, ''::bytea) FROM token_keys").Scan(&stored))
	require.Greater(t, len(stored), 3*90)
	require.False(t, bytes.Contains(stored, secret) || bytes.Contains(stored, fresh))
}
