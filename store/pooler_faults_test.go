//go:build pooler

package store_test

import (
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/postgres"
	"lumen/store/storetest"
)

// Await also waits for a pooler that starts before its server.
func TestPoolerStartsBeforeItsServer(t *testing.T) {
	t.Parallel()
	db, address := storetest.New(t), storetest.SteadyAddress(t)
	to, err := url.Parse(db.AppURL())
	require.NoError(t, err)
	host := to.Host
	to.Host = address
	service := storetest.Service(t, db.PgBouncerFor(t, to.String(), 2, "server_login_retry = 1"), true)
	var waits atomic.Int32
	ended := make(chan error, 1)
	go func() {
		ended <- postgres.Await(t.Context(), service.Config, 30*time.Second, func(error) { waits.Add(1) })
	}()
	require.Eventually(t, func() bool { return waits.Load() == 1 }, 10*time.Second, 10*time.Millisecond)
	storetest.NewForwarder(t, address, host)
	require.NoError(t, <-ended)
	require.Equal(t, int32(1), waits.Load())
}

// A pooler hides which backend works for a connection. So a statement that was sent is never cut
// off: it waits until its own timeout. Then all older connections are closed together with its own.
func TestPoolerVanishedPeers(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.create(t, emailOf("ann@example.com")).ID
	forwarder, url := storetest.Forward(t, s.db.PgBouncer(t, 8))
	service := storetest.Service(t, url, true)
	opened, a := storetest.Open(t, service, store.Options{}), storetest.OpenAuth(t, service, auth.Options{})
	read := func() error { _, err := opened.Customers.Get(s.ctx, id); return err }
	use := func() {
		concurrently(t, 8, read)
		concurrently(t, 4, func() error { return lookUp(t, a) })
	}
	quickly := func(within time.Duration, work func()) {
		t.Helper()
		began := time.Now()
		work()
		require.Less(t, time.Since(began), within)
	}
	use()
	time.Sleep(1100 * time.Millisecond)
	forwarder.Vanish(false)
	quickly(time.Second, use)

	forwarder.Vanish(false)
	quickly(6500*time.Millisecond, func() {
		require.Equal(t, store.Unavailable, store.AsError(read()).Code)
	})
	quickly(450*time.Millisecond, use)

	tx, err := s.db.Superuser().Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := opened.Customers.Update(s.ctx, id, emailOf("bob@example.com"), store.WriteOptions{})
		ended <- err
	}()
	time.Sleep(1800 * time.Millisecond) // the server's lock timeout is 2 s
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-ended)
}
