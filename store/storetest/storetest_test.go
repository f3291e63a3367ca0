package storetest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/schema"
	"lumen/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestNewIsMigrated(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)

	_, err := schema.Check(t.Context(), db.Service(t))
	require.NoError(t, err)
}

func TestEmptyIsNotMigrated(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)

	steps, err := db.Migrator(t).Status(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, steps)
	for _, step := range steps {
		require.Nil(t, step.AppliedAt)
	}

	_, err = db.Migrator(t).Up(t.Context())
	require.NoError(t, err)
	_, err = schema.Check(t.Context(), db.Service(t))
	require.NoError(t, err)
}

func TestDatabasesAreIsolated(t *testing.T) {
	t.Parallel()
	one, other := storetest.New(t), storetest.New(t)
	merchant := one.Merchant(t, "Acme")

	found, err := one.Owner(t).Merchants.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []store.Merchant{merchant.Merchant}, found)

	found, err = other.Owner(t).Merchants.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
}

func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	outer := storetest.New(t)
	var name, role string
	t.Run("the test", func(t *testing.T) {
		db := storetest.New(t)
		url := db.NewRole(t, "SUPERUSER")
		merchant := db.Merchant(t, "Acme")
		require.NoError(t, db.Superuser().QueryRow(db.Context(t, merchant), "SELECT current_database()").Scan(&name))

		// Neither an object of the role nor an open session may keep the database.
		conn := connect(t, url)
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_user").Scan(&role))
		_, err := conn.Exec(t.Context(), "CREATE TABLE mine (id int)")
		require.NoError(t, err)
	})

	const leftovers = `SELECT (SELECT count(*) FROM pg_database WHERE datname = $1),
		(SELECT count(*) FROM pg_roles WHERE rolname = $2)`
	var databases, roles int
	require.NoError(t, outer.Superuser().QueryRow(t.Context(), leftovers, name, role).Scan(&databases, &roles))
	require.NotEmpty(t, name)
	require.Zero(t, databases)
	require.Zero(t, roles)
}

func TestContexts(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	merchant := db.Merchant(t, "Acme")

	for access, ctx := range map[store.Access]context.Context{
		store.WriteAccess: db.Context(t, merchant), store.ReadAccess: db.ReadContext(t, merchant),
	} {
		credential, ok := store.CredentialFrom(ctx)
		require.True(t, ok)
		require.Equal(t, access, credential.Access)
		require.Equal(t, merchant.ID, credential.Merchant.ID)
	}

	created, err := db.Store(t).Customers.Create(db.Context(t, merchant), store.Input{"email": "a@example.com"}, store.WriteOptions{})
	require.NoError(t, err)
	require.Equal(t, merchant.ID, created.MerchantID)
}

func TestNewRoleHasItsAttributes(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)

	service := storetest.Service(t, db.NewRole(t, "BYPASSRLS IN ROLE lumen_app"), false)
	var unsafe *schema.UnsafeRoleError
	_, err := schema.Check(t.Context(), service)
	require.ErrorAs(t, err, &unsafe)
	require.Contains(t, unsafe.Fault, "BYPASSRLS")
}

// The role that owns the tables has power unless LUMEN_TEST_OWNER=weak.
func TestOwner(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)

	var isPowerful, owns bool
	require.NoError(t, connect(t, db.OwnerURL()).QueryRow(t.Context(), `
		SELECT r.rolsuper OR r.rolbypassrls,
		       (SELECT count(*) = 2 FROM pg_class
		        WHERE relname IN ('customers', 'lumen_migrations') AND relowner = r.oid)
		FROM pg_roles AS r WHERE r.rolname = session_user`).Scan(&isPowerful, &owns))
	require.Equal(t, os.Getenv("LUMEN_TEST_OWNER") != "weak", isPowerful)
	require.True(t, owns)
}

func TestNewIsQuick(t *testing.T) {
	storetest.New(t)
	const rounds = 10
	start := time.Now()
	for range rounds {
		storetest.New(t)
	}
	each := time.Since(start) / rounds
	t.Logf("%v for each new database", each)
	require.Less(t, each, time.Second)
}

func BenchmarkNew(b *testing.B) {
	storetest.New(b)
	for b.Loop() {
		storetest.New(b)
	}
}
