package schema

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"lumen/store"
	"lumen/store/postgres"
)

// registerKeys adds the step that gives customers a key to sort names by. It also computes again the keys
// that are stored for email addresses, names and searches. The step is named after this file. It takes its time, and the service goes on meanwhile: no lock on the table outlasts a batch. A
// migrator that is killed leaves what it did, and the next one goes on.
//
// Where there are customers, servers of the release before still sort by the old indexes, so dropping them
// is left to Rekey.
func (m *Migrator) registerKeys(steps *migrate.Migrations) error {
	return steps.Register(func(ctx context.Context, db *bun.DB) error {
		err := m.briefly(ctx, `ALTER TABLE customers ADD COLUMN IF NOT EXISTS name_sort bytea;
			GRANT UPDATE (name_sort) ON customers TO lumen_app`)
		if err != nil {
			return fmt.Errorf("add name_sort: %w", err)
		}
		if err := m.rekey(ctx, store.NounOf[store.Customer]()); err != nil {
			return err
		}
		if m.Rekeyed.Rows > 0 {
			return m.replaceIndexes(ctx, nameSortIndexes, nil)
		}
		return m.replaceIndexes(ctx, nameSortIndexes, nameKeyIndexes)
	}, func(ctx context.Context, db *bun.DB) error {
		if err := m.replaceIndexes(ctx, nameKeyIndexes, nameSortIndexes); err != nil {
			return err
		}
		return m.briefly(ctx, `ALTER TABLE customers DROP COLUMN IF EXISTS name_sort`)
	})
}

// index is an index of customers: its name, and what follows the merchant.
type index struct{ name, columns string }

// A customer without a name comes last in either direction: past every name when ascending, before every
// name when read backwards.
var (
	nameSortIndexes = []index{
		{"customers_name_sort_ascending", `(CASE WHEN name_sort IS NULL THEN '\xff' ELSE name_sort END), id`},
		{"customers_name_sort_descending", `(CASE WHEN name_sort IS NULL THEN '' ELSE name_sort END), id`},
	}
	nameKeyIndexes = []index{
		{"customers_name_ascending", `(CASE WHEN name_key IS NULL THEN U&'\+10FFFF' ELSE name_key END), id`},
		{"customers_name_descending", `(CASE WHEN name_key IS NULL THEN '' ELSE name_key END), id`},
	}
)

// replaceIndexes makes indexes that are not there and drops others, while the table is read and written.
//
// Making one waits for the statements that began before it. A migrator of an earlier release is such a
// statement while it waits for the lock of migrators. So this runs on the session that holds the lock: then
// Postgres sees that the two wait for each other, and ends one of them.
func (m *Migrator) replaceIndexes(ctx context.Context, fresh, old []index) error {
	var err error
	for _, i := range fresh {
		err = errors.Join(err, untilNoDeadlock(func() error { return m.makeIndex(ctx, i) }))
	}
	for _, i := range old {
		if err == nil {
			err = untilNoDeadlock(func() error { return m.onLock(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+i.name) })
		}
	}
	if err != nil {
		return fmt.Errorf("replace indexes: %w", err)
	}
	return nil
}

// untilNoDeadlock runs work again when Postgres ends it because it waits for who waits for it.
func untilNoDeadlock(work func() error) error {
	for {
		if err := work(); postgres.SQLState(err) != "40P01" { // deadlock_detected
			return err
		}
	}
}

// makeIndex makes an index unless it is there. One that a migrator half made, before it was killed, is
// not valid.
func (m *Migrator) makeIndex(ctx context.Context, i index) error {
	valid := false
	err := m.lock.NewRaw("SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(?) AND indisvalid)", i.name).Scan(ctx, &valid)
	if err != nil || valid {
		return err
	}
	if err := m.onLock(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+i.name); err != nil {
		return err
	}
	return m.onLock(ctx, "CREATE INDEX CONCURRENTLY "+i.name+" ON customers (merchant_id, "+i.columns+")")
}

// onLock runs a statement on the session that holds the lock of migrators.
func (m *Migrator) onLock(ctx context.Context, statement string) error {
	_, err := m.lock.Conn.ExecContext(ctx, statement)
	return err
}

// The locks of migrations. The service's statements give up after 2 s.
const (
	// lockTimeout is how long a step waits for a lock on a table, while statements that come later wait behind it.
	// It is more than deadlock_timeout, 1 s, after which Postgres cancels an autovacuum that is in the way.
	lockTimeout  = "1300ms"
	lockTries    = 100
	betweenTries = 200 * time.Millisecond
)

// briefly runs statements that lock a table in a transaction of their own, when the lock can be had.
func (m *Migrator) briefly(ctx context.Context, statements string) error {
	return retryLock(ctx, func() error {
		return m.pool.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.Tx.ExecContext(ctx, "SET LOCAL lock_timeout = '"+lockTimeout+"'; "+statements)
			return err
		})
	})
}

// retryLock runs work until it gets its lock.
func retryLock(ctx context.Context, work func() error) error {
	for tries := 1; ; tries++ {
		err := work()
		if postgres.SQLState(err) != "55P03" { // lock_not_available
			return err
		}
		if tries == lockTries {
			return fmt.Errorf("another session holds the table for long (see pg_stat_activity); end it, and run this again: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(betweenTries):
		}
	}
}
