package schema

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"lumen/store/postgres"
)

// The reasons for which a store is not ready.
const (
	NoDatabase   = "database"   // it can't be reached, takes no connection, or takes no writes
	NoMigrations = "migrations" // some are pending
	NoRole       = "role"       // it has power, or the wall has a hole
)

// NotReadyError says why a store can't be served from now. Reason is one of the three above.
type NotReadyError struct {
	Reason string
	cause  error
}

func (e *NotReadyError) Error() string { return e.Reason + ": " + e.cause.Error() }

// Unwrap returns what was found, for the log.
func (e *NotReadyError) Unwrap() error { return e.cause }

// Ready returns a *NotReadyError unless the database would serve a new connection now: it takes one, its
// migrations and the role are as Check wants them, and it takes writes. It is a handful of round trips on
// a connection of its own: the connections of the pools may outlive what keeps others out.
func Ready(ctx context.Context, database *postgres.Database) error {
	fresh := *database
	fresh.Config = database.Config.Copy()
	fresh.Config.DefaultQueryExecMode = pgx.QueryExecModeExec // each statement is asked once: to prepare it is another round trip
	pool := fresh.Open(1)
	defer func() { _ = pool.Close() }()
	if err := checkMigrations(ctx, pool); err != nil {
		return notReady(NoMigrations, err)
	}
	if err := checkRole(ctx, pool); err != nil {
		return notReady(NoRole, err)
	}
	if err := pool.Exec(ctx, tryWriting); err != nil {
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

// tryWriting needs no table: it writes a record to the log, which is flushed when it commits, and sorts more than fits into
// the least memory there is, which takes room on the disk. A disk without room refuses the first new row that comes.
const tryWriting = `DO $$ BEGIN
	IF pg_is_in_recovery() OR current_setting('transaction_read_only')::bool OR current_setting('default_transaction_read_only')::bool THEN
		RAISE read_only_sql_transaction;
	END IF;
	PERFORM pg_logical_emit_message(true, 'lumen', 'ready');
	PERFORM set_config('work_mem', '64kB', true);
	PERFORM count(*) FROM (SELECT repeat('x', 100) FROM generate_series(1, 10000) AS n ORDER BY n DESC OFFSET 0) AS sorted;
END $$`
