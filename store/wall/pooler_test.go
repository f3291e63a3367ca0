//go:build pooler

package wall_test

import (
	"testing"

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
