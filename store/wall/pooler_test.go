//go:build pooler

package wall_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// openPooled opens a pool behind a PgBouncer with one server connection.
func openPooled(t *testing.T, db *storetest.Database, connections int) *pool {
	t.Helper()
	return openWall(t, db.PgBouncer(t, 1), connections, pooled(settings))
}

func TestPoolerNothingIsLeft(t *testing.T) {
	t.Parallel()
	testNothingIsLeft(t, openPooled)
}

func TestPoolerKeepsTheSettings(t *testing.T) {
	t.Parallel()
	testSettings(t, func(db *storetest.Database) string { return db.PgBouncer(t, 1) })
}

func TestPoolerNonePrepared(t *testing.T) {
	t.Parallel()
	testNonePrepared(t, openPooled)
}

// Four connections to the pooler share one or two server connections, for which they wait. The long
// form runs 100,000 operations.
func TestPoolerMerchantsTakeTurns(t *testing.T) {
	times := map[int]int{1: 300, 2: 1_200}
	if storetest.Long() {
		times = map[int]int{1: 10_000, 2: 90_000}
	}
	for shared, operations := range times {
		t.Run(fmt.Sprintf("with %d server connections", shared), func(t *testing.T) {
			ended := takeTurns(t, func(t *testing.T, db *storetest.Database, connections int) *pool {
				url := db.PgBouncer(t, shared)
				p := openWall(t, url, connections, pooled(settings))
				p.beside = make(chan *pgconn.PgConn, 1)
				pg, err := pgconn.Connect(t.Context(), url)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, pg.Close(context.Background())) })
				p.beside <- pg
				return p
			}, 4, operations, 20) // a cancelled operation costs a server connection, which takes longer than the rest
			// A cancellation that reaches the server late may hit the connection's next user.
			// PgBouncer waits until it has sent the cancellation; what remains is the time that a
			// signal takes.
			require.LessOrEqual(t, ended.stray.Load(), int64(operations/1000))
		})
	}
}
