package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
)

// If clients leave while their statements run, the connections survive.
func TestClientsThatLeaveCostNoConnections(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.create(t, emailOf("ann@example.com")).ID
	s.exec(t, `CREATE FUNCTION slow() RETURNS bool LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
		PERFORM pg_sleep(0.5); RETURN true; END $$`)
	s.exec(t, `CREATE POLICY slow ON customers AS RESTRICTIVE FOR SELECT TO lumen_app USING ((SELECT slow()))`)
	ask := func(leaves bool) {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				ctx, leave := context.WithCancel(s.ctx)
				defer leave()
				if leaves {
					time.AfterFunc(100*time.Millisecond, leave)
				}
				if _, err := s.customers.Get(ctx, id); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	connections := func() (all []int) {
		rows, err := s.db.Superuser().Query(t.Context(),
			"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lumen' ORDER BY pid")
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var pid int
			require.NoError(t, rows.Scan(&pid))
			all = append(all, pid)
		}
		require.NoError(t, rows.Err())
		return all
	}
	ask(false)
	before := connections()
	require.GreaterOrEqual(t, len(before), 4)
	ask(true)
	require.Equal(t, before, connections())

	// A client that leaves does end its wait for admission.
	left, leave := context.WithCancel(s.ctx)
	leave()
	_, err := s.customers.Get(left, id)
	require.Equal(t, store.Unavailable, store.AsError(err).Code, "%v", err)
}
