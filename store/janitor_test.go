package store_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/storetest"
)

// Each function that works for all merchants has an effect, also if the owner of the tables is no
// superuser and row-level security binds it. Without policies of their own the functions would see no
// rows, and no error.
func TestJanitorHasAnEffect(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, o := db.Store(t), db.Owner(t)
	var merchants []storetest.Merchant
	for _, name := range []string{"One", "Two"} { // makes their heads
		m := db.Merchant(t, name)
		merchants = append(merchants, m)
		for _, email := range []string{"a@example.com", "b@example.com", "c@example.com"}[:1+len(merchants)] {
			_, err := s.Customers.Create(db.Context(t, m), store.Input{"email": email}, store.WriteOptions{})
			require.NoError(t, err)
		}
	}
	service, err := pgx.Connect(t.Context(), db.AppURL())
	require.NoError(t, err)
	defer func() { require.NoError(t, service.Close(t.Context())) }()
	type head struct {
		MerchantID      string
		Epoch, Sequence int64
	}
	heads := func(merchants ...string) []head {
		rows, err := service.Query(t.Context(), "SELECT merchant_id, epoch, sequence FROM lumen_heads($1) ORDER BY sequence", merchants)
		require.NoError(t, err)
		all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[head])
		require.NoError(t, err)
		return all
	}
	before := heads(merchants[0].ID, merchants[1].ID)
	require.Len(t, before, 2)
	require.EqualValues(t, 2, before[0].Sequence)
	require.EqualValues(t, 3, before[1].Sequence)
	require.NotEqual(t, before[0].Epoch, before[1].Epoch)
	require.Equal(t, before[1:], heads(merchants[1].ID), "those that are asked for, and no others")

	deleted, err := o.Changes.Prune(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.EqualValues(t, 5, deleted)
	renewed, err := o.Changes.NewEpoch(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, renewed)
	for i, after := range heads(merchants[0].ID, merchants[1].ID) {
		require.NotEqual(t, before[i].Epoch, after.Epoch)
		require.Equal(t, before[i].Sequence, after.Sequence)
	}

	// The service may call none of the others.
	for _, call := range []string{"lumen_make_head('merchant_x')", "lumen_new_epoch()", "lumen_prune_changes('merchant_x', now(), 1)"} {
		_, err := service.Exec(t.Context(), "SELECT "+call)
		require.ErrorContains(t, err, "permission denied for function", call)
	}
}
