package program

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store/schema"
	"lumen/store/storetest"
)

func TestAPersonAtATerminalConfirms(t *testing.T) {
	t.Parallel()
	loss := schema.Loss{Steps: []string{"0001", "0002"}, Merchants: 1, Customers: 0}
	for input, confirms := range map[string]bool{"yes\n": true, "yes": true, "": false, "y\n": false, "no\n": false, "YES\n": false, "\nyes\n": false} {
		var shown bytes.Buffer
		err := terminal{err: &shown}.confirmLoss(loss, strings.NewReader(input), true)
		require.Equal(t, confirms, err == nil, "%q", input)
		require.Equal(t, "Careful: this undoes 0001, 0002 and deletes 1 merchant, all API keys, 0 customers.\nType yes to go on: ", shown.String())
	}
}

// If the last 'up' applied one step, 'down' undoes only that step.
func TestMigrateDownNamesNothingThatStays(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Merchant(t, "Stays")
	_, err := db.Superuser().Exec(t.Context(), "UPDATE lumen_migrations SET group_id = 2 WHERE name = '0004'")
	require.NoError(t, err)
	loss, err := db.Migrator(t).CountLoss(t.Context())
	require.NoError(t, err)
	require.Equal(t, schema.Loss{Steps: []string{"0004"}}, loss)
	require.Empty(t, loss.Tables())
	loss, err = storetest.Empty(t).Migrator(t).CountLoss(t.Context())
	require.NoError(t, err)
	require.Empty(t, loss.Steps)
}
