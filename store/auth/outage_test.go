package auth_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/storetest"
)

func TestAuthenticateWithoutPostgres(t *testing.T) {
	t.Parallel()

	t.Run("no server listens", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		address := listener.Addr().String()
		require.NoError(t, listener.Close())
		s := storetest.OpenAuth(t, storetest.Service(t, "postgres://nobody:secret@"+address+"/none", false), auth.Options{})
		_, code := authenticate(t, s, auth.NewSecret())
		require.Equal(t, store.Unavailable, code)
	})

	t.Run("a server accepts the connection and never answers", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, listener.Close()) }()
		s := storetest.OpenAuth(t, storetest.Service(t, "postgres://nobody:secret@"+listener.Addr().String()+"/none?sslmode=disable", false), auth.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = s.Authenticator.Authenticate(ctx, auth.NewSecret())
		require.Equal(t, store.Unavailable, store.AsError(err).Code)
	})

	// block keeps the keys locked until the test ends.
	block := func(t *testing.T, db *storetest.Database, statement string) {
		t.Helper()
		tx, err := db.Superuser().Begin(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
		_, err = tx.Exec(t.Context(), statement)
		require.NoError(t, err)
	}

	t.Run("a lookup waits for a lock, five seconds after the last", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		merchant := db.Merchant(t, "Acme")
		s := db.Auth(t)
		start := endsWith(t, s, merchant.WriteKey, store.Unavailable, func() { block(t, db, "LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE") })
		require.Less(t, time.Since(start), 5*time.Second)
	})

	t.Run("a request that waits for a lock is canceled, and the others still wait", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		merchant := db.Merchant(t, "Acme")
		s := db.Auth(t)
		tx, err := db.Superuser().Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
		_, err = tx.Exec(t.Context(), "LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
		require.NoError(t, err)
		use := func(ctx context.Context) chan error {
			result := make(chan error, 1)
			go func() {
				_, err := s.Authenticator.Authenticate(ctx, merchant.WriteKey)
				result <- err
			}()
			return result
		}
		waiting := func() (n int) {
			const statement = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lumen' AND wait_event_type = 'Lock'`
			require.NoError(t, db.Superuser().QueryRow(t.Context(), statement).Scan(&n))
			return n
		}

		ctx, leave := context.WithCancel(t.Context())
		first := use(ctx)
		require.Eventually(t, func() bool { return waiting() == 1 }, 2*time.Second, time.Millisecond)
		second := use(t.Context())
		leave()
		err = <-first
		require.Equal(t, store.Unavailable, store.AsError(err).Code)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, waiting())
		require.NoError(t, tx.Rollback(t.Context()))
		require.NoError(t, <-second)
	})

	t.Run("the record of the last use waits, and the key works", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		merchant := db.Merchant(t, "Acme")
		block(t, db, "SELECT FROM api_keys FOR UPDATE")
		got, code := authenticate(t, db.Auth(t), merchant.WriteKey)
		require.Empty(t, code)
		require.Equal(t, merchant.ID, got.Merchant.ID)
	})

	t.Run("the backends are terminated between two lookups", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		merchant := db.Merchant(t, "Acme")
		s := db.Auth(t)
		_, code := authenticate(t, s, merchant.WriteKey)
		require.Empty(t, code)
		alter(t, db, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'lumen'")
		s.Authenticator.Forget()
		_, code = authenticate(t, s, merchant.WriteKey)
		require.Contains(t, []store.Code{"", store.Unavailable}, code)
		s.Authenticator.Forget()
		_, code = authenticate(t, s, merchant.WriteKey)
		require.Empty(t, code)
	})
}
