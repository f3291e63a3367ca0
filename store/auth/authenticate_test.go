package auth_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// Besides its expiry, these events end a token. TestAuthenticate tests the events that end a key.
func TestTokensEnd(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, _, signer := minting(t, db)
	operator := db.Owner(t)
	for _, c := range []struct {
		name string
		end  func(store.Credential) error
	}{
		{"when their merchant is disabled", func(c store.Credential) error {
			_, err := operator.Merchants.Disable(t.Context(), c.Merchant.ID)
			return err
		}},
		{"when their API key is revoked", func(c store.Credential) error { _, err := operator.Keys.Revoke(t.Context(), c.KeyID); return err }},
		{"when their API key expires", func(c store.Credential) error {
			_, err := db.Superuser().Exec(t.Context(), "UPDATE api_keys SET expires_at = clock_timestamp() WHERE id = $1", c.KeyID)
			return err
		}},
		{"when their signing key is revoked", func(store.Credential) error { _, err := operator.TokenKeys.Revoke(t.Context(), signer.ID); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := db.Context(t, db.Merchant(t, "Acme"))
			credential, _ := store.CredentialFrom(ctx)
			ends(t, s, auth.Secret(mint(t, ctx, s, auth.TokenInput{}).Token), func() { require.NoError(t, c.end(credential)) })
		})
	}
}

// A credential is looked up once in 2.5 s, however many clients use it and however often. The
// statements are counted on the wire.
func TestLookUpsAreShared(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, _, _ := minting(t, db)
	m := db.Merchant(t, "Acme")
	token := auth.Secret(mint(t, db.Context(t, m), s, auth.TokenInput{}).Token) // which records the use of the write key
	for name, c := range map[string]struct {
		secret  auth.Secret
		records int
	}{"a key": {m.WriteKey, 0}, "a key whose use is recorded": {m.ReadKey, 1}, "a token": {token, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, address := storetest.Tap(t, db.AppURL())
			tapped := storetest.OpenAuth(t, storetest.Service(t, address, false), auth.Options{})

			// More are possible when the machine stalls in between.
			start := time.Now()
			most := func() int { return 1 + c.records + int(time.Since(start)/auth.RenewalAge) }
			var users sync.WaitGroup
			for range 200 {
				users.Go(func() {
					if _, err := tapped.Authenticator.Authenticate(t.Context(), c.secret); err != nil {
						t.Error(err)
					}
				})
			}
			users.Wait()
			require.LessOrEqual(t, w.Executed(), most())
			require.GreaterOrEqual(t, w.Executed(), 1+c.records)
			for range 10_000 {
				_, err := tapped.Authenticator.Authenticate(t.Context(), c.secret)
				require.NoError(t, err)
			}
			require.LessOrEqual(t, w.Executed(), most())
			require.Equal(t, 1, tapped.Authenticator.Cached())

			// With steady use no request waits for a lookup, unless the machine stalls.
			waitsForNone := func() bool {
				misses, before := tapped.Stats().Misses, w.Executed()
				for start := time.Now(); time.Since(start) < auth.CredentialLifetime*6/5; time.Sleep(time.Millisecond) {
					_, err := tapped.Authenticator.Authenticate(t.Context(), c.secret)
					require.NoError(t, err)
				}
				return tapped.Stats().Misses == misses && w.Executed() >= before+2
			}
			for tries := 1; !waitsForNone(); tries++ {
				require.Less(t, tries, 4)
			}
			require.LessOrEqual(t, w.Executed(), most())
		})
	}
}

// While the connections are busy, many callers with different credentials wait. Each gets the
// answer to its own.
func TestManyLookUpsAtOnce(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, _, _ := minting(t, db)
	type caller struct {
		secret auth.Secret
		want   store.Credential
		code   store.Code
	}
	var all []caller
	for range 10 {
		m := db.Merchant(t, "Acme")
		ctx := db.Context(t, m)
		credential, _ := store.CredentialFrom(ctx)
		token := mint(t, ctx, s, auth.TokenInput{}).Token // which records the use of the write key
		of := credential
		of.Access, of.TokenID = store.ReadAccess, part(t, token, 1)["jti"].(string)
		all = append(all, caller{secret: m.WriteKey, want: credential}, caller{secret: auth.Secret(token), want: of},
			caller{secret: m.WriteKey[:len(m.WriteKey)-1] + "_", code: store.Unauthenticated}) // is not looked up
	}
	const strangers = 60
	for range strangers {
		all = append(all, caller{secret: auth.NewSecret(), code: store.Unauthenticated})
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	w, address := storetest.Tap(t, db.AppURL())
	tapped := storetest.OpenAuth(t, storetest.Service(t, address, false), auth.Options{})
	locking, err := db.Superuser().Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = locking.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = locking.Exec(t.Context(), "LOCK TABLE api_keys")
	require.NoError(t, err)
	var callers sync.WaitGroup
	for _, c := range all {
		callers.Go(func() {
			got, err := tapped.Authenticator.Authenticate(t.Context(), c.secret)
			code := store.Code("")
			if err != nil {
				code = store.AsError(err).Code
			}
			if got != c.want || code != c.code {
				t.Errorf("%v, %v instead of %v, %v", got, err, c.want, c.code)
			}
		})
	}
	const busy = 2 // the limit of unknown credentials
	require.Eventually(t, func() bool { return tapped.Stats().Pool.Gate.Waiting == 10+10+strangers-busy }, 10*time.Second, time.Millisecond)
	require.NoError(t, locking.Rollback(t.Context()))
	callers.Wait()
	require.Equal(t, 10+10+strangers, w.Executed(), "one statement for each")
}

func TestJunkIsNotCached(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, _, _ := minting(t, db)
	m := db.Merchant(t, "Acme")
	token := string(mint(t, db.Context(t, m), s, auth.TokenInput{}).Token)
	for _, secret := range []auth.Secret{m.WriteKey, auth.Secret(token)} {
		_, code := authenticate(t, s, secret)
		require.Empty(t, code)
	}
	require.Equal(t, 2, s.Authenticator.Cached())
	for i := range 100 {
		for _, junk := range []auth.Secret{
			auth.NewSecret(), auth.NewDemoSecret(), m.WriteKey + "a", m.WriteKey[:len(m.WriteKey)-1], " " + m.WriteKey, "", auth.Secret(fmt.Sprint(i)),
			auth.Secret(token[:len(token)-i-1]), auth.Secret(token + token), auth.Secret(" " + token), auth.Secret(token[:i] + "_" + token[i+1:]),
		} {
			if string(junk) == token { // the token already had that letter there
				continue
			}
			_, code := authenticate(t, s, junk)
			require.Equal(t, store.Unauthenticated, code, string(junk))
		}
	}
	require.Equal(t, 2, s.Authenticator.Cached())
}

// Many merchants' credentials go through one cache while it fills, is used, is renewed and is
// emptied.
func TestCredentialsAreNotMixedUp(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, _, _ := minting(t, db)
	all := map[auth.Secret]store.Credential{}
	for range 4 {
		m := db.Merchant(t, "Acme")
		ctx := db.Context(t, m)
		for _, access := range []store.Access{store.ReadAccess, store.WriteAccess} {
			token := mint(t, ctx, s, auth.TokenInput{Access: &access}).Token
			credential, _ := store.CredentialFrom(ctx)
			credential.Access, credential.TokenID = access, part(t, token, 1)["jti"].(string)
			all[auth.Secret(token)] = credential
		}
		all[m.WriteKey], _ = store.CredentialFrom(ctx)
		all[m.ReadKey], _ = store.CredentialFrom(db.ReadContext(t, m))
	}
	start := time.Now()
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for n := 0; n < 10_000 || time.Since(start) < auth.CredentialLifetime*6/5; {
				for secret, want := range all { // in random order
					n++
					if got, err := s.Authenticator.Authenticate(t.Context(), secret); err != nil || got != want {
						t.Errorf("%v, %v instead of %v", got, err, want)
						return
					}
				}
				if n%4000 == 0 {
					s.Authenticator.Forget()
				}
				if n >= 10_000 {
					time.Sleep(time.Millisecond) // to age
				}
			}
		})
	}
	users.Wait()
	for secret := range all { // the last of them may have forgotten them
		_, err := s.Authenticator.Authenticate(t.Context(), secret)
		require.NoError(t, err)
	}
	require.Equal(t, len(all), s.Authenticator.Cached())
}
