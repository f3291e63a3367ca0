package schema_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store/auth"
	"lumen/store/postgres"
	"lumen/store/storetest"
)

// The size of a public key tells its algorithm, so the database refuses other sizes.
func TestTokenKeysHaveKnownSizes(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	insert := func(size int) error {
		_, err := db.Superuser().Exec(t.Context(), `INSERT INTO token_keys (id, public_key, private_key, signs_from)
			VALUES (gen_random_uuid(), decode(repeat('04', $1), 'hex'), '', now())`, size)
		return err
	}
	for size := range 140 {
		if err := insert(size); size == 32 || size == 65 {
			require.NoError(t, err, size)
		} else {
			require.Equal(t, "23514", postgres.SQLState(err), size)
		}
	}

	// Only this step is undone. It deletes the keys that the earlier program cannot use, and keeps
	// the others.
	alter(t, db, "DELETE FROM token_keys; UPDATE lumen_migrations SET group_id = 2 WHERE name = '0005'")
	secret, operator := auth.NewTokenSecret(), db.Owner(t)
	eddsa, err := operator.TokenKeys.Rotate(t.Context(), secret, auth.EdDSA)
	require.NoError(t, err)
	_, err = operator.TokenKeys.Rotate(t.Context(), secret, auth.ES256)
	require.NoError(t, err)
	loss, err := db.Migrator(t).CountLoss(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"the ES256 keys that sign access tokens"}, loss.Tables())
	_, err = db.Migrator(t).Down(t.Context())
	require.NoError(t, err)
	keys, err := operator.TokenKeys.List(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Equal(t, eddsa, keys[0])
	require.NoError(t, insert(32))
	require.Equal(t, "23514", postgres.SQLState(insert(65)))

	_, err = db.Migrator(t).Up(t.Context())
	require.NoError(t, err)
	require.NoError(t, insert(65))
	require.Equal(t, fingerprint(t, storetest.New(t).SuperuserURL()), fingerprint(t, db.SuperuserURL()))
}
