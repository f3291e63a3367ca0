package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// A server that stopped answering is detected on the next use of any of its connections. Without
// the detection, statements wait for 6 s. TestVanishedPeersAreReplacedAtOnce measures more closely,
// alone on the machine.
func TestVanishedPeers(t *testing.T) {
	t.Parallel()
	vanishedPeers(t, 1, 4*time.Second)
}

// vanishedPeers lets the server vanish in rounds, with connections in use and idle, and returns the
// shortest times in which many callers at once were answered after the first one. The first one must be
// answered within most.
func vanishedPeers(t *testing.T, rounds int, most time.Duration) (others []time.Duration) {
	t.Helper()
	for _, idle := range []time.Duration{0, 1100 * time.Millisecond} {
		s := newShop(t)
		id := s.create(t, emailOf("ann@example.com")).ID
		forwarder, url := storetest.Forward(t, s.db.AppURL())
		service := storetest.Service(t, url, false)
		opened, a := storetest.Open(t, service, store.Options{}), storetest.OpenAuth(t, service, auth.Options{})
		read := func() error { _, err := opened.Customers.Get(s.ctx, id); return err }
		lookUp := func() error { return lookUp(t, a) }
		for _, each := range []func() error{read, lookUp} {
			var took []time.Duration
			for range rounds {
				concurrently(t, 8, read)
				concurrently(t, 4, lookUp)
				time.Sleep(idle)
				forwarder.Vanish(false)
				began := time.Now()
				require.NoError(t, each(), "idle for %v", idle)
				require.Less(t, time.Since(began), most, "idle for %v", idle)
				began = time.Now()
				concurrently(t, 8, read)
				concurrently(t, 4, lookUp)
				took = append(took, time.Since(began))
			}
			others = append(others, slices.Min(took))
		}
	}
	return others
}

// A slow statement is not cut off, because the server says that it works on it. The connection
// stays open.
func TestSlowStatementsAreNotCut(t *testing.T) {
	t.Parallel()
	const wait = 1300 * time.Millisecond // the server is asked after 500 ms, and its lock timeout is 2 s
	for name, setting := range map[string]string{
		"with the default settings": "", "without track_activities": "SET track_activities = off",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			id := s.create(t, emailOf("ann@example.com")).ID
			if setting != "" {
				s.exec(t, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I `+setting+`', current_database()); END $$`)
			}
			service := s.db.Service(t)
			opened := storetest.Open(t, service, store.Options{MaxConnections: 1})
			a := storetest.OpenAuth(t, service, auth.Options{})
			backends := func() (pids []int) {
				const statement = `SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity
					WHERE datname = current_database() AND application_name = 'lumen'`
				require.NoError(t, s.db.Superuser().QueryRow(t.Context(), statement).Scan(&pids))
				return pids
			}
			for range 2 { // on a new connection and on a pooled one
				tx, err := s.db.Superuser().Begin(t.Context())
				require.NoError(t, err)
				_, err = tx.Exec(t.Context(), "LOCK TABLE customers, api_keys IN ACCESS EXCLUSIVE MODE")
				require.NoError(t, err)
				began := time.Now()
				ended := make(chan error, 2)
				go func() {
					_, err := opened.Customers.Update(s.ctx, id, emailOf("bob@example.com"), store.WriteOptions{})
					ended <- err
				}()
				go func() { ended <- lookUp(t, a) }()
				time.Sleep(wait)
				during := backends()
				require.NoError(t, tx.Rollback(t.Context()))
				require.NoError(t, <-ended)
				require.NoError(t, <-ended)
				require.Greater(t, time.Since(began), wait)
				require.Subset(t, during, backends(), "no connection was opened")
			}
		})
	}
}
