// Package auth authenticates callers: it turns an API key or an access token into a
// store.Credential. It also mints access tokens. It uses the role of the service, which cannot read
// the table of keys. Functions of the tables' owner look up one key at a time, on a pool of
// connections that only this package uses.
package auth

import (
	"lumen/store"
	"lumen/store/postgres"
)

// Options configure an Auth. `lumen serve` without a token secret uses the zero value.
type Options struct {
	// AcceptDemoKeys accepts the demo keys of `lumen dev`.
	AcceptDemoKeys bool
	// TokenSecret decrypts the keys that sign access tokens. Without it, Auth accepts tokens but
	// mints none.
	TokenSecret TokenSecret
}

// audience returns the audience of access tokens. Development servers have one of their own, so
// only they accept the tokens that demo keys mint.
func (o Options) audience() string {
	if o.AcceptDemoKeys {
		return "lumen-dev"
	}
	return "lumen"
}

// Auth authenticates callers and mints access tokens.
type Auth struct {
	Authenticator *Authenticator
	Tokens        *Tokens

	queries *queries
}

// Open returns an Auth on the database. It connects when it is first used. customers finds the
// customer that a token is bound to, as the caller sees it.
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

// Close closes all connections and cancels the queries that run in the background.
func (a *Auth) Close() error {
	a.Authenticator.cache.close()
	return a.queries.pool.Close()
}

// Stats counts the lookups since Open.
type Stats struct {
	// Pool describes the connections that look up credentials.
	Pool store.PoolStats
	// Hits counts the credentials that were found in the cache. Misses counts those that had to be
	// looked up. Text that does not have the form of a credential counts as neither.
	Hits, Misses uint64
	// Entries is the number of credentials in the cache, including expired ones.
	Entries int
}

// Stats returns the current counts.
func (a *Auth) Stats() Stats {
	cache := a.Authenticator.cache
	return Stats{
		Pool: store.PoolStats{DBStats: a.queries.pool.Stats(), Gate: a.queries.gate.Stats()},
		Hits: cache.hits.Load(), Misses: cache.misses.Load(), Entries: cache.entries.Len(),
	}
}
