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

// Key is an API key of a merchant, without its secret: only a digest of that is stored.
type Key struct {
	bun.BaseModel `bun:"table:api_keys,alias:k"`

	MerchantID string       `bun:"merchant_id,pk" json:"merchantId"`
	ID         string       `bun:"id,pk" json:"id"`
	Name       *string      `bun:"name" json:"name"`
	Access     store.Access `bun:"access" json:"access"`
	CreatedAt  time.Time    `bun:"created_at" json:"createdAt"`
	ExpiresAt  *time.Time   `bun:"expires_at" json:"expiresAt"`
	RevokedAt  *time.Time   `bun:"revoked_at" json:"revokedAt"`
	LastUsedAt *time.Time   `bun:"last_used_at" json:"lastUsedAt"` // coarse: at most one update an hour
}

// NewKey says what key to make. Expires is nil for a key without an end.
type NewKey struct {
	MerchantID string
	Name       string
	Access     store.Access
	Expires    *time.Duration
	Secret     auth.Secret
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
	if !want.Secret.IsWellFormed() {
		return Key{}, fmt.Errorf("a key's secret is made by the store")
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

// Revoke makes a key stop working within five seconds. It returns the key as it is now. Revoking twice
// changes nothing.
func (k *Keys) Revoke(ctx context.Context, id string) (Key, error) {
	key, found, err := k.revoke(ctx, "id = ?", id)
	if err == nil && !found {
		return Key{}, fmt.Errorf("there is no key %q", id)
	}
	return key, err
}

// RevokeSecret is like Revoke, for the key that has a secret. Its errors never hold the secret.
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
