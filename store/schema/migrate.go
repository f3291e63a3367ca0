package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"lumen/store/postgres"
	"lumen/store/schema/migrations"
)

// Migrator migrates the schema of a database, as the owner of the tables.
type Migrator struct {
	pool   *postgres.Pool
	config *pgx.ConnConfig
	lock   *bun.Conn // holds the migration lock while one works
	// Rekeyed counts what Up and Rekey did to the keys of existing rows.
	Rekeyed Rekeyed
	// Progress, if not nil, is called with the number of rows read so far while keys are computed.
	Progress func(rows int)
}

// Open returns a Migrator for the database at url. It connects when it is first used.
func Open(url string) (*Migrator, error) {
	config, err := postgres.ParseOwner(url)
	if err != nil {
		return nil, err
	}
	return &Migrator{pool: postgres.Open(config, nil, connections), config: config}, nil
}

// Await calls postgres.Await for the database.
func (m *Migrator) Await(ctx context.Context, timeout time.Duration, waiting func(reason error)) error {
	return postgres.Await(ctx, m.config, timeout, waiting)
}

// connections is the size of a Migrator's pool. One connection holds the lock, another migrates.
const connections = 4

// Close closes all connections.
func (m *Migrator) Close() error { return m.pool.Close() }

// Migration is one step of the schema.
type Migration struct {
	Name      string     `json:"name"`
	AppliedAt *time.Time `json:"appliedAt"`
}

func (m Migration) isApplied() bool { return m.AppliedAt != nil }

const (
	migrationsTable = "lumen_migrations"
	// locksTable is created by Bun's migrator, and Lumen does not use it: a killed migrator would
	// leave it locked.
	locksTable = "lumen_migration_locks"
	// migrationLock is the session advisory lock of the migrators of one database. It ends with the
	// session.
	migrationLock = 5_860_316_622_531_074
)

// Up applies the pending migrations and returns them. Several processes may call it at the same
// time: one migrates, the others wait and then have nothing to do. A migration that fails is not
// recorded, and an SQL migration is rolled back. Then Up checks the catalogue as the service does,
// so it may return an *UnsafeRoleError together with applied migrations.
func (m *Migrator) Up(ctx context.Context) (applied []Migration, err error) {
	steps, _, err := migrationStatus(ctx, m.pool)
	if err != nil || countPending(steps) > 0 { // if the steps can't be read, apply finds out why
		if applied, err = m.apply(ctx); err != nil {
			return applied, err
		}
	}
	return applied, checkSchema(ctx, m.pool, func(newer bool) error {
		return m.pool.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			if _, err := tx.ExecContext(ctx, trustedSearchPath); err != nil {
				return fmt.Errorf("read the catalogue: %w", err)
			}
			return checkCatalogue(ctx, tx, newer)
		})
	})
}

// apply applies the pending migrations, after checks of the database and its owner.
func (m *Migrator) apply(ctx context.Context) ([]Migration, error) {
	if err := checkTarget(ctx, m.pool); err != nil {
		return nil, err
	}
	if err := ensureRoles(ctx, m.pool); err != nil {
		return nil, err
	}
	return m.migrating(ctx, func(m *migrate.Migrator) (*migrate.MigrationGroup, error) { return m.Migrate(ctx) })
}

// Loss is what Down would delete: the steps that it undoes, and the numbers of merchants and of
// customers, including deleted customers.
type Loss struct {
	Steps                []string
	Merchants, Customers int64
}

// The steps whose undoing deletes rows.
const (
	merchantsStep = "0001"
	customersStep = "0002"
	tokenKeysStep = "0003"
	es256Step     = "0005"
	changesStep   = "0008"
)

// Tables describes what would be deleted, for messages.
func (l Loss) Tables() (lost []string) {
	plural := func(n int64, noun string) string {
		if n == 1 {
			return "1 " + noun
		}
		return fmt.Sprintf("%d %ss", n, noun)
	}
	for _, step := range l.Steps {
		switch step {
		case merchantsStep:
			lost = append(lost, plural(l.Merchants, "merchant"), "all API keys")
		case customersStep:
			lost = append(lost, plural(l.Customers, "customer"))
		case changesStep:
			lost = append(lost, "the log of changes")
		case tokenKeysStep:
			lost = append(lost, "the keys that sign access tokens")
		case es256Step:
			if !slices.Contains(l.Steps, tokenKeysStep) {
				lost = append(lost, "the ES256 keys that sign access tokens")
			}
		}
	}
	return lost
}

// CountLoss returns what Down would delete now. It locks the table of customers while it counts:
// row-level security applies to the owner, too, so CountLoss lifts it in a transaction that it
// rolls back.
func (m *Migrator) CountLoss(ctx context.Context) (loss Loss, err error) {
	const lastGroup = "SELECT name FROM " + migrationsTable +
		" WHERE group_id = (SELECT max(group_id) FROM " + migrationsTable + ") ORDER BY name"
	err = m.pool.NewRaw(lastGroup).Scan(ctx, &loss.Steps)
	if postgres.SQLState(err) == "42P01" { // undefined_table: nothing was ever migrated
		return Loss{}, nil
	}
	if err != nil {
		return Loss{}, fmt.Errorf("count what would be deleted: %w", err)
	}
	tx, err := m.pool.BeginTx(ctx, nil)
	if err != nil {
		return Loss{}, fmt.Errorf("count what would be deleted: %w", err)
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	count := func(step, table string, into *int64) {
		if err == nil && slices.Contains(loss.Steps, step) {
			err = tx.NewRaw("SELECT count(*) FROM "+table).Scan(ctx, into)
		}
	}
	if slices.Contains(loss.Steps, customersStep) {
		_, err = tx.ExecContext(ctx, "SET LOCAL lock_timeout = '2s'; ALTER TABLE customers NO FORCE ROW LEVEL SECURITY")
	}
	count(customersStep, "customers", &loss.Customers)
	count(merchantsStep, "merchants", &loss.Merchants)
	if err != nil {
		return Loss{}, fmt.Errorf("count what would be deleted: %w", err)
	}
	return loss, nil
}

// Down undoes the migrations that the last Up applied, deletes all data in their tables, and
// returns the migrations.
func (m *Migrator) Down(ctx context.Context) ([]Migration, error) {
	undone, err := m.migrating(ctx, func(m *migrate.Migrator) (*migrate.MigrationGroup, error) {
		return m.Rollback(ctx)
	})
	for i := range undone {
		undone[i].AppliedAt = nil
	}
	return undone, err
}

func (m *Migrator) migrating(
	ctx context.Context, work func(*migrate.Migrator) (*migrate.MigrationGroup, error),
) (steps []Migration, err error) {
	err = m.locked(ctx, func() error {
		migrator, err := m.newMigrator()
		if err != nil {
			return err
		}
		if err := migrator.Init(ctx); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		group, err := work(migrator)
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		steps = asMigrations(group.Migrations)
		return nil
	})
	return steps, err
}

// locked runs work while it holds the migration lock.
func (m *Migrator) locked(ctx context.Context, work func() error) (err error) {
	lock, err := m.pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer func() {
		// Close returns the session to the pool, so the lock is released first.
		_, unlockErr := lock.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(?)", migrationLock)
		err = errors.Join(err, unlockErr, lock.Close())
	}()
	// pg_advisory_lock would be a statement that waits, and CREATE INDEX CONCURRENTLY waits for
	// every statement that began before it.
	for held := false; !held; {
		if err := lock.NewRaw("SELECT pg_try_advisory_lock(?)", migrationLock).Scan(ctx, &held); err != nil {
			return fmt.Errorf("migrate: wait for other migrators: %w", err)
		}
		if !held {
			time.Sleep(lockPoll)
		}
	}
	m.lock = &lock
	return work()
}

// lockPoll is how long a migrator waits before it tries to get the lock again.
const lockPoll = 50 * time.Millisecond

// Status returns all migrations with the times at which they were applied.
func (m *Migrator) Status(ctx context.Context) ([]Migration, error) {
	steps, _, err := migrationStatus(ctx, m.pool)
	return steps, err
}

// checkMigrations returns an error with the number of pending steps, if there are any. If the role
// may not read them, it returns the error of checkRole: the first step grants this to lumen_app, so
// a sound role that may not read them means that no step was applied.
func checkMigrations(ctx context.Context, pool *postgres.Pool) error {
	steps, _, err := migrationStatus(ctx, pool)
	if postgres.SQLState(err) == "42501" || err == nil && !slices.ContainsFunc(steps, Migration.isApplied) {
		// No migration was applied, or the role may not read the table of migrations.
		if unsafe := checkUnseen(ctx, pool); unsafe != nil {
			return unsafe
		}
		steps, err = knownMigrations()
	}
	if err != nil {
		return err
	}
	if pending := countPending(steps); pending > 0 {
		return fmt.Errorf("%d of %d migrations are pending; run: lumen migrate up", pending, len(steps))
	}
	return nil
}

func countPending(steps []Migration) (n int) {
	for _, step := range steps {
		if !step.isApplied() {
			n++
		}
	}
	return n
}

// checkUnseen returns why a role sees no applied steps, or nil if none were applied.
func checkUnseen(ctx context.Context, pool *postgres.Pool) error {
	var found []struct{ Migrated bool }
	err := pool.Query(ctx, &found, "SELECT to_regclass('public.merchants') IS NOT NULL AS migrated")
	if err != nil || !found[0].Migrated {
		return err
	}
	if err := checkLogin(ctx, pool); err != nil {
		return err
	}
	return pool.Use(ctx, func(db bun.IDB) error { return checkCatalogue(ctx, db, false) })
}

// migrationStatus returns the steps that this program knows, and whether the database has others,
// so that its schema is newer than the program.
func migrationStatus(ctx context.Context, pool *postgres.Pool) (steps []Migration, newer bool, err error) {
	if steps, err = knownMigrations(); err != nil {
		return nil, false, err
	}
	var applied []struct {
		Name       string
		MigratedAt time.Time
	}
	err = pool.Query(ctx, &applied, "SELECT name, migrated_at FROM public."+migrationsTable+" ORDER BY name")
	if postgres.SQLState(err) == "42P01" { // undefined_table: nothing was ever migrated
		return steps, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read the migrations' status: %w", err)
	}
	for _, step := range applied {
		known := slices.IndexFunc(steps, func(m Migration) bool { return strings.HasPrefix(m.Name, step.Name+"_") })
		if known < 0 {
			newer = true
			continue
		}
		at := step.MigratedAt.UTC()
		steps[known].AppliedAt = &at
	}
	return steps, newer, nil
}

// knownMigrations returns the steps that this program knows, all as not applied.
func knownMigrations() ([]Migration, error) {
	all, err := (*Migrator)(nil).discover()
	if err != nil {
		return nil, err
	}
	return asMigrations(all.Sorted()), nil
}

func asMigrations(steps migrate.MigrationSlice) []Migration {
	list := make([]Migration, len(steps))
	for i, step := range steps {
		list[i].Name = step.String()
		if step.IsApplied() && !step.MigratedAt.IsZero() {
			at := step.MigratedAt.UTC()
			list[i].AppliedAt = &at
		}
	}
	return list
}

// discover returns all steps. Those in Go call m when they run.
func (m *Migrator) discover() (*migrate.Migrations, error) {
	steps := migrate.NewMigrations()
	if err := errors.Join(steps.Discover(migrations.Files), m.registerKeys(steps), m.registerVersions(steps)); err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	return steps, nil
}

func (m *Migrator) newMigrator() (*migrate.Migrator, error) {
	steps, err := m.discover()
	if err != nil {
		return nil, err
	}
	return migrate.NewMigrator(m.pool.DB, steps,
		migrate.WithTableName(migrationsTable),
		migrate.WithLocksTableName(locksTable),
		migrate.WithMarkAppliedOnSuccess(true),
		migrate.WithUpsert(true),
		migrate.AfterMigration(recordStep)), nil
}

// recordStep records a step. An SQL step is recorded in its own transaction, so if the migrator is
// killed, the step is either applied and recorded or neither. Bun records it again after the
// commit, so the migrator upserts.
func recordStep(ctx context.Context, tx bun.IConn, step *migrate.Migration) error {
	if step.IsApplied() { // this is Down, which has just undone the step
		_, err := tx.ExecContext(ctx, "DELETE FROM "+migrationsTable+" WHERE id = ?", step.ID)
		return err
	}
	const insert = "INSERT INTO " + migrationsTable + " (name, group_id) VALUES (?, ?)"
	if _, err := tx.ExecContext(ctx, insert, step.Name, step.GroupID); err != nil {
		return err
	}
	return revokeThirdRoles(ctx, tx)
}
