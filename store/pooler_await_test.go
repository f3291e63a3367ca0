//go:build pooler

package store_test

import (
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store/postgres"
	"lumen/store/storetest"
)

// A pooler that is there before its server is waited for, too.
func TestPoolerBeforeItsServer(t *testing.T) {
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
