package owner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/postgres"
)

// Key is an API key of a merchant, without its secret. The database stores only a digest of the
// secret.
type Key struct {
	bun.BaseModel `bun:"table:api_keys,alias:k"`

	MerchantID string       `bun:"merchant_id,pk" json:"merchantId"`
	ID         string       `bun:"id,pk" json:"id"`
	Name       *string      `bun:"name" json:"name"`
	Access     store.Access `bun:"access" json:"access"`
	CreatedAt  time.Time    `bun:"created_at" json:"createdAt"`
	ExpiresAt  *time.Time   `bun:"expires_at" json:"expiresAt"`
	RevokedAt  *time.Time   `bun:"revoked_at" json:"revokedAt"`
	LastUsedAt *time.Time   `bun:"last_used_at" json:"lastUsedAt"` // updated at most once an hour
}

// NewKey describes a key to create. Expires is nil for a key that does not expire.
type NewKey struct {
	MerchantID string
	Name       string
	Access     store.Access
	Expires    *time.Duration
	Secret     auth.Secret
}

// keyColumns are all columns except the digest, which no query returns.
const keyColumns = "merchant_id, id, name, access, created_at, expires_at, revoked_at, last_used_at"

// Keys manages API keys for the operator. It uses the owner's connection.
type Keys struct{ db *bun.DB }

// Create adds a key of an existing merchant.
func (k *Keys) Create(ctx context.Context, want NewKey) (Key, error) {
	name, err := checkName(want.Name)
	if err != nil {
		return Key{}, err
	}
	if !want.Secret.IsWellFormed() {
		return Key{}, errors.New("NewSecret must make the secret of a key")
	}
	id, err := store.NewID("key")
	if err != nil {
		return Key{}, err
	}
	key, digest := Key{MerchantID: want.MerchantID, ID: id, Access: want.Access}, want.Secret.Digest()
	if name != "" {
		key.Name = &name
	}
	insert := k.db.NewInsert().Model(&key).ExcludeColumn("created_at", "revoked_at", "last_used_at").
		Value("digest", "?", digest[:]).Returning(keyColumns)
	if want.Expires != nil { // Bun ignores the value of an excluded column
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

// List returns all keys of the merchant, including revoked and expired ones, oldest first.
func (k *Keys) List(ctx context.Context, merchantID string) ([]Key, error) {
	keys := []Key{}
	if err := k.db.NewSelect().Model(&keys).Where("merchant_id = ?", merchantID).Order("created_at", "id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	if len(keys) == 0 {
		exists, err := k.db.NewSelect().Model((*store.Merchant)(nil)).Where("id = ?", merchantID).Exists(ctx)
		if err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		if !exists {
			return nil, fmt.Errorf("there is no merchant %q", merchantID)
		}
	}
	return keys, nil
}

// Revoke stops a key from working within five seconds and returns the revoked key. To revoke a key
// again changes nothing.
func (k *Keys) Revoke(ctx context.Context, id string) (Key, error) {
	key, found, err := k.revoke(ctx, "id = ?", id)
	if err == nil && !found {
		return Key{}, fmt.Errorf("there is no key %q", id)
	}
	return key, err
}

// RevokeSecret is like Revoke, but finds the key by its secret. Its errors never contain the
// secret.
func (k *Keys) RevokeSecret(ctx context.Context, secret auth.Secret) (Key, error) {
	digest := secret.Digest()
	key, found, err := k.revoke(ctx, "digest = ?", digest[:])
	if err == nil && !found {
		return Key{}, errors.New("no key has this secret")
	}
	return key, err
}

func (k *Keys) revoke(ctx context.Context, condition string, value any) (key Key, found bool, err error) {
	result, err := k.db.NewUpdate().Model(&key).
		Set("revoked_at = COALESCE(revoked_at, date_trunc('milliseconds', clock_timestamp()))").
		Where(condition, value).Returning(keyColumns).Exec(ctx)
	if err != nil {
		return Key{}, false, fmt.Errorf("revoke key: %w", err)
	}
	n, _ := result.RowsAffected()
	return key, n > 0, nil
}
