package owner

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"lumen/store"
)

// What follows serves `lumen dev` alone. It needs an owner that row-level security does not bind, as the embedded
// Postgres's is.

// CreateLogin makes the plain role that the service logs in as, or gives it a new password. The name and the password
// are made by the caller, of letters and digits.
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

// Backdate makes a customer look as if it had been created, last changed and, unless it is live, deleted at other times.
func (o *Owner) Backdate(ctx context.Context, customer *store.Customer, created, updated time.Time) error {
	_, err := o.pool.ExecContext(ctx, `UPDATE customers SET created_at = ?, updated_at = ?, deleted_at = CASE WHEN deleted_at IS NOT NULL THEN ?::timestamptz END
		WHERE merchant_id = ? AND id = ?`, created, updated, updated, customer.MerchantID, customer.ID)
	if err != nil {
		return fmt.Errorf("backdate customer: %w", err)
	}
	return nil
}
