package schema

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"lumen/store/postgres"
)

// The reasons of a NotReadyError.
const (
	NoDatabase   = "database"   // it is unreachable, refuses connections, or accepts no writes
	NoMigrations = "migrations" // migrations are pending
	NoRole       = "role"       // the role has too many privileges, or tenant isolation is weakened
)

// NotReadyError reports why the service is not ready for requests. Reason is one of the constants
// above.
type NotReadyError struct {
	Reason string
	cause  error
}

func (e *NotReadyError) Error() string { return e.Reason + ": " + e.cause.Error() }

// Unwrap returns the cause, for the log.
func (e *NotReadyError) Unwrap() error { return e.cause }

// Ready returns a *NotReadyError unless the database would serve a new server now: it accepts a
// connection, Check accepts its migrations and the role, and it accepts writes. Ready uses a
// connection of its own, and a few round trips, because the pools' connections may still work when
// new ones are refused.
func Ready(ctx context.Context, database *postgres.Database) error {
	fresh := *database
	fresh.Config = database.Config.Copy()
	// Each statement runs once, so preparing it would cost a round trip.
	fresh.Config.DefaultQueryExecMode = pgx.QueryExecModeExec
	pool := fresh.Open(1)
	defer func() { _ = pool.Close() }()
	if err := checkMigrations(ctx, pool); err != nil {
		return notReady(NoMigrations, err)
	}
	if err := checkRole(ctx, pool); err != nil {
		return notReady(NoRole, err)
	}
	if err := pool.Exec(ctx, writeProbe); err != nil {
		return notReady(NoDatabase, err)
	}
	return nil
}

func notReady(reason string, err error) error {
	var unsafe *UnsafeRoleError
	switch {
	case postgres.IsOutage(err):
		reason = NoDatabase
	case errors.As(err, &unsafe):
		reason = NoRole
	}
	return &NotReadyError{reason, err}
}

// writeProbe writes without a table. It writes a record to the write-ahead log, which is flushed
// when it commits, and sorts more than fits into the smallest work_mem, which takes room on the
// disk. A full disk would refuse the next new row.
const writeProbe = `DO $$ BEGIN
	IF pg_is_in_recovery() OR current_setting('transaction_read_only')::bool OR current_setting('default_transaction_read_only')::bool THEN
		RAISE read_only_sql_transaction;
	END IF;
	PERFORM pg_logical_emit_message(true, 'lumen', 'ready');
	PERFORM set_config('work_mem', '64kB', true);
	PERFORM count(*) FROM (SELECT repeat('x', 100) FROM generate_series(1, 10000) AS n ORDER BY n DESC OFFSET 0) AS sorted;
END $$`
