package schema_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/embedded"
	"lumen/store/owner"
	"lumen/store/postgres"
	"lumen/store/schema"
	"lumen/store/storetest"
)

func notReady(t *testing.T, s *postgres.Database) string {
	t.Helper()
	err := schema.Ready(t.Context(), s)
	if err == nil {
		return ""
	}
	var why *schema.NotReadyError
	require.ErrorAs(t, err, &why)
	return why.Reason
}

func TestReady(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := storetest.Service(t, db.AppURL(), false)
	require.NoError(t, schema.Ready(t.Context(), s))
	pooled := storetest.Service(t, db.AppURL(), true)
	require.NoError(t, schema.Ready(t.Context(), pooled))

	for name, c := range map[string]struct{ breaks, fixes, reason string }{
		"a pending migration": {
			"UPDATE lumen_migrations SET name = '0' || name WHERE name LIKE '0003%'", "UPDATE lumen_migrations SET name = substr(name, 2) WHERE name LIKE '00003%'",
			schema.NoMigrations,
		},
		"row-level security not forced": {
			"ALTER TABLE customers NO FORCE ROW LEVEL SECURITY", "ALTER TABLE customers FORCE ROW LEVEL SECURITY",
			schema.NoRole,
		},
		"read-only": {
			"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
			"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$",
			schema.NoDatabase,
		},
		"no connections to the database": {
			"UPDATE pg_database SET datallowconn = false WHERE datname = current_database()", "UPDATE pg_database SET datallowconn = true WHERE datname = current_database()",
			schema.NoDatabase,
		},
		"a connection limit, while the pool has connections": {
			"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 0', current_database()); END $$",
			"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT -1', current_database()); END $$",
			schema.NoDatabase,
		},
	} {
		superuser := db.Superuser()
		_, err := superuser.Exec(t.Context(), c.breaks)
		require.NoError(t, err, name)
		require.Equal(t, c.reason, notReady(t, s), name)
		require.Equal(t, c.reason, notReady(t, pooled), name)
		_, err = superuser.Exec(t.Context(), "SET default_transaction_read_only = off; "+c.fixes)
		require.NoError(t, err, name)
		require.Empty(t, notReady(t, s), name)
		require.Empty(t, notReady(t, pooled), name)
	}
}

// What Ready sorts does not fit into memory. Otherwise it would not notice a full disk.
func TestReadyWritesToDisk(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := storetest.Service(t, db.AppURL(), false)
	before, written := temporary(t, db), int64(0)
	require.NoError(t, schema.Ready(t.Context(), s))
	require.Eventually(t, func() bool {
		written = temporary(t, db) - before
		return written > 0
	}, 10*time.Second, 50*time.Millisecond)
	require.Greater(t, written, int64(200<<10))
}

// temporary returns the size, in octets, of the temporary files that Postgres has written for this
// database.
func temporary(t *testing.T, db *storetest.Database) (octets int64) {
	t.Helper()
	require.NoError(t, db.Superuser().QueryRow(t.Context(), "SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()").Scan(&octets))
	return octets
}

func TestReadyWithoutADatabase(t *testing.T) {
	t.Parallel()
	s := storetest.Service(t, "postgres://nobody:nothing@127.0.0.1:1/lumen?sslmode=disable", false)
	require.Equal(t, schema.NoDatabase, notReady(t, s))
	require.NotContains(t, schema.Ready(t.Context(), s).Error(), "nothing")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, schema.Ready(ended, s))
}

// A standby accepts no writes. Behind a pooler it also refuses the BEGIN of each transaction. Both
// are outages.
func TestReadyOnAStandby(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(folder), 0o711)) // if the tests run as root, the server runs as another user
	require.NoError(t, os.Chmod(folder, 0o711))
	config := embedded.Config{DataDir: filepath.Join(folder, "data"), Notice: t.Logf, Parameters: map[string]string{"fsync": "off"}}
	primary, err := embedded.Start(t.Context(), config)
	require.NoError(t, err)
	migrator, err := schema.Open(primary.URL())
	require.NoError(t, err)
	_, err = migrator.Up(t.Context())
	require.NoError(t, err)
	require.NoError(t, migrator.Close())
	operator, err := owner.Open(primary.URL())
	require.NoError(t, err)
	require.NoError(t, operator.CreateLogin(t.Context(), "lumen_serve", "secret"))
	merchant, err := operator.Merchants.Create(t.Context(), "Acme")
	require.NoError(t, err)
	secret := auth.NewSecret()
	_, err = operator.Keys.Create(t.Context(), owner.NewKey{MerchantID: merchant.ID, Access: store.ReadAccess, Secret: secret})
	require.NoError(t, err)
	require.NoError(t, operator.Close())
	require.NoError(t, primary.Stop())
	signals, err := filepath.Glob(filepath.Join(primary.DataDir(), "*", "PG_VERSION"))
	require.NoError(t, err)
	require.Len(t, signals, 1)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(signals[0]), "standby.signal"), nil, 0o644))

	standby, err := embedded.Start(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Stop()) })
	at, err := url.Parse(standby.URL())
	require.NoError(t, err)
	at.User = url.UserPassword("lumen_serve", "secret")
	for _, pooled := range []bool{false, true} {
		service := storetest.Service(t, at.String(), pooled)
		require.Equal(t, schema.NoDatabase, notReady(t, service))
		credential, err := storetest.OpenAuth(t, service, auth.Options{}).Authenticator.Authenticate(t.Context(), secret)
		if pooled {
			require.Equal(t, store.Unavailable, store.AsError(err).Code)
			continue
		}
		require.NoError(t, err)
		n, err := storetest.Open(t, service, store.Options{}).Customers.Count(store.WithCredential(t.Context(), credential), store.Filter{})
		require.NoError(t, err, "without a pooler, reads from a standby work")
		require.Zero(t, n)
	}
}
