package store

import (
	"database/sql"

	"lumen/store/gate"
)

// PoolStats are counts of a pool of connections and of the gate in front of it, where all waiting is done.
type PoolStats struct {
	sql.DBStats
	Gate gate.Stats
}

// Stats returns the counts of the walled pool as they are now.
func (s *Store) Stats() PoolStats { return PoolStats{s.walled.Stats(), s.gate.Stats()} }
