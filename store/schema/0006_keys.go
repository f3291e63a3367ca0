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

// registerKeys adds migration 0006, which is named after this file. It adds the column name_sort,
// the key by which names are sorted, and computes the stored keys of emails, names and searches
// again. It may take minutes while the service runs: it never locks the table for longer than one
// batch of rows. If the migrator is killed, its work remains, and the next migrator continues.
//
// If there are customers, servers of the last release still sort by the old indexes. Then it leaves
// them for Rekey to drop.
func (m *Migrator) registerKeys(steps *migrate.Migrations) error {
	return steps.Register(func(ctx context.Context, db *bun.DB) error {
		err := m.withShortLock(ctx, `ALTER TABLE customers ADD COLUMN IF NOT EXISTS name_sort bytea;
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
		return m.withShortLock(ctx, `ALTER TABLE customers DROP COLUMN IF EXISTS name_sort`)
	})
}

// index is an index on customers: its name, and its columns after merchant_id.
type index struct{ name, columns string }

// A customer without a name comes last in either direction: after every name in an ascending list,
// before every name in a descending list, which is read from the end.
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

// replaceIndexes creates indexes, unless they exist, and drops others, without blocking reads and
// writes.
//
// The creation of an index waits for all statements that began before it. A migrator of an earlier
// release that waits for the migration lock is such a statement. So replaceIndexes uses the session
// that holds the lock: Postgres then sees that the two wait for each other.
func (m *Migrator) replaceIndexes(ctx context.Context, fresh, old []index) error {
	var err error
	for _, i := range fresh {
		err = errors.Join(err, m.endDeadlocks(ctx, func() error { return m.makeIndex(ctx, i) }))
	}
	for _, i := range old {
		if err == nil {
			err = m.endDeadlocks(ctx, func() error { return m.onLock(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+i.name) })
		}
	}
	if err != nil {
		return fmt.Errorf("replace indexes: %w", err)
	}
	return nil
}

// endDeadlocks repeats work while Postgres ends it because of a deadlock with migrators that wait for
// the migration lock. It cancels their wait. Otherwise each repetition would meet the same deadlock:
// Postgres looks for one when a session has waited for deadlock_timeout, so it ends the session that
// began to wait last, which is this one.
func (m *Migrator) endDeadlocks(ctx context.Context, work func() error) error {
	for {
		err := work()
		if postgres.SQLState(err) != "40P01" { // deadlock_detected
			return err
		}
		if _, cancelErr := m.pool.ExecContext(ctx, cancelWaiters, migrationLock>>32, migrationLock&0xffffffff); cancelErr != nil {
			return fmt.Errorf("another migrator waits for this one; end it and run this command again: %w",
				errors.Join(err, cancelErr))
		}
	}
}

// cancelWaiters cancels the sessions that wait for an advisory lock, which the two halves of its number
// name.
const cancelWaiters = `SELECT pg_cancel_backend(pid) FROM pg_locks
	WHERE locktype = 'advisory' AND NOT granted AND classid = ? AND objid = ? AND objsubid = 1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// makeIndex creates an index unless it exists. It first drops an invalid index, which a migrator
// that was killed may have left.
func (m *Migrator) makeIndex(ctx context.Context, i index) error {
	valid := false
	const isValid = "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(?) AND indisvalid)"
	err := m.lock.NewRaw(isValid, i.name).Scan(ctx, &valid)
	if err != nil || valid {
		return err
	}
	if err := m.onLock(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+i.name); err != nil {
		return err
	}
	return m.onLock(ctx, "CREATE INDEX CONCURRENTLY "+i.name+" ON customers (merchant_id, "+i.columns+")")
}

// onLock runs a statement in the session that holds the migration lock.
func (m *Migrator) onLock(ctx context.Context, statement string) error {
	_, err := m.lock.Conn.ExecContext(ctx, statement)
	return err
}

// The time limits of a migration's table locks. The service's statements wait at most 2 s for a
// lock.
const (
	// lockTimeout is how long a statement waits for a lock on a table while later statements queue
	// behind it. It is longer than deadlock_timeout, 1 s, after which Postgres cancels an
	// autovacuum that holds the lock.
	lockTimeout  = "1300ms"
	lockTries    = 100
	betweenTries = 200 * time.Millisecond
)

// withShortLock runs statements that lock a table, in a transaction of their own. It tries again
// until it gets the lock.
func (m *Migrator) withShortLock(ctx context.Context, statements string) error {
	return retryLock(ctx, func() error {
		return m.pool.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.Tx.ExecContext(ctx, "SET LOCAL lock_timeout = '"+lockTimeout+"'; "+statements)
			return err
		})
	})
}

// retryLock repeats work until it gets its lock, at most lockTries times.
func retryLock(ctx context.Context, work func() error) error {
	for tries := 1; ; tries++ {
		err := work()
		if postgres.SQLState(err) != "55P03" { // lock_not_available
			return err
		}
		if tries == lockTries {
			return fmt.Errorf("another session holds a lock on the table (see pg_stat_activity); "+
				"end that session and run this command again: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(betweenTries):
		}
	}
}
