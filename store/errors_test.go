package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// The messages are part of the contract. Those of the reference are also read from the reference
// itself.
func TestMessages(t *testing.T) {
	t.Parallel()
	const emailTakenLonger = "Another customer with this email already exists. Use dangerouslyAllowSameEmailForDifferentCustomers to allow."
	want := map[Code]string{
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
		"TOKENS_NOT_CONFIGURED":  "Access tokens are not configured on this server",
		"VERSION_CONFLICT":       "The customer was changed in the meantime",
		"CURSOR_EXPIRED":         "This cursor has expired; list again and continue from the new cursor",
	}
	require.Len(t, registry, len(want))
	require.Equal(t, emailTakenLonger, emailTakenOnUpdate)
	for code, text := range want {
		require.Equal(t, &Error{Code: code, Message: text, Noun: "customer"}, customers.NewError(code))
		if !strings.Contains(registry[code].text, "{") {
			require.Equal(t, &Error{Code: code, Message: text}, NewError(code))
		}
	}

	reference, err := os.ReadFile("../cmd/internal/e2e/testdata/customers-api.txt")
	require.NoError(t, err)
	literal := []string{want[EmailRequired], want[NotFound], want[EmailTaken], emailTakenOnUpdate}
	for _, operation := range []string{"create customer", "update customer", "delete customer"} {
		literal = append(literal, Failed(operation, errors.New("cause")).(*Error).Message)
	}
	var inReference []string
	for line := range strings.Lines(string(reference)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), `"error": "`); ok {
			inReference = append(inReference, strings.TrimSuffix(text, `"`))
		}
	}
	require.Equal(t, literal, inReference)
}

func TestFailed(t *testing.T) {
	t.Parallel()
	cause := &pgconn.PgError{Code: "23505", Message: "duplicate key", Detail: "Key (email_key)=(a@example.com)", ConstraintName: "customers_pkey"}
	taken := &Error{Code: EmailTaken, Message: emailTakenOnUpdate}

	t.Run("an unknown cause gets the reference's message", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, &Error{Code: Internal, Message: "Failed to create customer", cause: cause}, Failed("create customer", cause))
	})
	t.Run("an outage is Unavailable", func(t *testing.T) {
		t.Parallel()
		outage := fmt.Errorf("connect: %w", &pgconn.PgError{Code: "57P03"})
		require.Equal(t, &Error{Code: Unavailable, Message: "Service temporarily unavailable", cause: outage}, Failed("create customer", outage))
	})
	t.Run("an outcome is returned unchanged, wrapped or not", func(t *testing.T) {
		t.Parallel()
		require.Same(t, taken, Failed("update customer", taken))
		require.Same(t, taken, Failed("update customer", fmt.Errorf("again: %w", taken)))
	})
	t.Run("only the log shows the cause", func(t *testing.T) {
		t.Parallel()
		err := Failed("create customer", cause).(*Error)
		require.NotContains(t, err.Message, "duplicate")
		require.Contains(t, err.Error(), "INTERNAL: Failed to create customer: ")
		require.Contains(t, err.Error(), "duplicate key")
		require.ErrorIs(t, err, error(cause))
	})
	t.Run("any other error is Internal", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, &Error{Code: Internal, Message: "Internal server error", cause: cause}, AsError(cause))
		require.Same(t, taken, AsError(fmt.Errorf("again: %w", taken)))
	})
	t.Run("without faults Invalid returns nil", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, Invalid())
		fault := NewFault("name", TooLong, "must be at most 255 characters")
		require.Equal(t, Fault{Field: "name", Reason: TooLong, Message: "name must be at most 255 characters"}, fault)
		require.Equal(t, Fault{Field: "label", Reason: TooLong, Message: "label must be at most 255 characters"}, fault.Rename("label"))
		require.Equal(t, &Error{Code: InvalidInput, Message: "Invalid request data", Faults: []Fault{fault}}, Invalid(fault))
	})
}

// If the client leaves while its statement waits, nothing is logged. A statement that was sent and
// fails is logged, even if its client has left meanwhile.
func TestOutcomeAfterClientLeft(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		logged bool
		want   Code
	}{
		{Failed("fetch customer", context.Canceled), false, ClientLeft},
		{Failed("fetch customer", fmt.Errorf("wait: %w", context.Canceled)), false, ClientLeft},
		{Failed("fetch customer", context.DeadlineExceeded), true, Unavailable},
		{Failed("fetch customer", errors.New("a bug")), true, Internal},
		{NewError(Unavailable), false, Unavailable},
		{NewError(NotFound), false, NotFound},
		{NewError(TokensNotConfigured), false, TokensNotConfigured},
	} {
		known := AsError(c.err)
		require.Equal(t, c.logged, known.IsLogged(), "%v", c.err)
		require.Equal(t, c.want, known.Outcome(), "%v", c.err)
	}
}
