package owner

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"lumen/store"
	"lumen/store/auth"
)

// TokenKey is a key that signs access tokens, without the key itself.
type TokenKey struct {
	bun.BaseModel `bun:"table:token_keys,alias:t"`

	ID        string         `bun:"id,pk" json:"id"`
	Algorithm auth.Algorithm `bun:"algorithm,scanonly" json:"algorithm"`
	CreatedAt time.Time      `bun:"created_at" json:"createdAt"`
	SignsFrom time.Time      `bun:"signs_from" json:"signsFrom"`
	RevokedAt *time.Time     `bun:"revoked_at" json:"revokedAt"`
	State     TokenKeyState  `bun:"state,scanonly" json:"state"`
}

// TokenKeyState is what a signing key does.
type TokenKeyState string

// The states, in the order of a key's life.
const (
	TokenKeyWaiting   TokenKeyState = "waiting"   // published, and will sign
	TokenKeySigning   TokenKeyState = "signing"   // the one that signs
	TokenKeyVerifying TokenKeyState = "verifying" // followed by another; the tokens that it signed are still good
	TokenKeyRetired   TokenKeyState = "retired"   // every token that it signed has expired
	TokenKeyRevoked   TokenKeyState = "revoked"   // no token that it signed is good
)

// tokenKeyState is the column for State.
const tokenKeyState = `CASE WHEN t.revoked_at IS NOT NULL THEN 'revoked'
	WHEN t.signs_from > clock_timestamp() THEN 'waiting'
	WHEN t.id IN (SELECT key_id FROM lumen_token_signer('', '')) THEN 'signing'
	WHEN t.id IN (SELECT key_id FROM lumen_token_keys()) THEN 'verifying'
	ELSE 'retired' END AS state`

// tokenKeyAlgorithm is the column for Algorithm.
const tokenKeyAlgorithm = `CASE octet_length(t.public_key) WHEN 32 THEN 'EdDSA' WHEN 65 THEN 'ES256' END AS algorithm`

// TokenKeys are managed by the operator, with the owner's connection.
type TokenKeys struct{ db *bun.DB }

// Rotate adds a key that signs with an algorithm, sealed with the secret. It is published at once and
// signs five minutes later, so that those who keep a copy of the public keys know it by then; at once
// when no other key signs. The key before it goes on to verify the tokens that it signed until the last
// of them has expired. A secret that does not open the key that signs now, or the one that is about to,
// is refused: the service has only one.
func (k *TokenKeys) Rotate(ctx context.Context, secret auth.TokenSecret, algorithm auth.Algorithm) (TokenKey, error) {
	var id string
	err := k.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) (err error) {
		// One after the other: each sees what the last one made.
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

// addTokenKey returns the id of a new key.
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

// List returns all signing keys in the order in which they sign, retired and revoked ones included.
func (k *TokenKeys) List(ctx context.Context) ([]TokenKey, error) {
	keys := []TokenKey{}
	if err := k.selecting(&keys).Order("t.signs_from", "t.id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("list token keys: %w", err)
	}
	return keys, nil
}

// Revoke makes a signing key stop working, and every token that it signed within five seconds. It returns
// the key as it is now. Revoking twice changes nothing. When the key was the one that signed, the one
// before it signs again, unless that is retired.
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
