// Package owner manages merchants, their API keys, the keys that sign access tokens, and the log of
// changes. It implements the operator's commands and logs in as the owner of the tables.
package owner

import (
	"lumen/store/postgres"
)

// connections is the maximum number of connections of an Owner.
const connections = 4

// Owner gives the operator's commands access to the database.
type Owner struct {
	Merchants *Merchants
	Keys      *Keys
	TokenKeys *TokenKeys
	Changes   *Changes

	pool *postgres.Pool
}

// Open returns an Owner on the database at url. It connects when first used.
func Open(url string) (*Owner, error) {
	config, err := postgres.ParseOwner(url)
	if err != nil {
		return nil, err
	}
	pool := postgres.Open(config, nil, connections)
	return &Owner{
		Merchants: &Merchants{pool.DB}, Keys: &Keys{pool.DB}, TokenKeys: &TokenKeys{pool.DB}, Changes: &Changes{pool.DB},
		pool: pool,
	}, nil
}

// Close ends all connections.
func (o *Owner) Close() error { return o.pool.Close() }
