package postgres

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// IsOutage reports whether err means that the database cannot answer now and may answer later. It
// refused the connection for any reason, is shutting down, is out of resources or accepts no
// writes, or a lock or a statement timed out.
func IsOutage(err error) bool {
	var connectErr *pgconn.ConnectError
	var pgErr *pgconn.PgError
	if errors.As(err, &connectErr) {
		return true
	}
	if errors.As(err, &pgErr) {
		if pgErr.Code == "0A000" && pgErr.Routine == "call_bool_check_hook" { // a standby refuses BEGIN READ WRITE
			return true
		}
		switch pgErr.Code {
		case "25006", // read_only_sql_transaction
			"25P03", "25P04", // idle_in_transaction_session_timeout, transaction_timeout
			"40001", "40P01", // serialization_failure, deadlock_detected
			"55P03", // lock_not_available
			"57014", // query_canceled, by statement_timeout
			"57P01", "57P02", "57P03", "57P05",
			"58030": // io_error
			return true
		}
		return strings.HasPrefix(pgErr.Code, "08") || strings.HasPrefix(pgErr.Code, "53")
	}
	var netErr net.Error
	return errors.As(err, &netErr) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, sql.ErrConnDone) || pgconn.SafeToRetry(err)
}

// Violates reports whether err is a violation of the named constraint or unique index. It uses the
// error's code, never the text of its message.
func Violates(err error, constraint string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && strings.HasPrefix(pgErr.Code, "23") && pgErr.ConstraintName == constraint
}

// SQLState returns the SQLSTATE of a Postgres error, or "" for any other error.
func SQLState(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}
