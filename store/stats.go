package store

import (
	"database/sql"

	"lumen/store/gate"
)

// PoolStats are the counts of a connection pool and of the gate in front of it, where statements
// wait.
type PoolStats struct {
	sql.DBStats
	Gate gate.Stats
}

// Stats returns the current counts of the store's pool.
func (s *Store) Stats() PoolStats { return PoolStats{s.walled.Stats(), s.gate.Stats()} }
