package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"log/slog"
	"lumen/store/postgres"
	"regexp"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// Key is an API key of a merchant, without its secret: only a digest of that is stored.
type Key struct {
	bun.BaseModel `bun:"table:api_keys,alias:k"`

	MerchantID string     `bun:"merchant_id,pk" json:"merchantId"`
	ID         string     `bun:"id,pk" json:"id"`
	Name       *string    `bun:"name" json:"name"`
	Access     Access     `bun:"access" json:"access"`
	CreatedAt  time.Time  `bun:"created_at" json:"createdAt"`
	ExpiresAt  *time.Time `bun:"expires_at" json:"expiresAt"`
	RevokedAt  *time.Time `bun:"revoked_at" json:"revokedAt"`
	LastUsedAt *time.Time `bun:"last_used_at" json:"lastUsedAt"` // coarse: at most one update an hour
}

// Secret is what a caller presents: 256 random bits behind a recognisable prefix. It is shown once and stored nowhere.
type Secret string

// The prefixes of secrets. Demo keys are made by `lumen dev` and refused everywhere else.
const (
	secretPrefix     = "lumen_sk_"
	demoSecretPrefix = "lumen_sk_demo_"
)

var (
	secretForm     = regexp.MustCompile(`^lumen_sk_(demo_)?[a-z2-7]{52}$`)
	secretEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// NewSecret returns a fresh secret.
func NewSecret() Secret { return newSecret(secretPrefix) }

// NewDemoSecret returns a fresh secret that only a development server accepts.
func NewDemoSecret() Secret { return newSecret(demoSecretPrefix) }

func newSecret(prefix string) Secret {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never fails: it ends the program instead
	return Secret(prefix + secretEncoding.EncodeToString(bits[:]))
}

// IsDemo reports whether the secret is one that only a development server accepts.
func (s Secret) IsDemo() bool { return strings.HasPrefix(string(s), demoSecretPrefix) }

// String hides the secret, so that no log can hold it by accident.
func (s Secret) String() string { return secretPrefix + "***" }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from slog, whose JSON handler does not ask String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from JSON, and so from structured logs. Who means to show it converts it to a string.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Secret) digest() digest { return sha256.Sum256([]byte(s)) }

// NewKey says what key to make. Expires is nil for a key without an end.
type NewKey struct {
	MerchantID string
	Name       string
	Access     Access
	Expires    *time.Duration
	Secret     Secret
}

// keyColumns are what may leave the table: all but the digest.
const keyColumns = "merchant_id, id, name, access, created_at, expires_at, revoked_at, last_used_at"

// Keys are managed by the operator, with the owner's connection.
type Keys struct{ db *bun.DB }

// Create adds a key for an existing merchant.
func (k *Keys) Create(ctx context.Context, want NewKey) (Key, error) {
	name, err := checkName(want.Name)
	if err != nil {
		return Key{}, err
	}
	if !secretForm.MatchString(string(want.Secret)) {
		return Key{}, fmt.Errorf("a key's secret is made by the store")
	}
	id, err := newID(keyPrefix)
	if err != nil {
		return Key{}, err
	}
	key, digest := Key{MerchantID: want.MerchantID, ID: id, Access: want.Access}, want.Secret.digest()
	if name != "" {
		key.Name = &name
	}
	insert := k.db.NewInsert().Model(&key).ExcludeColumn("created_at", "revoked_at", "last_used_at").
		Value("digest", "?", digest[:]).Returning(keyColumns)
	if want.Expires != nil { // Bun disregards the value of a column that is excluded
		insert = insert.Value("expires_at", "date_trunc('milliseconds', clock_timestamp() + ?::float8 * interval '1 millisecond')", want.Expires.Milliseconds())
	}
	switch _, err := insert.Exec(ctx); {
	case postgres.Violates(err, "api_keys_merchant_id_fkey"):
		return Key{}, fmt.Errorf("there is no merchant %q", want.MerchantID)
	case err != nil:
		return Key{}, fmt.Errorf("create key: %w", err)
	}
	return key, nil
}

// List returns the merchant's keys, oldest first, revoked and expired ones included.
func (k *Keys) List(ctx context.Context, merchantID string) ([]Key, error) {
	keys := []Key{}
	if err := k.db.NewSelect().Model(&keys).Where("merchant_id = ?", merchantID).Order("created_at", "id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	if len(keys) == 0 {
		exists, err := k.db.NewSelect().Model((*Merchant)(nil)).Where("id = ?", merchantID).Exists(ctx)
		if err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		if !exists {
			return nil, fmt.Errorf("there is no merchant %q", merchantID)
		}
	}
	return keys, nil
}

// Revoke makes a key stop working, within half a second. It returns the key as it now is; revoking twice changes nothing.
func (k *Keys) Revoke(ctx context.Context, id string) (Key, error) {
	var key Key
	result, err := k.db.NewUpdate().Model(&key).
		Set("revoked_at = COALESCE(revoked_at, date_trunc('milliseconds', clock_timestamp()))").
		Where("id = ?", id).Returning(keyColumns).Exec(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("revoke key: %w", err)
	}
	if n, _ := result.RowsAffected(); n == 0 {
		return Key{}, fmt.Errorf("there is no key %q", id)
	}
	return key, nil
}

// Authenticator turns a presented secret into a credential. It works with the plain role, which cannot read the keys:
// functions of the owner's look one up.
type Authenticator struct {
	lookUps    *lookUps
	keys       *gatherer[digest, foundKey]
	tokens     *gatherer[tokenOrigin, foundToken]
	cache      *credentialCache
	acceptDemo bool
	audience   string // of access tokens
}

// Authenticate returns the credential of a live secret: an API key that is known, not expired, not revoked, of an enabled
// merchant, or an access token that such a key minted. That it was so half a second ago is enough, except that no token
// outlives its expiry. Anything else is Unauthenticated, indistinguishably; Unavailable when it could not be looked up.
func (a *Authenticator) Authenticate(ctx context.Context, secret Secret) (Credential, error) {
	found, err := a.authenticate(ctx, secret)
	if err != nil {
		return Credential{}, err
	}
	return found.Credential, nil
}

func (a *Authenticator) authenticate(ctx context.Context, secret Secret) (*keptCredential, error) {
	if len(secret) > maxTokenLength {
		return nil, NewError(Unauthenticated)
	}
	// What was kept was presented byte for byte, so it has the form that the rest insists on.
	presented := secret.digest()
	kept, ages, ok := a.cache.get(presented)
	if ok && !ages {
		return kept, nil
	}
	look, err := a.look(presented, secret)
	switch {
	case err != nil:
		return nil, err
	case ok:
		a.cache.renew(ctx, presented, look)
		return kept, nil
	default:
		return a.cache.lookUp(ctx, presented, look)
	}
}

// Recheck returns a function that asks whether an authenticated secret is still good. The function returns nil while it
// is. Where the database can't be asked, it returns nil as long as the last good answer may still be used.
func (a *Authenticator) Recheck(secret Secret) func(context.Context) error {
	var until time.Time
	return func(ctx context.Context) error {
		found, err := a.authenticate(ctx, secret)
		switch {
		case err == nil:
			until = found.until
		case AsError(err).Code == Unavailable && time.Now().Before(until):
			return nil
		}
		return err
	}
}

// look returns how to look up a secret, Unauthenticated when its form tells that it is none.
func (a *Authenticator) look(presented digest, secret Secret) (credentialLook, error) {
	if !strings.HasPrefix(string(secret), secretPrefix) {
		return a.lookToken(presented, string(secret))
	}
	if !secretForm.MatchString(string(secret)) || secret.IsDemo() && !a.acceptDemo {
		return nil, NewError(Unauthenticated)
	}
	return func(ctx context.Context) (Credential, time.Duration, error) {
		credential, err := a.lookUpKey(ctx, a.cache.party(presented), presented)
		return credential, credentialLifetime, err
	}, nil
}

// foundKey is what the database knows of a live key.
type foundKey struct {
	number
	KeyID        string
	Access       Access
	MerchantID   string
	MerchantName string
	UsedLately   bool
}

func newKeyGatherer(l *lookUps) *gatherer[digest, foundKey] {
	const statement = `SELECT q.number, a.key_id, a.access, a.merchant_id, a.merchant_name, a.used_lately
		FROM pg_catalog.unnest($1::bytea[]) WITH ORDINALITY AS q (digest, number), public.lumen_authenticate(q.digest) AS a`
	return newGatherer[digest, foundKey](l, statement, func(presented []digest) []any {
		digests := make([][]byte, len(presented))
		for i := range presented {
			digests[i] = presented[i][:]
		}
		return []any{digests}
	})
}

func (a *Authenticator) lookUpKey(ctx context.Context, party string, presented digest) (Credential, error) {
	found, err := a.keys.ask(ctx, party, presented)
	if err != nil {
		return Credential{}, err
	}
	if len(found) != 1 {
		return Credential{}, NewError(Unauthenticated)
	}
	key := found[0]
	if !key.UsedLately {
		// For the operator: a caller must not fail because it could not be taken, nor wait until it is on disk.
		_ = a.lookUps.note(ctx, `SELECT public.lumen_key_used($1, $2), set_config('synchronous_commit', 'off', true)`, key.MerchantID, key.KeyID)
	}
	return Credential{KeyID: key.KeyID, Access: key.Access, Merchant: Merchant{ID: key.MerchantID, Name: key.MerchantName}}, nil
}
