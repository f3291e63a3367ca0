package store

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every message names the expected form, for every field and every reason.
func TestMessagesNameExpectedForm(t *testing.T) {
	t.Parallel()
	const control = "must not contain control characters"
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		field string
		value any
		form  string
	}{
		{"email", "nobody", "must be an email address"},
		{"email", long, "must be at most 254 octets"},
		{"email", "a\u200b@b.c", control + " or invisible characters"},
		{"email", Mistyped{}, "must be a string"},
		{"name", long, "must be at most 255 characters"},
		{"name", "a\x00", control},
		{"name", "\xff", "must be text of 1 to 255 characters"},
		{"name", Mistyped{}, "must be a string"},
		{"userId", long, "must be at most 255 characters"},
		{"userId", "a\u200b", control + " or invisible characters"},
		{"billingAddressLine1", long, "must be at most 255 characters"},
		{"billingAddressLine2", "a\x1b", control},
		{"billingCity", Mistyped{}, "must be a string"},
		{"billingPostalCode", long, "must be at most 32 characters"},
		{"billingPostalCode", "a\u200b", control + " or invisible characters"},
		{"billingCountry", "XX", "must be an ISO 3166-1 alpha-2 code"},
		{"billingCountry", "uk", "must be an ISO 3166-1 alpha-2 code: use GB for the United Kingdom"},
		{"billingCountry", "EL", "must be an ISO 3166-1 alpha-2 code: use GR for Greece"},
		{"billingCountry", "U\x00", control},
		{"billingCountry", Mistyped{}, "must be a string"},
		{"taxId", long, "must be at most 64 characters"},
		{"taxId", "a\u200b", control + " or invisible characters"},
		{DangerousFlag, "true", "must be true or false"},
	} {
		_, err := customers.normalize(Input{c.field: c.value}, false)
		require.Len(t, AsError(err).Faults, 1)
		require.Equal(t, c.field+" "+c.form, AsError(err).Faults[0].Message, "%s %v", c.field, c.value)
	}
	for _, c := range []struct {
		field string
		value any
		form  string
	}{
		{"customerId", "x", "must be an ID"},
		{"customerId", true, "must be a string"},
		{"label", nil, "must be text of 1 to 20 characters"},
		{"size", int64(-6), "must be -5 to 1099511627776"},
		{"size", "1", "must be a whole number"},
		{"state", "old", "must be one of new, used, worn"},
		{"state", true, "must be a string"},
		{"dueAt", nil, TimeForm},
		{"dueAt", "2026", TimeForm},
		{"active", nil, "must be true or false"},
		{"active", "true", "must be true or false"},
		{"force", "true", "must be true or false"},
	} {
		in := Input{"customerId": "cust_1", "label": "x", "size": int64(1), "dueAt": time.Now(), "active": true}
		in[c.field] = c.value
		_, err := gadgets("").normalize(in, true)
		require.Len(t, AsError(err).Faults, 1)
		require.Equal(t, c.field+" "+c.form, AsError(err).Faults[0].Message, "%s %v", c.field, c.value)
	}
	_, faults := customers.resolve(Filter{"email": " ", "userId": "", "billingCountry": "", "search": "x"})
	require.Equal(t, []Fault{
		{Field: "email", Reason: InvalidFormat, Message: "email must be an email address"},
		{Field: "userId", Reason: InvalidFormat, Message: "userId must be text of 1 to 255 characters"},
		{Field: "billingCountry", Reason: InvalidFormat, Message: "billingCountry must be an ISO 3166-1 alpha-2 code"},
		{Field: "search", Reason: InvalidFormat, Message: "search must be text of 2 to 100 characters"},
	}, faults)
}

// Equal faults become one fault with a count.
func TestEqualFaultsAreMerged(t *testing.T) {
	t.Parallel()
	a, b := NewFault("a", InvalidFormat, "must be b"), NewFault("b", TooLong, "must be a")
	same := NewFault("a", TooLong, "must be b") // the same message with another reason
	require.Equal(t, []Fault{
		{Field: "a", Reason: InvalidFormat, Message: "a must be b (3 times)"}, b, same,
	}, AsError(Invalid(a, b, a, same, a)).Faults)
}
