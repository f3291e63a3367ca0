package owner

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"lumen/store"
)

// Only `lumen dev` uses the methods of this file. They need an owner that row-level security does
// not restrict, such as the owner of the embedded Postgres.

// CreateLogin creates the role that the service logs in as, or gives it a new password. The caller
// must choose a name and a password of letters and digits.
func (o *Owner) CreateLogin(ctx context.Context, name, password string) error {
	_, err := o.pool.ExecContext(ctx, `DO $$ BEGIN CREATE ROLE ? LOGIN IN ROLE lumen_app; EXCEPTION WHEN duplicate_object THEN NULL; END $$`, bun.Ident(name))
	if err == nil {
		_, err = o.pool.ExecContext(ctx, "ALTER ROLE ? PASSWORD ?", bun.Ident(name), password)
	}
	if err != nil {
		return fmt.Errorf("create role %s: %w", name, err)
	}
	return nil
}

// Backdate changes when a customer was created, last changed and, if it is deleted, deleted. The log of
// changes then has the creation at that time.
func (o *Owner) Backdate(ctx context.Context, customer *store.Customer, created, updated time.Time) error {
	_, err := o.pool.ExecContext(ctx, `UPDATE customers SET created_at = ?, updated_at = ?, deleted_at = CASE WHEN deleted_at IS NOT NULL THEN ?::timestamptz END
		WHERE merchant_id = ? AND id = ?`, created, updated, updated, customer.MerchantID, customer.ID)
	if err == nil {
		_, err = o.pool.ExecContext(ctx, `UPDATE changes SET at = CASE WHEN previous IS NULL THEN ? ELSE ?::timestamptz END
			WHERE merchant_id = ? AND entity_id = ?`, created, updated, customer.MerchantID, customer.ID)
	}
	if err != nil {
		return fmt.Errorf("backdate customer: %w", err)
	}
	return nil
}
