package store

import (
	"database/sql"
	"time"
)

// PoolStats are counts of a pool of connections and of the gate in front of it, where all waiting is done.
type PoolStats struct {
	sql.DBStats
	// Waiting is how many statements wait for a connection, or for their merchant's turn.
	Waiting int
	// Waits is how many have waited, and Waited for how long in all.
	Waits  uint64
	Waited time.Duration
}

// Stats are counts of what a Store has done since it was opened, and what it holds now.
type Stats struct {
	// Customers and Credentials are the two pools of connections: for customers, and for the look-ups of credentials.
	Customers, Credentials PoolStats
	// Overloads is how many statements were refused because too much was going on, Crowded how many because their merchant
	// had all that it may have.
	Overloads, Crowded uint64
	// CredentialHits is how many of the credentials presented were known from a moment before, CredentialMisses how many had
	// to be looked up. What can't be one is neither.
	CredentialHits, CredentialMisses uint64
	// CredentialsKept is how many are kept, those included that are too old to be taken.
	CredentialsKept int
}

// Stats returns the counts as they are now.
func (s *Store) Stats() Stats {
	cache, customers, credentials := s.Authenticator.cache, s.Customers.scope.gate, s.lookUps.gate
	return Stats{
		Customers: customers.stats(s.walled.Stats()), Credentials: credentials.stats(s.lookUps.pool.Stats()),
		Overloads: customers.overloads.Load() + credentials.overloads.Load() + credentials.crowded.Load(), Crowded: customers.crowded.Load(),
		CredentialHits: cache.hits.Load(), CredentialMisses: cache.misses.Load(), CredentialsKept: cache.kept.Len(),
	}
}
