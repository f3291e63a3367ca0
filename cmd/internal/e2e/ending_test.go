package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/storetest"
)

// TestListEndsWhenItsCredentialEnds ends a credential while a list is being sent. The server must
// abort the connection, so that the client cannot take the received part for the whole list. It
// fails if a list goes on reading rows after its credential has ended.
func TestListEndsWhenItsCredentialEnds(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	const customers = 10_000
	revokeKeys := func(t *testing.T, m storetest.Merchant) {
		keys, err := d.Owner(t).Keys.List(t.Context(), m.ID)
		require.NoError(t, err)
		for _, key := range keys {
			_, err := d.Owner(t).Keys.Revoke(t.Context(), key.ID)
			require.NoError(t, err)
		}
	}
	for name, c := range map[string]struct {
		credential func(t *testing.T, m storetest.Merchant) auth.Secret
		ends       func(t *testing.T, m storetest.Merchant)
		code       string
	}{
		"the key is revoked": {ends: revokeKeys},
		"the merchant is disabled": {ends: func(t *testing.T, m storetest.Merchant) {
			_, err := d.Owner(t).Merchants.Disable(t.Context(), m.ID)
			require.NoError(t, err)
		}},
		"the key expires": {
			credential: func(t *testing.T, m storetest.Merchant) auth.Secret {
				secret, expires := auth.NewSecret(), 2*time.Second
				_, err := d.Owner(t).Keys.Create(t.Context(), owner.NewKey{MerchantID: m.ID, Access: store.ReadAccess, Secret: secret, Expires: &expires})
				require.NoError(t, err)
				return secret
			},
			ends: func(*testing.T, storetest.Merchant) { time.Sleep(2 * time.Second) },
		},
		"the token expires": {
			credential: func(t *testing.T, m storetest.Merchant) auth.Secret { return d.Mint(t, m.WriteKey, `{"expiresIn":2}`) },
			ends:       func(*testing.T, storetest.Merchant) { time.Sleep(2 * time.Second) },
		},
		"the token's key is revoked": {
			credential: func(t *testing.T, m storetest.Merchant) auth.Secret { return d.Mint(t, m.WriteKey, `{}`) },
			ends:       revokeKeys,
		},
		"the credential does not end": {ends: func(*testing.T, storetest.Merchant) {}, code: "OK"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := d.Merchant(t, "Ending")
			d.Fill(t, m, customers)
			credential := m.ReadKey
			if c.credential != nil {
				credential = c.credential(t, m)
			}
			list := openSlowList(t, d, credential)
			c.ends(t, m)
			time.Sleep(credentialLifetime + 100*time.Millisecond)
			// Some rows of every batch suffice, and all of them would take long.
			d.SQL(t, "UPDATE customers SET name = 'fresh' WHERE merchant_id = $1 AND hashtext(id) % 20 = 0", m.ID)
			body, err := list()
			if c.code == "OK" {
				require.NoError(t, err)
				require.True(t, strings.HasSuffix(string(body), "]}"))
				require.Contains(t, string(body), `"name":"fresh"`, "the server must read later batches only when the client takes them")
				return
			}
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.NotContains(t, string(body), `"name":"fresh"`, "the list holds a row that was read after the credential had ended")
			require.Less(t, strings.Count(string(body), `"merchantId"`), customers/2)
			require.Eventually(t, func() bool {
				for line := range strings.Lines(d.Logged()) {
					if strings.Contains(line, `"merchant":"`+m.ID+`"`) && strings.Contains(line, `"code":"UNAUTHENTICATED","status":200,"aborted":true`) {
						return true
					}
				}
				return false
			}, 5*time.Second, 10*time.Millisecond)
		})
	}
	t.Cleanup(func() {
		require.NotContains(t, d.Logged(), "list aborted", "the end of a credential must not be logged as a server error")
	})
}

// TestListEndsWhenItsCredentialCannotBeChecked blocks the lookup of keys while a list is being
// sent. The list must be aborted once the last successful lookup is older than the credential's
// lifetime.
func TestListEndsWhenItsCredentialCannotBeChecked(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Ending")
	d.Fill(t, m, 10_000)
	list := openSlowList(t, d, m.ReadKey)
	holder, err := d.Superuser().Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, holder.Rollback(t.Context())) }()
	_, err = holder.Exec(t.Context(), "LOCK TABLE api_keys")
	require.NoError(t, err)
	time.Sleep(credentialLifetime + 100*time.Millisecond)
	body, err := list()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Less(t, strings.Count(string(body), `"merchantId"`), 5_000)
	require.Eventually(t, func() bool { return strings.Contains(d.Log.String(), "list aborted") }, 5*time.Second, 10*time.Millisecond)
}

// openSlowList requests the list and reads its start. The server cannot send the rest, beyond what
// the buffers of both sides hold, until the returned function reads it.
func openSlowList(t *testing.T, d *harness.Server, credential auth.Secret) func() ([]byte, error) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
	_, err = fmt.Fprintf(conn, "GET /api/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", string(credential))
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	_, err = io.ReadFull(response.Body, make([]byte, 64<<10))
	require.NoError(t, err)
	return func() ([]byte, error) { return io.ReadAll(response.Body) }
}
