// Package store is Lumen's domain and its Postgres: merchants, their API keys and access tokens, and their customers.
//
// The rules, the validation and the errors live here, once; the doors only translate. The invariants:
//
//	I1  no row of one merchant is readable, writable, countable or inferable by another
//	I2  among a merchant's live customers no two hold the same email key, unless the later one was admitted by the flag
//	I3  deletion marks a row, once and for good
//	I4  what was acknowledged is durable
//	I5  there is one clock, the database's
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"lumen/store/postgres"
	"lumen/store/wall"
)

// Options configure a Store. The zero value is what `lumen serve` uses.
type Options struct {
	// MaxConnections bounds the pool for customers; 0 means DefaultMaxConnections. Authentication has a few of its own.
	MaxConnections int
	// MerchantConcurrency is how many statements of one merchant may run at once; 0 means DefaultMerchantConcurrency. It is
	// never more than three quarters of the pool.
	MerchantConcurrency int
	// AcceptDemoKeys lets the keys of `lumen dev` in.
	AcceptDemoKeys bool
	// TransactionPooler says that the URL is that of a pooler in transaction mode, such as PgBouncer.
	TransactionPooler bool
	// TokenSecret opens the keys that sign access tokens. Without it tokens are accepted, and none are minted.
	TokenSecret TokenSecret
}

// DefaultMaxConnections is the size of the pool for customers.
const DefaultMaxConnections = 16

// DefaultMerchantConcurrency is how many statements of one merchant may run at once, in a pool that is large enough.
const DefaultMerchantConcurrency = 64

// authConnections is the size of the pool that looks up keys, a short statement for all that are asked for at once.
const authConnections = 4

// Store is what the running service holds: it logs in as the plain role and reaches customers only through the wall.
type Store struct {
	Customers     *Customers
	Authenticator *Authenticator
	Tokens        *Tokens

	walled  *bun.DB
	lookUps *lookUps
	config  *pgx.ConnConfig  // of connections outside of the wall
	pooled  *postgres.Pooled // nil without a pooler
}

// Open returns a Store on the database at url. It connects when first used; see CheckRole and CheckMigrations for what
// must hold before it serves.
func Open(url string, options Options) (*Store, error) {
	config, err := postgres.ParseService(url)
	if err != nil {
		return nil, err
	}
	if options.MaxConnections == 0 {
		options.MaxConnections = DefaultMaxConnections
	}
	if options.MerchantConcurrency == 0 {
		options.MerchantConcurrency = DefaultMerchantConcurrency
	}
	s := &Store{config: config}
	connector := wall.NewConnector(config, scopeFrom)
	if options.TransactionPooler {
		pooled := postgres.BehindPooler(config)
		connector, s.pooled = wall.NewPooledConnector(config, scopeFrom, pooled.Begin, pooled.Local), &pooled
	}
	walled := sql.OpenDB(postgres.Connector(connector, config))
	postgres.Bound(walled, options.MaxConnections)
	s.walled = bun.NewDB(walled, pgdialect.New())
	s.lookUps = newLookUps(config, s.pooled, authConnections, connector.Losses)
	s.Customers = newCustomers(s.walled, newGate(options.MaxConnections, options.MerchantConcurrency))
	s.Authenticator = &Authenticator{
		lookUps: s.lookUps, keys: newKeyGatherer(s.lookUps), tokens: newTokenGatherer(s.lookUps), cache: newCredentialCache(),
		acceptDemo: options.AcceptDemoKeys, audience: options.audience(),
	}
	s.Tokens = &Tokens{lookUps: s.lookUps, secret: options.TokenSecret, audience: options.audience(), customers: s.Customers}
	return s, nil
}

// NewCustomers returns the customers reached through db, which must be behind the wall, with the bounds that are the default.
func NewCustomers(db *bun.DB) *Customers {
	return newCustomers(db, newGate(DefaultMaxConnections, DefaultMerchantConcurrency))
}

func newCustomers(db *bun.DB, gate *gate) *Customers {
	return &Customers{scope: scope{db, gate}, statements: buildStatements(db)}
}

// CheckPooler returns an error when a pooler is in between that Options does not name: one that was told to ignore the
// settings at the start of a connection. Limits and durability would be lost, and a prepared statement of one connection
// be taken for that of another.
func (s *Store) CheckPooler(ctx context.Context) error {
	if s.pooled != nil {
		return nil
	}
	var has string
	if err := s.lookUps.pool.NewRaw("SELECT current_setting('statement_timeout')").Scan(ctx, &has); err != nil {
		return fmt.Errorf("check for a pooler: %w", err)
	}
	if has != postgres.StatementTimeout {
		return errors.New("the settings of a connection do not reach the database; behind a pooler in transaction mode set LUMEN_DATABASE_POOLER=transaction")
	}
	return nil
}

// Close ends all connections, and the look-ups of credentials that nobody waits for any more.
func (s *Store) Close() error {
	s.Authenticator.cache.close()
	walledErr, plainErr := s.walled.Close(), s.lookUps.pool.Close()
	if walledErr != nil {
		return walledErr
	}
	return plainErr
}

// Owner is what the operator's commands hold: it logs in as the owner of the tables.
type Owner struct {
	Merchants *Merchants
	Keys      *Keys
	TokenKeys *TokenKeys

	pool *postgres.Pool
}

// OpenOwner returns an Owner on the database at url.
func OpenOwner(url string) (*Owner, error) {
	config, err := postgres.ParseOwner(url)
	if err != nil {
		return nil, err
	}
	pool := postgres.Open(config, nil, authConnections)
	db := pool.DB
	return &Owner{Merchants: &Merchants{db}, Keys: &Keys{db}, TokenKeys: &TokenKeys{db}, pool: pool}, nil
}

// Close ends all connections.
func (o *Owner) Close() error { return o.pool.Close() }
