package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store"
	"lumen/store/owner"
)

// brief returns a reply without its headers.
func brief(r harness.Reply) answer { return answer{r.Status, r.Body} }

// answer is the status and the body of a reply.
type answer struct {
	status int
	body   string
}

// header returns a change of a request that sets a header, or removes it if there are no values.
func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		for _, v := range values {
			r.Header.Add(name, v)
		}
	}
}

// allRows returns the rows of all nouns and merchants, each as JSON text.
func allRows(t testing.TB, d *harness.Server) (all []string) {
	t.Helper()
	for _, noun := range store.Nouns() {
		all = append(all, d.Lines(t, "SELECT to_jsonb(c)::text FROM "+noun.Table()+" AS c ORDER BY merchant_id, id")...)
	}
	return all
}

// credentialLifetime is the longest time for which a credential may still work after it was ended.
const credentialLifetime = 5 * time.Second

// requireStopsWithinLifetime requires that a credential that was ended just now works until it is
// refused with 401, and that this happens within credentialLifetime.
func requireStopsWithinLifetime(t testing.TB, status func() int) {
	t.Helper()
	for ended := time.Now(); ; {
		began := time.Now()
		got := status()
		if got == http.StatusUnauthorized {
			return
		}
		require.Equal(t, http.StatusOK, got)
		require.Less(t, began.Sub(ended), credentialLifetime)
		time.Sleep(5 * time.Millisecond)
	}
}

// requireStopsWithMerchantAndKey requires that a credential stops while the merchant of its API key
// is disabled, works again when the merchant is enabled, and stops for ever when the key is
// revoked.
func requireStopsWithMerchantAndKey(t testing.TB, operator *owner.Owner, key owner.Key, status func() int) {
	t.Helper()
	require.Equal(t, 200, status())
	_, err := operator.Merchants.Disable(t.Context(), key.MerchantID)
	require.NoError(t, err)
	requireStopsWithinLifetime(t, status)
	_, err = operator.Merchants.Enable(t.Context(), key.MerchantID)
	require.NoError(t, err)
	require.Equal(t, 200, status())
	_, err = operator.Keys.Revoke(t.Context(), key.ID)
	require.NoError(t, err)
	requireStopsWithinLifetime(t, status)
}

// countStatements makes Postgres count the service's statements on customers. It adds a policy
// whose uncorrelated sub-select advances a sequence; Postgres evaluates it once in each statement
// that looks at a row. The returned function returns the number of statements since its last call.
func countStatements(t testing.TB, d *harness.Server) func() int64 {
	t.Helper()
	d.SQL(t, "CREATE SEQUENCE statements")
	d.SQL(t, "GRANT USAGE ON SEQUENCE statements TO lumen_app")
	d.SQL(t, "CREATE POLICY counted ON customers AS RESTRICTIVE TO lumen_app USING ((SELECT nextval('statements')) > 0)")
	var last int64
	return func() int64 {
		var now int64
		require.NoError(t, d.Superuser().QueryRow(t.Context(), "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM statements").Scan(&now))
		n := now - last
		last = now
		return n
	}
}

func compact(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Compact(&b, []byte(text)), text)
	return b.String()
}

var (
	anyID        = regexp.MustCompile(`"[a-z]+_[a-z0-9_]+"`)
	anyTime      = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"`)
	anyRequestID = regexp.MustCompile(`"requestId":"[A-Z2-7]{26}"`)
)

// normalized returns the text with the ids of rows, times and request ids replaced by constants, so
// that replies about different rows can be compared.
func normalized(text string) string {
	text = anyID.ReplaceAllStringFunc(text, func(id string) string {
		if slices.ContainsFunc(store.Nouns(), func(n store.Noun) bool { return n.IsID(strings.Trim(id, `"`)) }) {
			return `"ID"`
		}
		return id
	})
	return anyRequestID.ReplaceAllString(anyTime.ReplaceAllString(text, `"TIME"`), `"requestId":"REQUEST"`)
}

// expectedMessage returns the message that an error with this field and code must have.
func expectedMessage(field, code string) string {
	byField := map[string]string{
		"email": "must be an email address", "userId": "must be text of 1 to 255 characters", "billingCountry": "must be an ISO 3166-1 alpha-2 code",
		"limit": "must be 1 to 250", "first": "must be 1 to 250", "last": "must be 1 to 250", "search": "must be text of 2 to 100 characters",
		"cursor": "must be a cursor that this list returned", "after": "must be a cursor that this list returned", "before": "must be a cursor that this list returned",
		"updatedSince": "must be an RFC 3339 time, YYYY-MM-DDThh:mm:ssZ", "from": "must be an RFC 3339 time, YYYY-MM-DDThh:mm:ssZ",
		"createdAt": "must be in the years 1 to 9999", "ids": "must be at most 250 ids", "includeDeleted": "must be true or false",
		"access": "must be read or write", "customerId": "must be a customer ID", "expiresIn": "must be 1 to 3600",
	}
	lengths := map[string]string{"billingPostalCode": "32", "taxId": "64"}
	switch {
	case code == "TOO_LONG" && field == "email":
		return "must be at most 254 octets"
	case code == "TOO_LONG" && (byField[field] == "" || field == "userId"):
		return "must be at most " + cmp.Or(lengths[field], "255") + " characters"
	case code == "FORBIDDEN_CHARACTER" && slices.Contains([]string{"email", "userId", "billingPostalCode", "taxId"}, field):
		return "must not contain control characters or invisible characters"
	case code == "FORBIDDEN_CHARACTER":
		return "must not contain control characters"
	case code == "WRONG_TYPE" && field == store.DangerousFlag:
		return "must be true or false"
	case code == "WRONG_TYPE" && field == "expiresIn":
		return "must be a whole number"
	case code == "WRONG_TYPE":
		return "must be a string"
	}
	return byField[field]
}
