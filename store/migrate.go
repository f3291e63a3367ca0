package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"lumen/store/migrations"
)

// Migration is one step of the schema.
type Migration struct {
	Name      string     `json:"name"`
	AppliedAt *time.Time `json:"appliedAt"`
}

const (
	migrationsTable = "lumen_migrations"
	// locksTable is one that Bun's migrator makes and Lumen never uses: a killed migrator would leave it locked.
	locksTable = "lumen_migration_locks"
	// migrationLock is the session advisory lock that migrators of one database wait for. It ends with its session.
	migrationLock = 5_860_316_622_531_074
)

// MigrateUp applies the pending steps and returns them. It is safe when many start it at once: one works, the others
// wait and find nothing to do. A step that fails is undone and not noted.
func (o *Owner) MigrateUp(ctx context.Context) ([]Migration, error) {
	if err := o.ensureAppRole(ctx); err != nil {
		return nil, err
	}
	return o.migrating(ctx, func(m *migrate.Migrator) (*migrate.MigrationGroup, error) { return m.Migrate(ctx) })
}

// MigrateDown undoes the steps that the last MigrateUp applied, with all that their tables hold, and returns them.
func (o *Owner) MigrateDown(ctx context.Context) ([]Migration, error) {
	undone, err := o.migrating(ctx, func(m *migrate.Migrator) (*migrate.MigrationGroup, error) { return m.Rollback(ctx) })
	for i := range undone {
		undone[i].AppliedAt = nil
	}
	return undone, err
}

func (o *Owner) migrating(ctx context.Context, work func(*migrate.Migrator) (*migrate.MigrationGroup, error)) (_ []Migration, err error) {
	lock, err := o.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	defer func() {
		// Closing returns the session to the pool, so the lock is given back first.
		_, unlockErr := lock.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(?)", migrationLock)
		err = errors.Join(err, unlockErr, lock.Close())
	}()
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock(?)", migrationLock); err != nil {
		return nil, fmt.Errorf("migrate: wait for other migrators: %w", err)
	}

	migrator, err := newMigrator(o.db)
	if err != nil {
		return nil, err
	}
	if err := migrator.Init(ctx); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	group, err := work(migrator)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	return asMigrations(group.Migrations), nil
}

// Migrations returns all steps with when they were applied.
func (o *Owner) Migrations(ctx context.Context) ([]Migration, error) {
	return migrationStatus(ctx, o.db)
}

// CheckMigrations returns an error that says how many steps are pending, if any are, or what CheckRole says if the role
// may not even ask. The first step is what lets lumen_app ask: a sound role that may not has all of them before it.
func (s *Store) CheckMigrations(ctx context.Context) error { return checkMigrations(ctx, s.lookUps.db) }

func checkMigrations(ctx context.Context, db *bun.DB) error {
	steps, err := migrationStatus(ctx, db)
	if sqlState(err) == "42501" {
		if unsafe := checkRole(ctx, db); unsafe != nil {
			return unsafe
		}
		var all *migrate.Migrations
		if all, err = discover(); err == nil {
			steps = asMigrations(all.Sorted())
		}
	}
	if err != nil {
		return err
	}
	pending := 0
	for _, step := range steps {
		if step.AppliedAt == nil {
			pending++
		}
	}
	if pending > 0 {
		return fmt.Errorf("%d of %d migrations are pending; run: lumen migrate up", pending, len(steps))
	}
	return nil
}

func migrationStatus(ctx context.Context, db *bun.DB) ([]Migration, error) {
	migrator, err := newMigrator(db)
	if err != nil {
		return nil, err
	}
	steps, err := migrator.MigrationsWithStatus(ctx)
	if sqlState(err) == "42P01" { // undefined_table: nothing was ever migrated
		all, err := discover()
		if err != nil {
			return nil, err
		}
		return asMigrations(all.Sorted()), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the migrations' status: %w", err)
	}
	return asMigrations(steps), nil
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

func discover() (*migrate.Migrations, error) {
	steps := migrate.NewMigrations()
	if err := steps.Discover(migrations.Files); err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	return steps, nil
}

func newMigrator(db *bun.DB) (*migrate.Migrator, error) {
	steps, err := discover()
	if err != nil {
		return nil, err
	}
	return migrate.NewMigrator(db, steps,
		migrate.WithTableName(migrationsTable),
		migrate.WithLocksTableName(locksTable),
		migrate.WithMarkAppliedOnSuccess(true),
		migrate.WithUpsert(true),
		migrate.AfterMigration(note)), nil
}

// note records a step in the step's own transaction, so that a migrator that is killed leaves it done and noted or
// neither. Bun writes the same once more after the commit, which is why the migrator upserts.
func note(ctx context.Context, tx bun.IConn, step *migrate.Migration) error {
	if step.IsApplied() { // then it was just undone
		_, err := tx.ExecContext(ctx, "DELETE FROM "+migrationsTable+" WHERE id = ?", step.ID)
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO "+migrationsTable+" (name, group_id) VALUES (?, ?)", step.Name, step.GroupID)
	return err
}

// sqlState returns the SQLSTATE of a Postgres error, "" for any other.
func sqlState(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}
