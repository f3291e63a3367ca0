package schema

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"
)

// registerVersions adds migration 0007, which is named after this file. It adds the column version,
// which counts the changes of a row. Servers of the last release leave it alone: their inserts get the
// default, and their updates do not count.
func (m *Migrator) registerVersions(steps *migrate.Migrations) error {
	return steps.Register(func(ctx context.Context, _ *bun.DB) error {
		err := m.withShortLock(ctx, `ALTER TABLE customers ADD COLUMN IF NOT EXISTS version bigint NOT NULL DEFAULT 1;
			GRANT UPDATE (version) ON customers TO lumen_app`)
		if err != nil {
			return fmt.Errorf("add version: %w", err)
		}
		return nil
	}, func(ctx context.Context, _ *bun.DB) error {
		return m.withShortLock(ctx, `ALTER TABLE customers DROP COLUMN IF EXISTS version`)
	})
}
