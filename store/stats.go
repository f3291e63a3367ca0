package store

import "database/sql"

// Stats are counts of what a Store has done since it was opened, and what it holds now.
type Stats struct {
	// Customers and Credentials are the two pools of connections: for customers, and for the look-ups of credentials.
	Customers, Credentials sql.DBStats
	// CredentialHits is how many of the credentials presented were known from a moment before, CredentialMisses how many had
	// to be looked up. What can't be one is neither.
	CredentialHits, CredentialMisses uint64
	// CredentialsKept is how many are kept, those included that are too old to be taken.
	CredentialsKept int
}

// Stats returns the counts as they are now.
func (s *Store) Stats() Stats {
	cache := s.Authenticator.cache
	return Stats{
		Customers: s.walled.Stats(), Credentials: s.plain.Stats(),
		CredentialHits: cache.hits.Load(), CredentialMisses: cache.misses.Load(), CredentialsKept: cache.kept.Len(),
	}
}
