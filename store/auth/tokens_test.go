package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/storetest"
)

// algorithms are all algorithms of signing keys.
var algorithms = []auth.Algorithm{auth.EdDSA, auth.ES256}

// minting returns an Auth that can mint tokens, with its first signing key.
func minting(t testing.TB, db *storetest.Database) (*auth.Auth, auth.TokenSecret, owner.TokenKey) {
	t.Helper()
	return mintingWith(t, db, auth.EdDSA)
}

func mintingWith(t testing.TB, db *storetest.Database, algorithm auth.Algorithm) (*auth.Auth, auth.TokenSecret, owner.TokenKey) {
	t.Helper()
	secret := auth.NewTokenSecret()
	key, err := db.Owner(t).TokenKeys.Rotate(t.Context(), secret, algorithm)
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
	for _, algorithm := range algorithms {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			testAccessTokens(t, algorithm)
		})
	}
}

func testAccessTokens(t *testing.T, algorithm auth.Algorithm) {
	db := storetest.New(t)
	s, _, key := mintingWith(t, db, algorithm)
	require.Equal(t, algorithm, key.Algorithm)
	m := db.Merchant(t, "Acme")
	ctx := db.Context(t, m)
	credential, _ := store.CredentialFrom(ctx)
	customer, err := db.Store(t).Customers.Create(ctx, store.Input{"email": "a@example.com"}, store.WriteOptions{})
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
			require.Equal(t, map[string]any{"alg": string(algorithm), "typ": "at+jwt", "kid": key.ID}, part(t, minted.Token, 0))
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
			// An Auth without the secret mints nothing and accepts the tokens of others.
			got, code = authenticate(t, db.Auth(t), auth.Secret(minted.Token))
			require.Empty(t, code)
			require.Equal(t, wantCredential, got)
		})
	}

	t.Run("expires by the database's clock, cached or not", func(t *testing.T) {
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
	t.Run("reports all faults of the input at once", func(t *testing.T) {
		const customerID, isText = "must be a customer ID", "must be a string"
		bad := func(field, form string) store.Fault { return store.NewFault(field, store.InvalidFormat, form) }
		mistyped := func(field, form string) store.Fault { return store.NewFault(field, store.WrongType, form) }
		for _, c := range []struct {
			in     auth.TokenInput
			faults []store.Fault
		}{
			{auth.TokenInput{ExpiresIn: new(0)}, []store.Fault{bad("expiresIn", "must be 1 to 3600")}},
			{auth.TokenInput{ExpiresIn: new(3601)}, []store.Fault{bad("expiresIn", "must be 1 to 3600")}},
			{auth.TokenInput{CustomerID: new("")}, []store.Fault{bad("customerId", customerID)}},
			{auth.TokenInput{CustomerID: new("cust_"), Access: new(store.Access("admin")), ExpiresIn: new(-1)}, []store.Fault{
				bad("access", "must be read or write"), bad("customerId", customerID), bad("expiresIn", "must be 1 to 3600"),
			}},
			{auth.TokenInput{Access: new(store.Access("")), WrongType: []string{"expiresIn", "customerId"}}, []store.Fault{
				bad("access", "must be read or write"), mistyped("customerId", isText), mistyped("expiresIn", "must be a whole number"),
			}},
			{auth.TokenInput{WrongType: []string{"access"}, Unknown: []string{"customer", "long...", "long..."}}, []store.Fault{
				mistyped("access", isText), bad("customer", "is not a field of an access token"),
				bad("long...", "is not a field of an access token (2 times)"),
			}},
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
	t.Run("an outage is Unavailable", func(t *testing.T) {
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
