package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestIsOutage(t *testing.T) {
	t.Parallel()
	pg := func(code string) error { return &pgconn.PgError{Code: code, Message: "message"} }
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"no error":                       {nil, false},
		"any error":                      {errors.New("any"), false},
		"a refused connection":           {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		"a reset connection":             {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		"a login that failed":            {&pgconn.ConnectError{}, true},
		"a write on a standby":           {&pgconn.PgError{Code: "0A000", Routine: "call_bool_check_hook"}, true},
		"an unsupported feature":         {&pgconn.PgError{Code: "0A000", Routine: "transformExpr"}, false},
		"an unexpected EOF":              {io.ErrUnexpectedEOF, true},
		"an EOF":                         {io.EOF, true},
		"a closed connection":            {net.ErrClosed, true},
		"a connection of a closed pool":  {sql.ErrConnDone, true},
		"a deadline":                     {context.DeadlineExceeded, true},
		"a cancelled request":            {context.Canceled, true},
		"no rows":                        {sql.ErrNoRows, false},
		"read only":                      {pg("25006"), true},
		"serialization":                  {pg("40001"), true},
		"a deadlock":                     {pg("40P01"), true},
		"a lock timeout":                 {pg("55P03"), true},
		"a statement timeout":            {pg("57014"), true},
		"a shutdown by an administrator": {pg("57P01"), true},
		"a crash":                        {pg("57P02"), true},
		"starting up":                    {pg("57P03"), true},
		"an idle session timeout":        {pg("57P05"), true},
		"an idle transaction timeout":    {pg("25P03"), true},
		"an I/O error":                   {pg("58030"), true},
		"a dropped database":             {pg("57P04"), false},
		"too many connections":           {pg("53300"), true},
		"a full disk":                    {pg("53100"), true},
		"out of memory":                  {pg("53200"), true},
		"a broken protocol":              {pg("08P01"), true},
		"a lost connection":              {pg("08006"), true},
		"a unique violation":             {pg("23505"), false},
		"a missing table":                {pg("42P01"), false},
		"no privilege":                   {pg("42501"), false},
		"a stale plan":                   {pg("0A000"), false},
		"a wrong password":               {pg("28P01"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, IsOutage(c.err))
			if c.err == nil {
				return
			}
			require.Equal(t, c.want, IsOutage(fmt.Errorf("insert customer: %w", c.err)))
			require.Equal(t, c.want, IsOutage(errors.Join(errors.New("first"), c.err)))
		})
	}
}

func TestViolates(t *testing.T) {
	t.Parallel()
	const index = "customers_email_unique"
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"no error":                          {nil, false},
		"the index":                         {&pgconn.PgError{Code: "23505", ConstraintName: index}, true},
		"the index, wrapped":                {fmt.Errorf("a: %w", &pgconn.PgError{Code: "23505", ConstraintName: index}), true},
		"another index":                     {&pgconn.PgError{Code: "23505", ConstraintName: "customers_pkey"}, false},
		"the index's name only in the text": {&pgconn.PgError{Code: "23505", Message: index, Detail: index}, false},
		"the index's name in another class": {&pgconn.PgError{Code: "42P01", ConstraintName: index}, false},
		"an error with the same text":       {errors.New(`duplicate key value violates unique constraint "customers_email_unique" (SQLSTATE 23505)`), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, Violates(c.err, index))
		})
	}
}
