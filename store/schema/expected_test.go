package schema_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

var update = flag.Bool("update", false, "write store/schema/migrations/expected.json from a new database")

// The expected description is what the migrations make, on every version of Postgres.
func TestExpectedObjects(t *testing.T) {
	t.Parallel()
	const file = "migrations/expected.json"
	have, err := storetest.New(t).Migrator(t).ExpectedObjects(t.Context())
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(file, have, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(have), "after a new migration: go test ./store/schema -run ExpectedObjects -update")
}
