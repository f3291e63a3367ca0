package owner

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Changes manages the log of changes of all merchants. It calls functions of the role lumen_janitor,
// because row-level security hides the log from the owner.
type Changes struct{ db *bun.DB }

// pruneBatch is the number of changes that one transaction deletes. Writers of the merchant wait only
// for its commit.
const pruneBatch = 1000

// Prune deletes each merchant's oldest changes: all before its first change at or after the time. It
// returns how many it deleted, also if it fails.
func (c *Changes) Prune(ctx context.Context, before time.Time) (deleted int64, err error) {
	var merchants []string
	if err := c.db.NewRaw("SELECT id FROM merchants ORDER BY id").Scan(ctx, &merchants); err != nil {
		return 0, fmt.Errorf("list merchants: %w", err)
	}
	for _, merchant := range merchants {
		for batch := int64(pruneBatch); batch == pruneBatch; {
			err := c.db.NewRaw("SELECT lumen_prune_changes(?, ?, ?)", merchant, before, pruneBatch).Scan(ctx, &batch)
			if err != nil {
				return deleted, fmt.Errorf("prune the changes of merchant %s: %w", merchant, err)
			}
			deleted += batch
		}
	}
	return deleted, nil
}

// NewEpoch gives every merchant's log a new epoch, so that clients with cursors of the old one start
// again. It returns the number of merchants.
func (c *Changes) NewEpoch(ctx context.Context) (merchants int64, err error) {
	if err := c.db.NewRaw("SELECT lumen_new_epoch()").Scan(ctx, &merchants); err != nil {
		return 0, fmt.Errorf("start a new epoch: %w", err)
	}
	return merchants, nil
}
