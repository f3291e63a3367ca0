package e2e

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// TestManyRequestsBehindALock sends more requests than there are database connections while a lock
// blocks all of them. Each must get 503 with Retry-After within 15 s, and none may be dropped.
func TestManyRequestsBehindALock(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Patient")
	tx, err := d.Superuser().Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	var done sync.WaitGroup
	for range 120 {
		done.Go(func() {
			start := time.Now()
			r := d.Send(t, m.WriteKey, "GET", "/api/customers/cust_a", "")
			if r.Status != 503 || r.Header.Get("Retry-After") == "" || time.Since(start) > 15*time.Second {
				t.Errorf("%v after %v", brief(r), time.Since(start))
			}
		})
	}
	done.Wait()
	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, 404, d.Send(t, m.WriteKey, "GET", "/api/customers/cust_a", "").Status)
}

// TestFloodBehindALockIsRefusedEarly sends 700 requests of one merchant while a lock blocks them.
// Only a limited number may wait. The server must refuse the rest at once, before it reads their
// bodies, and must not log them as failed. Another merchant's requests must still be accepted.
func TestFloodBehindALockIsRefusedEarly(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m, other := d.Merchant(t, "Flood"), d.Merchant(t, "Other")
	require.Equal(t, 404, d.Send(t, m.WriteKey, "GET", "/api/customers/cust_a", "").Status)
	require.Equal(t, 404, d.Send(t, other.WriteKey, "GET", "/api/customers/cust_a", "").Status)
	tx, err := d.Superuser().Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }() // otherwise the database could not be dropped
	_, err = tx.Exec(t.Context(), "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	var done sync.WaitGroup
	require.Equal(t, 400, d.Send(t, m.WriteKey, "POST", "/api/customers", `{"not json`).Status, "a body is read while no request waits")
	for range 700 {
		done.Go(func() {
			if r := d.Send(t, m.WriteKey, "GET", "/api/customers/cust_a", ""); r.Status != 503 || r.Header.Get("Retry-After") == "" {
				t.Error(brief(r))
			}
		})
	}
	require.Eventually(t, func() bool {
		refused := d.Send(t, m.WriteKey, "POST", "/api/customers", `{"not json`)
		return refused.Status == 503 && refused.Header.Get("Retry-After") != ""
	}, 5*time.Second, time.Millisecond)
	require.Equal(t, 400, d.Send(t, other.WriteKey, "POST", "/api/customers", `{"not json`).Status, "another merchant's body is still read")
	done.Wait()
	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, 404, d.Send(t, m.WriteKey, "GET", "/api/customers/cust_a", "").Status)
	require.LessOrEqual(t, strings.Count(d.Logged(), `"msg":"request failed"`), 100, "only requests that had a connection may be logged as failed")
}

// TestFailedKeyLookupIsUnavailable makes the lookup of keys fail. Both APIs must reply 503, since
// 401 would tell the client that its valid key is wrong.
func TestFailedKeyLookupIsUnavailable(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Lost")
	d.SQL(t, "REVOKE EXECUTE ON FUNCTION lumen_authenticate(bytea) FROM lumen_app")
	r := d.Send(t, m.WriteKey, "GET", "/api/customers", "")
	require.Equal(t, answer{503, `{"error":"Service temporarily unavailable"}`}, brief(r))
	require.NotEmpty(t, r.Header.Get("Retry-After"))
	require.Equal(t, 503, d.GraphQL(t, m.WriteKey, "{merchant{id}}", nil).Status)
}
