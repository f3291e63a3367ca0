package owner

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"lumen/store"
	"lumen/store/auth"
)

// TokenKey describes a key that signs access tokens. It does not contain the key.
type TokenKey struct {
	bun.BaseModel `bun:"table:token_keys,alias:t"`

	ID        string         `bun:"id,pk" json:"id"`
	Algorithm auth.Algorithm `bun:"algorithm,scanonly" json:"algorithm"`
	CreatedAt time.Time      `bun:"created_at" json:"createdAt"`
	SignsFrom time.Time      `bun:"signs_from" json:"signsFrom"`
	RevokedAt *time.Time     `bun:"revoked_at" json:"revokedAt"`
	State     TokenKeyState  `bun:"state,scanonly" json:"state"`
}

// TokenKeyState is the state of a signing key.
type TokenKeyState string

// The states of a signing key, in the order in which it passes through them.
const (
	TokenKeyWaiting   TokenKeyState = "waiting"   // published, does not sign yet
	TokenKeySigning   TokenKeyState = "signing"   // signs new tokens
	TokenKeyVerifying TokenKeyState = "verifying" // another key signs; its tokens still work
	TokenKeyRetired   TokenKeyState = "retired"   // all of its tokens have expired
	TokenKeyRevoked   TokenKeyState = "revoked"   // its tokens do not work
)

// tokenKeyState is the SQL expression of State.
const tokenKeyState = `CASE WHEN t.revoked_at IS NOT NULL THEN 'revoked'
	WHEN t.signs_from > clock_timestamp() THEN 'waiting'
	WHEN t.id IN (SELECT key_id FROM lumen_token_signer('', '')) THEN 'signing'
	WHEN t.id IN (SELECT key_id FROM lumen_token_keys()) THEN 'verifying'
	ELSE 'retired' END AS state`

// tokenKeyAlgorithm is the SQL expression of Algorithm.
const tokenKeyAlgorithm = `CASE octet_length(t.public_key) WHEN 32 THEN 'EdDSA' WHEN 65 THEN 'ES256' END AS algorithm`

// TokenKeys manages signing keys for the operator. It uses the owner's connection.
type TokenKeys struct{ db *bun.DB }

// Rotate adds a signing key for the algorithm, encrypted with the secret. The key is published at
// once. It signs five minutes later, when verifiers that cache the public keys have fetched it, or
// at once when no other key signs. The previous key verifies its tokens until the last of them has
// expired. Rotate returns an error when the secret does not open the signing key and any waiting
// key, because the service has only one secret.
func (k *TokenKeys) Rotate(ctx context.Context, secret auth.TokenSecret, algorithm auth.Algorithm) (TokenKey, error) {
	var id string
	err := k.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) (err error) {
		// The lock makes rotations run one after the other, so that each sees the key of the one
		// before.
		if _, err = tx.ExecContext(ctx, "LOCK TABLE token_keys IN SHARE ROW EXCLUSIVE MODE"); err == nil {
			id, err = addTokenKey(ctx, tx, secret, algorithm)
		}
		return err
	})
	if err != nil {
		return TokenKey{}, fmt.Errorf("rotate token keys: %w", err)
	}
	return k.get(ctx, id)
}

// addTokenKey inserts a new key and returns its ID.
func addTokenKey(
	ctx context.Context, tx bun.Tx, secret auth.TokenSecret, algorithm auth.Algorithm,
) (string, error) {
	var present []struct {
		ID         string
		PrivateKey []byte
	}
	err := tx.NewSelect().Table("token_keys").Column("id", "private_key").Where("revoked_at IS NULL").
		Where("signs_from > clock_timestamp() OR id IN (SELECT key_id FROM lumen_token_signer('', ''))").Scan(ctx, &present)
	if err != nil {
		return "", err
	}
	for _, key := range present {
		if _, err := secret.Open(key.ID, key.PrivateKey); err != nil {
			return "", fmt.Errorf("%w; use the service's secret, or revoke that key", err)
		}
	}

	id, err := store.NewID("token_key")
	if err != nil {
		return "", err
	}
	private, public, err := auth.NewSigningKey(algorithm)
	if err != nil {
		return "", err
	}
	sealed, err := secret.Seal(id, private)
	if err != nil {
		return "", err
	}
	_, err = tx.NewInsert().Model(&TokenKey{ID: id}).ExcludeColumn("revoked_at").
		Value("public_key", "?", public).Value("private_key", "?", sealed).
		Value("created_at", "date_trunc('milliseconds', statement_timestamp())").
		Value("signs_from", "date_trunc('milliseconds', statement_timestamp()) + CASE WHEN EXISTS (SELECT FROM lumen_token_signer('', '')) THEN interval '5 minutes' ELSE interval '0' END").
		Exec(ctx)
	return id, err
}

// List returns all signing keys, including retired and revoked ones, in the order in which they
// sign.
func (k *TokenKeys) List(ctx context.Context) ([]TokenKey, error) {
	keys := []TokenKey{}
	if err := k.selecting(&keys).Order("t.signs_from", "t.id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("list token keys: %w", err)
	}
	return keys, nil
}

// Revoke stops a signing key from working, and within five seconds every token that it signed. It
// returns the revoked key. To revoke a key again changes nothing. If the key was the one that
// signed, the previous key signs again unless it is retired.
func (k *TokenKeys) Revoke(ctx context.Context, id string) (TokenKey, error) {
	result, err := k.db.NewUpdate().Model((*TokenKey)(nil)).
		Set("revoked_at = COALESCE(revoked_at, date_trunc('milliseconds', clock_timestamp()))").Where("id = ?", id).Exec(ctx)
	if err != nil {
		return TokenKey{}, fmt.Errorf("revoke token key: %w", err)
	}
	if n, _ := result.RowsAffected(); n == 0 {
		return TokenKey{}, fmt.Errorf("there is no token key %q", id)
	}
	return k.get(ctx, id)
}

func (k *TokenKeys) get(ctx context.Context, id string) (TokenKey, error) {
	var key TokenKey
	if err := k.selecting(&key).Where("t.id = ?", id).Scan(ctx); err != nil {
		return TokenKey{}, fmt.Errorf("read token key: %w", err)
	}
	return key, nil
}

func (k *TokenKeys) selecting(model any) *bun.SelectQuery {
	return k.db.NewSelect().Model(model).Column("id", "created_at", "signs_from", "revoked_at").
		ColumnExpr(tokenKeyAlgorithm).ColumnExpr(tokenKeyState)
}
