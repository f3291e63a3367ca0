package program

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/server"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/storetest"
)

// A run that fails before the demo is whole leaves no keys: the next run makes both merchants.
func TestHalfADemoIsNotTakenForAWholeOne(t *testing.T) {
	t.Parallel()
	db, dir := storetest.New(t), t.TempDir()
	file := filepath.Join(dir, "demo-keys")
	operator, err := owner.Open(db.SuperuserURL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = operator.Close() })
	ensure := func() (*demo, error) {
		options := auth.Options{AcceptDemoKeys: true}
		d := &demo{backend: server.OpenBackend(storetest.Service(t, db.AppURL(), false), store.Options{}, options)}
		t.Cleanup(func() { _ = d.backend.Close() })
		return d, d.ensureMerchants(t.Context(), operator, dir)
	}
	exec := func(statement string) {
		_, err := db.Superuser().Exec(context.WithoutCancel(t.Context()), statement)
		require.NoError(t, err)
	}

	exec(`CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
		$$ BEGIN IF (SELECT count(*) FROM customers) = 30 THEN RAISE 'full'; END IF; RETURN NEW; END $$`)
	exec("CREATE TRIGGER is_full BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION is_full()")
	_, err = ensure()
	require.ErrorContains(t, err, "make sample customers")
	require.NoFileExists(t, file)

	exec("DROP TRIGGER is_full ON customers")
	made, err := ensure()
	require.NoError(t, err)
	require.Len(t, made.merchants, 2)
	for _, m := range made.merchants {
		as, _, err := made.backend.As(t.Context(), auth.Secret(m.APIKey))
		require.NoError(t, err)
		n, err := made.backend.Store.Customers.Count(as, store.Filter{"includeDeleted": true})
		require.NoError(t, err)
		require.Equal(t, len(samples), n)
	}
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	again, err := ensure()
	require.NoError(t, err)
	require.Equal(t, made.merchants, again.merchants)
}
