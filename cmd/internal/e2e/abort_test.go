package e2e

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// insertCustomers gives the merchant n customers, created 1 ms apart. The oldest is number 1.
func insertCustomers(t *testing.T, d *harness.Server, m storetest.Merchant, n int) {
	t.Helper()
	d.SQL(t, `INSERT INTO customers (merchant_id, id, email, email_key, email_shared, name, name_key, name_sort, billing_address_line1, search_key, created_at, updated_at)
		SELECT $1, 'cust_' || lpad(i::text, 8, '0'), 'filled' || i || '@example.com', 'filled' || i || '@example.com', false, 'Name ' || i, 'name ' || i, convert_to('name ' || i, 'UTF8'), md5(i::text),
			'filled' || i || '@example.com' || E'\n' || 'name ' || i || E'\n', at, at
		FROM (SELECT i, timestamptz '2024-01-01' + i * interval '1 millisecond' AS at FROM generate_series(1, $2) AS i) AS rows`, m.ID, n)
	d.SQL(t, "ANALYZE customers")
}

// failOnCustomer makes each statement fail that looks at the customer with this number.
func failOnCustomer(t *testing.T, d *harness.Server, number int) {
	t.Helper()
	d.SQL(t, `CREATE FUNCTION sound(id text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
		IF id = '`+fmt.Sprintf("cust_%08d", number)+`' THEN RAISE EXCEPTION 'injected fault'; END IF; RETURN true; END $$`)
	d.SQL(t, `CREATE POLICY poison ON customers AS RESTRICTIVE FOR SELECT TO lumen_app USING (sound(id))`)
}

// openList requests the list of customers and returns the response with its body unread.
func openList(t *testing.T, d *harness.Server, key auth.Secret, encoding string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", d.RestURL, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+string(key))
	request.Header.Set("Accept-Encoding", encoding)
	response, err := harness.Client.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// decodedBody returns a reader of the response's body without its content encoding.
func decodedBody(t *testing.T, response *http.Response, encoding string) io.Reader {
	t.Helper()
	if encoding != "gzip" {
		require.Empty(t, response.Header.Get("Content-Encoding"))
		return response.Body
	}
	require.Equal(t, "gzip", response.Header.Get("Content-Encoding"))
	plain, err := gzip.NewReader(response.Body)
	require.NoError(t, err)
	return plain
}

// TestListOfManyBatchesIsComplete lists 2345 customers, which the server reads in five statements,
// and requires each customer exactly once and in order. It fails if a batch skips or repeats a row.
func TestListOfManyBatchesIsComplete(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Many")
	const n = 2345
	insertCustomers(t, d, m, n)
	count := countStatements(t, d)
	for _, encoding := range []string{"identity", "gzip"} {
		var list struct{ Customers []struct{ ID string } }
		require.NoError(t, json.NewDecoder(decodedBody(t, openList(t, d, m.ReadKey, encoding), encoding)).Decode(&list))
		require.Len(t, list.Customers, n)
		for i, c := range list.Customers {
			require.Equal(t, fmt.Sprintf("cust_%08d", n-i), c.ID)
		}
		require.Equal(t, int64(5), count())
	}
}

// TestListThatFailsHalfWayIsAborted makes a batch fail after the first byte of the reply was sent.
// The client must see a broken connection, since a list that ends properly would look complete.
func TestListThatFailsHalfWayIsAborted(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Many")
	insertCustomers(t, d, m, 3000)
	failOnCustomer(t, d, 1200) // in the fourth batch of six
	for _, encoding := range []string{"identity", "gzip"} {
		response := openList(t, d, m.ReadKey, encoding)
		require.Equal(t, http.StatusOK, response.StatusCode)
		raw, err := io.ReadAll(response.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, encoding)
		text := requireTruncatedList(t, string(raw), encoding)
		require.NotContains(t, text, "error")
	}
	require.Equal(t, 2, strings.Count(d.Logged(), `"msg":"list aborted"`))
	require.Equal(t, 2, strings.Count(d.Logged(), `"aborted":true`))

	// The process and its database connections still work.
	d.SQL(t, "DROP POLICY poison ON customers")
	require.Equal(t, 200, d.Send(t, m.ReadKey, "GET", "/api/customers", "").Status)
}

// TestListThatFailsBeforeTheFirstByteIsAnError makes the first batch fail. The server has sent
// nothing yet and must reply with an ordinary error.
func TestListThatFailsBeforeTheFirstByteIsAnError(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Many")
	insertCustomers(t, d, m, 1500)
	failOnCustomer(t, d, 1400)
	require.Equal(t, answer{500, `{"error":"Failed to fetch customers"}`}, brief(d.Send(t, m.ReadKey, "GET", "/api/customers", "")))
}

// requireTruncatedList requires that a body is the start of a list but not a whole one. It returns
// the body without its content encoding.
func requireTruncatedList(t *testing.T, body, encoding string) string {
	t.Helper()
	if encoding == "gzip" {
		plain, err := gzip.NewReader(strings.NewReader(body))
		require.NoError(t, err)
		read, _ := io.ReadAll(plain)
		body = string(read)
	}
	require.True(t, strings.HasPrefix(body, `{"customers":[{`))
	require.False(t, json.Valid([]byte(body)))
	return body
}
