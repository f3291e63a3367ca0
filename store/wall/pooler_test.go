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

// openPooled opens a pool in front of a PgBouncer that has a single connection to the server.
func openPooled(t *testing.T, db *storetest.Database, connections int) *pool {
	t.Helper()
	return openWall(t, db.PgBouncer(t, 1), connections, pooled(settings))
}

func TestPoolerNothingIsLeft(t *testing.T) {
	t.Parallel()
	leavesNothing(t, openPooled)
}

func TestPoolerKeepsTheSettings(t *testing.T) {
	t.Parallel()
	haveTheirSettings(t, func(db *storetest.Database) string { return db.PgBouncer(t, 1) })
}

func TestPoolerNonePrepared(t *testing.T) {
	t.Parallel()
	leaveNonePrepared(t, openPooled)
}

// Four connections to the pooler share two of the server's, or one, for which they wait in turn.
// In the long form a hundred thousand times in all.
func TestPoolerMerchantsTakeTurns(t *testing.T) {
	times := map[int]int{1: 300, 2: 1_200}
	if storetest.Long() {
		times = map[int]int{1: 10_000, 2: 90_000}
	}
	for shared, operations := range times {
		t.Run(fmt.Sprintf("on %d of the server's", shared), func(t *testing.T) {
			ended := takeTurns(t, func(t *testing.T, db *storetest.Database, connections int) *pool {
				url := db.PgBouncer(t, shared)
				p := openWall(t, url, connections, pooled(settings))
				p.beside = make(chan *pgconn.PgConn, 1)
				pg, err := pgconn.Connect(t.Context(), url)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, pg.Close(context.Background())) })
				p.beside <- pg
				return p
			}, 4, operations, 20) // each that is cancelled costs a connection of the server's, which takes longer than the rest
			// A cancellation that reaches the server late may hit whoever has the connection by then. PgBouncer holds the
			// connection back until it has been sent; what is left is the time that a signal takes.
			require.LessOrEqual(t, ended.stray.Load(), int64(operations/1000))
		})
	}
}
