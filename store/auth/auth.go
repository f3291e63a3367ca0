// Package auth finds out who calls: it turns what a client presents, an API key or an access token, into
// a store.Credential. It also mints access tokens. It works with the plain role, which cannot read the
// keys: functions of the owner's look them up, on a pool of its own.
package auth

import (
	"lumen/store"
	"lumen/store/postgres"
)

// Options configure an Auth. The zero value is what `lumen serve` uses without a token secret.
type Options struct {
	// AcceptDemoKeys admits the keys of `lumen dev`.
	AcceptDemoKeys bool
	// TokenSecret opens the keys that sign access tokens. Without it tokens are accepted, and none are minted.
	TokenSecret TokenSecret
}

// audience is whom a token is for. What a demo key mints is for development servers, which alone accept it.
func (o Options) audience() string {
	if o.AcceptDemoKeys {
		return "lumen-dev"
	}
	return "lumen"
}

// Auth is what the service authenticates with.
type Auth struct {
	Authenticator *Authenticator
	Tokens        *Tokens

	queries *queries
}

// Open returns an Auth on the database. It connects when first used. Tokens are minted for customers that
// the caller can see.
func Open(database *postgres.Database, customers *store.Customers, options Options) *Auth {
	queries := newQueries(database)
	return &Auth{
		Authenticator: &Authenticator{
			queries: queries, cache: newCache(), acceptDemo: options.AcceptDemoKeys, audience: options.audience(),
		},
		Tokens: &Tokens{
			queries: queries, secret: options.TokenSecret, audience: options.audience(), customers: customers,
		},
		queries: queries,
	}
}

// Close ends all connections, and the queries that no request waits for any more.
func (a *Auth) Close() error {
	a.Authenticator.cache.close()
	return a.queries.pool.Close()
}

// Stats are counts of the look-ups since Open.
type Stats struct {
	// Pool is the pool that looks up credentials.
	Pool store.PoolStats
	// Hits counts the presented credentials that were in the cache, Misses those that had to be looked
	// up. Text that cannot be a credential counts as neither.
	Hits, Misses uint64
	// Entries is how many credentials the cache holds, expired ones included.
	Entries int
}

// Stats returns the counts as they are now.
func (a *Auth) Stats() Stats {
	cache := a.Authenticator.cache
	return Stats{
		Pool: store.PoolStats{DBStats: a.queries.pool.Stats(), Gate: a.queries.gate.Stats()},
		Hits: cache.hits.Load(), Misses: cache.misses.Load(), Entries: cache.entries.Len(),
	}
}
