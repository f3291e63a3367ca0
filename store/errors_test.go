package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// The texts are part of the contract. Those of the reference are looked up in its own words, too.
func TestTexts(t *testing.T) {
	t.Parallel()
	const emailTakenLonger = "Another customer with this email already exists. Use dangerouslyAllowSameEmailForDifferentCustomers to allow."
	require.Equal(t, map[Code]string{
		"EMAIL_REQUIRED":         "Email is required",
		"INVALID_INPUT":          "Invalid request data",
		"INVALID_ID":             "Invalid customer ID format",
		"BAD_REQUEST":            "The request body is not valid JSON",
		"UNAUTHENTICATED":        "Unauthorized",
		"FORBIDDEN":              "This credential may not do that",
		"NOT_FOUND":              "Customer not found or access denied",
		"ROUTE_NOT_FOUND":        "Not found",
		"METHOD_NOT_ALLOWED":     "Method not allowed",
		"EMAIL_TAKEN":            "A customer with this email already exists",
		"PAYLOAD_TOO_LARGE":      "Request body too large",
		"UNSUPPORTED_MEDIA_TYPE": "Content-Type must be application/json",
		"RATE_LIMITED":           "Too many requests",
		"INTERNAL":               "Internal server error",
		"UNAVAILABLE":            "Service temporarily unavailable",
	}, texts)
	require.Equal(t, emailTakenLonger, emailTakenOnUpdate)
	for code, text := range texts {
		require.Equal(t, &Error{Code: code, Message: text}, NewError(code))
	}

	reference, err := os.ReadFile("../cmd/lumen/testdata/customers-api.txt")
	require.NoError(t, err)
	literal := []string{texts[EmailRequired], texts[NotFound], texts[EmailTaken], emailTakenOnUpdate}
	for _, operation := range []string{"create customer", "update customer", "delete customer"} {
		literal = append(literal, failed(operation, errors.New("cause")).(*Error).Message)
	}
	var inReference []string
	for line := range strings.Lines(string(reference)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), `"error": "`); ok {
			inReference = append(inReference, strings.TrimSuffix(text, `"`))
		}
	}
	require.Equal(t, literal, inReference)
}

func TestIsOutage(t *testing.T) {
	t.Parallel()
	pg := func(code string) error { return &pgconn.PgError{Code: code, Message: "message"} }
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                         {nil, false},
		"any error":                       {errors.New("any"), false},
		"a refused connection":            {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		"a reset connection":              {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		"a login that failed":             {&pgconn.ConnectError{}, true},
		"a standby that is told to write": {&pgconn.PgError{Code: "0A000", Routine: "call_bool_check_hook"}, true},
		"what is not supported":           {&pgconn.PgError{Code: "0A000", Routine: "transformExpr"}, false},
		"the end of the connection":       {io.ErrUnexpectedEOF, true},
		"an EOF":                          {io.EOF, true},
		"a closed connection":             {net.ErrClosed, true},
		"a connection of a closed pool":   {sql.ErrConnDone, true},
		"a deadline":                      {context.DeadlineExceeded, true},
		"a cancelled request":             {context.Canceled, true},
		"no rows":                         {sql.ErrNoRows, false},
		"read only":                       {pg("25006"), true},
		"serialization":                   {pg("40001"), true},
		"a deadlock":                      {pg("40P01"), true},
		"a lock timeout":                  {pg("55P03"), true},
		"a statement timeout":             {pg("57014"), true},
		"an administrator's shutdown":     {pg("57P01"), true},
		"a crash":                         {pg("57P02"), true},
		"starting up":                     {pg("57P03"), true},
		"an idle session's end":           {pg("57P05"), true},
		"an idle transaction's end":       {pg("25P03"), true},
		"a file that can't be read":       {pg("58030"), true},
		"a dropped database":              {pg("57P04"), false},
		"too many connections":            {pg("53300"), true},
		"a full disk":                     {pg("53100"), true},
		"out of memory":                   {pg("53200"), true},
		"a broken protocol":               {pg("08P01"), true},
		"a lost connection":               {pg("08006"), true},
		"a unique violation":              {pg("23505"), false},
		"a missing table":                 {pg("42P01"), false},
		"no privilege":                    {pg("42501"), false},
		"a stale plan":                    {pg("0A000"), false},
		"a wrong password":                {pg("28P01"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, isOutage(c.err))
			if c.err == nil {
				return
			}
			require.Equal(t, c.want, isOutage(fmt.Errorf("insert customer: %w", c.err)))
			require.Equal(t, c.want, isOutage(errors.Join(errors.New("first"), c.err)))
		})
	}
}

func TestViolates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                            {nil, false},
		"the index":                          {&pgconn.PgError{Code: "23505", ConstraintName: uniqueEmail}, true},
		"the index, wrapped":                 {fmt.Errorf("a: %w", &pgconn.PgError{Code: "23505", ConstraintName: uniqueEmail}), true},
		"another index":                      {&pgconn.PgError{Code: "23505", ConstraintName: "customers_pkey"}, false},
		"the index's name in the text alone": {&pgconn.PgError{Code: "23505", Message: uniqueEmail, Detail: uniqueEmail}, false},
		"the index's name in another class":  {&pgconn.PgError{Code: "42P01", ConstraintName: uniqueEmail}, false},
		"the text of such an error":          {errors.New(`duplicate key value violates unique constraint "customers_email_unique" (SQLSTATE 23505)`), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, violates(c.err, uniqueEmail))
		})
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	cause := &pgconn.PgError{Code: "23505", Message: "duplicate key", Detail: "Key (email_key)=(a@example.com)", ConstraintName: "customers_pkey"}
	taken := &Error{Code: EmailTaken, Message: emailTakenOnUpdate}

	t.Run("an unknown cause is masked by the reference's text", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, &Error{Code: Internal, Message: "Failed to create customer", cause: cause}, failed("create customer", cause))
	})
	t.Run("an outage is Unavailable", func(t *testing.T) {
		t.Parallel()
		outage := fmt.Errorf("connect: %w", &pgconn.PgError{Code: "57P03"})
		require.Equal(t, &Error{Code: Unavailable, Message: "Service temporarily unavailable", cause: outage}, failed("create customer", outage))
	})
	t.Run("an outcome passes, wrapped or not", func(t *testing.T) {
		t.Parallel()
		require.Same(t, taken, failed("update customer", taken))
		require.Same(t, taken, failed("update customer", fmt.Errorf("again: %w", taken)))
	})
	t.Run("the cause is for the log alone", func(t *testing.T) {
		t.Parallel()
		err := failed("create customer", cause).(*Error)
		require.NotContains(t, err.Message, "duplicate")
		require.Contains(t, err.Error(), "INTERNAL: Failed to create customer: ")
		require.Contains(t, err.Error(), "duplicate key")
		require.ErrorIs(t, err, error(cause))
	})
	t.Run("what is no outcome is Internal for a caller", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, &Error{Code: Internal, Message: "Internal server error", cause: cause}, AsError(cause))
		require.Same(t, taken, AsError(fmt.Errorf("again: %w", taken)))
	})
	t.Run("no faults are no error", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, Invalid())
		fault := NewFault("name", TooLong)
		require.Equal(t, Fault{Field: "name", Reason: TooLong, Message: "name is too long"}, fault)
		require.Equal(t, &Error{Code: InvalidInput, Message: "Invalid request data", Faults: []Fault{fault}}, Invalid(fault))
	})
}
