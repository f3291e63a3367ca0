package auth_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/storetest"
)

// authenticate returns the credential of a secret, or the code of the refusal.
func authenticate(t *testing.T, s *auth.Auth, secret auth.Secret) (store.Credential, store.Code) {
	t.Helper()
	credential, err := s.Authenticator.Authenticate(t.Context(), secret)
	if err == nil {
		return credential, ""
	}
	require.Equal(t, store.Credential{}, credential)
	var known *store.Error
	require.ErrorAs(t, err, &known)
	return credential, known.Code
}

// ends checks the end of a credential that was not used yet: it works, change ends it, and at most
// five seconds later it is refused.
func ends(t *testing.T, s *auth.Auth, secret auth.Secret, change func()) {
	t.Helper()
	endsWith(t, s, secret, store.Unauthenticated, change)
}

// endsWith is like ends, for a refusal with this code. It returns the start of the refused use.
func endsWith(t *testing.T, s *auth.Auth, secret auth.Secret, want store.Code, change func()) time.Time {
	t.Helper()
	lookedUp := time.Now()
	_, code := authenticate(t, s, secret)
	require.Empty(t, code)
	change()
	changed := time.Now()
	for uses := 0; ; uses++ {
		began := time.Now()
		_, code := authenticate(t, s, secret)
		if code != "" {
			require.Equal(t, want, code)
			require.True(t, uses > 0 || began.Sub(lookedUp) >= auth.CredentialLifetime, "nothing was cached, and this shows nothing")
			return began
		}
		require.Less(t, began.Sub(changed), auth.CredentialLifetime)
		time.Sleep(time.Millisecond)
	}
}

// alter runs statements as the superuser.
func alter(t testing.TB, db *storetest.Database, statements string) {
	t.Helper()
	_, err := db.Superuser().Exec(t.Context(), statements, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
}

func TestOnlyDigestsAreStored(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	merchant := db.Merchant(t, "Acme")
	_, code := authenticate(t, db.Auth(t), merchant.WriteKey)
	require.Empty(t, code)

	var tables []string
	require.NoError(t, db.Superuser().QueryRow(t.Context(), `SELECT array_agg(relname)::text[] FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`).Scan(&tables))
	require.Subset(t, tables, []string{"api_keys", "merchants", "customers"})
	var dump strings.Builder
	for _, table := range tables {
		rows, err := db.Superuser().Query(t.Context(), "SELECT t::text FROM "+pgx.Identifier{table}.Sanitize()+" AS t")
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		fmt.Fprintln(&dump, table, lines)
	}

	for _, secret := range []auth.Secret{merchant.WriteKey, merchant.ReadKey} {
		text := string(secret)
		random := strings.TrimPrefix(text, "lumen_sk_")
		bits, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(random))
		require.NoError(t, err)
		require.Len(t, bits, 32)
		for _, form := range []string{text, random, random[:16], hex.EncodeToString([]byte(text)), hex.EncodeToString([]byte(random)), hex.EncodeToString(bits)} {
			require.NotContains(t, dump.String(), form)
		}
		digest := sha256.Sum256([]byte(text))
		require.Contains(t, dump.String(), hex.EncodeToString(digest[:]), "the dump would show what is stored")
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, operator := db.Auth(t), db.Owner(t)
	issue := func(t *testing.T, merchant storetest.Merchant, want owner.NewKey) (owner.Key, auth.Secret) {
		t.Helper()
		want.MerchantID = merchant.ID
		if want.Secret == "" {
			want.Secret = auth.NewSecret()
		}
		if want.Access == "" {
			want.Access = store.WriteAccess
		}
		key, err := operator.Keys.Create(t.Context(), want)
		require.NoError(t, err)
		return key, want.Secret
	}

	t.Run("a valid key has its merchant and its access", func(t *testing.T) {
		t.Parallel()
		acme, other := db.Merchant(t, "Acme"), db.Merchant(t, "Acme")
		for _, m := range []storetest.Merchant{acme, other} {
			for access, secret := range map[store.Access]auth.Secret{store.WriteAccess: m.WriteKey, store.ReadAccess: m.ReadKey} {
				got, code := authenticate(t, s, secret)
				require.Empty(t, code)
				require.NotEmpty(t, got.KeyID)
				got.KeyID = ""
				require.Equal(t, store.Credential{Access: access, Merchant: store.Merchant{ID: m.ID, Name: "Acme"}}, got)
			}
		}
	})

	t.Run("an unknown key is refused", func(t *testing.T) {
		t.Parallel()
		_, code := authenticate(t, s, auth.NewSecret())
		require.Equal(t, store.Unauthenticated, code)
	})

	t.Run("a malformed key is refused without a query", func(t *testing.T) {
		t.Parallel()
		nowhere := storetest.OpenAuth(t, storetest.Service(t, "postgres://nobody@127.0.0.1:1/none", false), auth.Options{AcceptDemoKeys: true})
		good := string(auth.NewSecret())
		for _, text := range []string{"", " ", "lumen_sk_", good + "a", good[:len(good)-1], good + "\n", " " + good, strings.ToUpper(good), strings.Replace(good, "sk", "pk", 1),
			good[:len(good)-1] + "1", good[:len(good)-1] + "\x00", "' OR true --", strings.Repeat("a", 1<<16)} {
			_, code := authenticate(t, nowhere, auth.Secret(text))
			require.Equal(t, store.Unauthenticated, code, "%.80q", text)
		}
	})

	t.Run("an expired key is refused", func(t *testing.T) {
		t.Parallel()
		merchant := db.Merchant(t, "Acme")
		key, secret := issue(t, merchant, owner.NewKey{Expires: new(time.Hour)})
		require.Equal(t, time.Hour, key.ExpiresAt.Sub(key.CreatedAt).Round(time.Second))
		ends(t, s, secret, func() {
			_, err := db.Superuser().Exec(t.Context(), "UPDATE api_keys SET expires_at = clock_timestamp() WHERE id = $1", key.ID)
			require.NoError(t, err)
		})
		_, code := authenticate(t, s, merchant.WriteKey)
		require.Empty(t, code, "the merchant's other key")
	})

	t.Run("a revoked key is refused within five seconds and from then on", func(t *testing.T) {
		t.Parallel()
		merchant := db.Merchant(t, "Acme")
		key, secret := issue(t, merchant, owner.NewKey{Name: "old"})
		var revoked owner.Key
		ends(t, s, secret, func() {
			var err error
			revoked, err = operator.Keys.Revoke(t.Context(), key.ID)
			require.NoError(t, err)
		})

		require.NotNil(t, revoked.RevokedAt)
		again, err := operator.Keys.Revoke(t.Context(), key.ID)
		require.NoError(t, err)
		require.Equal(t, revoked, again)
		_, code := authenticate(t, s, secret)
		require.Equal(t, store.Unauthenticated, code)
		_, code = authenticate(t, s, merchant.WriteKey)
		require.Empty(t, code, "the merchant's other key")
		_, err = operator.Keys.Revoke(t.Context(), "key_none")
		require.EqualError(t, err, `there is no key "key_none"`)
	})

	t.Run("no key works while its merchant is disabled", func(t *testing.T) {
		t.Parallel()
		merchant := db.Merchant(t, "Acme")
		ends(t, s, merchant.WriteKey, func() {
			_, err := operator.Merchants.Disable(t.Context(), merchant.ID)
			require.NoError(t, err)
		})
		for _, secret := range []auth.Secret{merchant.WriteKey, merchant.ReadKey} {
			_, code := authenticate(t, s, secret)
			require.Equal(t, store.Unauthenticated, code)
		}
		_, err := operator.Merchants.Enable(t.Context(), merchant.ID)
		require.NoError(t, err)
		_, code := authenticate(t, s, merchant.WriteKey)
		require.Empty(t, code)
	})

	t.Run("a demo key works only where it is accepted", func(t *testing.T) {
		t.Parallel()
		merchant := db.Merchant(t, "Acme")
		_, secret := issue(t, merchant, owner.NewKey{Secret: auth.NewDemoSecret()})
		_, code := authenticate(t, s, secret)
		require.Equal(t, store.Unauthenticated, code)

		dev := storetest.OpenAuth(t, storetest.Service(t, db.AppURL(), false), auth.Options{AcceptDemoKeys: true})
		got, code := authenticate(t, dev, secret)
		require.Empty(t, code)
		require.Equal(t, merchant.ID, got.Merchant.ID)
		_, code = authenticate(t, dev, merchant.WriteKey)
		require.Empty(t, code, "an ordinary key works there, too")
	})

	t.Run("a secret that two merchants share is refused", func(t *testing.T) {
		t.Parallel()
		secret := auth.NewSecret()
		issue(t, db.Merchant(t, "Acme"), owner.NewKey{Secret: secret})
		issue(t, db.Merchant(t, "Acme"), owner.NewKey{Secret: secret})
		_, code := authenticate(t, s, secret)
		require.Equal(t, store.Unauthenticated, code)
	})

	t.Run("records the last use at most once an hour", func(t *testing.T) {
		t.Parallel()
		merchant, s := db.Merchant(t, "Acme"), db.Auth(t)
		key, secret := issue(t, merchant, owner.NewKey{})
		lastUsed := func() *time.Time {
			keys, err := operator.Keys.List(t.Context(), merchant.ID)
			require.NoError(t, err)
			require.Len(t, keys, 3)
			for _, k := range keys {
				if k.ID == key.ID {
					return k.LastUsedAt
				}
			}
			return nil
		}
		use := func() {
			s.Authenticator.Forget()
			_, code := authenticate(t, s, secret)
			require.Empty(t, code)
		}
		require.Nil(t, lastUsed())
		use()
		first := lastUsed()
		require.NotNil(t, first)
		require.WithinDuration(t, time.Now(), *first, time.Minute)
		use()
		require.Equal(t, first, lastUsed())

		_, err := db.Superuser().Exec(t.Context(), "UPDATE api_keys SET last_used_at = last_used_at - interval '59 minutes' WHERE id = $1", key.ID)
		require.NoError(t, err)
		use()
		require.Equal(t, first.Add(-59*time.Minute), *lastUsed())
		_, err = db.Superuser().Exec(t.Context(), "UPDATE api_keys SET last_used_at = last_used_at - interval '1 minute' WHERE id = $1", key.ID)
		require.NoError(t, err)
		use()
		require.False(t, lastUsed().Before(*first))
	})
}

// Ids are the merchant's: keys of one id that two merchants have are two keys, whatever is asked of
// them.
func TestMerchantsWithTheSameKeyIDs(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, _, _ := minting(t, db)
	one, other := db.Merchant(t, "One"), db.Merchant(t, "Other")
	named := store.Merchant{ID: one.ID, Name: one.Name} // the fields that a credential has
	alter(t, db, `UPDATE api_keys SET id = 'key_same', last_used_at = NULL WHERE access = 'write';
		UPDATE api_keys SET expires_at = clock_timestamp() + interval '10 minutes' WHERE id = 'key_same' AND merchant_id = '`+other.ID+`'`)
	column := func(column string, m storetest.Merchant) (set bool) {
		require.NoError(t, db.Superuser().QueryRow(t.Context(), `SELECT `+column+` IS NOT NULL FROM api_keys WHERE id = 'key_same' AND merchant_id = $1`, m.ID).Scan(&set))
		return set
	}

	credential, err := s.Authenticator.Authenticate(t.Context(), one.WriteKey)
	require.NoError(t, err)
	require.Equal(t, store.Credential{KeyID: "key_same", Access: store.WriteAccess, Merchant: named}, credential)
	require.True(t, column("last_used_at", one))
	require.False(t, column("last_used_at", other))

	minted, err := s.Tokens.Create(store.WithCredential(t.Context(), credential), auth.TokenInput{})
	require.NoError(t, err)
	require.Greater(t, time.Until(minted.ExpiresAt), 12*time.Minute, "it ends with one's own key")
	authenticated := func() store.Code {
		s.Authenticator.Forget()
		found, err := s.Authenticator.Authenticate(t.Context(), auth.Secret(minted.Token))
		if err == nil {
			require.Equal(t, named, found.Merchant)
			return ""
		}
		return store.AsError(err).Code
	}
	require.Empty(t, authenticated())
	alter(t, db, `UPDATE api_keys SET revoked_at = clock_timestamp() WHERE id = 'key_same' AND merchant_id = '`+other.ID+`'`)
	require.Empty(t, authenticated())
	alter(t, db, `UPDATE api_keys SET revoked_at = CASE WHEN merchant_id = '`+one.ID+`' THEN clock_timestamp() END WHERE id = 'key_same'`)
	require.Equal(t, store.Unauthenticated, authenticated())

	keys, err := db.Owner(t).Keys.List(t.Context(), one.ID)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for _, key := range keys {
		require.Equal(t, one.ID, key.MerchantID)
	}
}

func TestSecretIsNotShown(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]auth.Secret{"a secret": auth.NewSecret(), "a demo secret": auth.NewDemoSecret()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type holder struct {
				Secret  auth.Secret
				Pointer *auth.Secret
				List    []auth.Secret
				Map     map[string]auth.Secret
			}
			hold := holder{secret, &secret, []auth.Secret{secret}, map[string]auth.Secret{"key": secret}}
			shown := map[string]string{
				"String":       secret.String(),
				"an error":     fmt.Errorf("key %s: %w", secret, context.Canceled).Error(),
				"a conversion": fmt.Sprint(secret, &secret, hold),
			}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X"} {
				for what, value := range map[string]any{"secret": secret, "holder": hold, "input": owner.NewKey{Secret: secret}} {
					shown[verb+" of a "+what] = fmt.Sprintf(verb, value)
				}
			}
			encoded, err := json.Marshal(hold)
			require.NoError(t, err)
			shown["JSON"] = string(encoded)
			var logs bytes.Buffer
			for _, handler := range []slog.Handler{slog.NewTextHandler(&logs, nil), slog.NewJSONHandler(&logs, nil)} {
				slog.New(handler).With("first", secret).Info("secret", "secret", secret, "pointer", &secret, "holder", hold, slog.Group("group", "secret", secret), "any", slog.AnyValue(secret))
			}
			shown["logs"] = logs.String()

			random := string(secret)[strings.LastIndexByte(string(secret), '_')+1:]
			require.Len(t, random, 52)
			for where, text := range shown {
				for _, form := range []string{random, hex.EncodeToString([]byte(random)), strings.ToUpper(hex.EncodeToString([]byte(random)))} {
					require.NotContains(t, text, form, where)
				}
			}
			require.Equal(t, "lumen_sk_***", fmt.Sprintf("%#v", secret))
			require.Contains(t, logs.String(), `"secret":"lumen_sk_***"`)
			require.NotEqual(t, fmt.Sprint(secret), string(secret), "who means to show it can")
		})
	}
}

func TestKeysCreateRefuses(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	operator, merchant := db.Owner(t), db.Merchant(t, "Acme")
	for name, c := range map[string]struct {
		key  owner.NewKey
		says string
	}{
		"an unknown merchant":       {owner.NewKey{MerchantID: "merchant_none", Access: store.WriteAccess, Secret: auth.NewSecret()}, `there is no merchant "merchant_none"`},
		"a secret of one's own":     {owner.NewKey{MerchantID: merchant.ID, Access: store.WriteAccess, Secret: "hunter2"}, "NewSecret must make the secret of a key"},
		"an access that is not one": {owner.NewKey{MerchantID: merchant.ID, Access: "admin", Secret: auth.NewSecret()}, "create key: "},
		"a name of many lines":      {owner.NewKey{MerchantID: merchant.ID, Access: store.WriteAccess, Secret: auth.NewSecret(), Name: "a\nb"}, "a name has at most 255 characters and no control characters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := operator.Keys.Create(t.Context(), c.key)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), string(c.key.Secret))
			require.Equal(t, owner.Key{}, key)
		})
	}
}
