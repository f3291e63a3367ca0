// Package store is Lumen's domain and its Postgres: what merchants have, such as customers.
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
	"database/sql"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"lumen/store/gate"
	"lumen/store/postgres"
	"lumen/store/wall"
)

// Options configure a Store. The zero value is what `lumen serve` uses.
type Options struct {
	// MaxConnections bounds the pool of walled connections; 0 means DefaultMaxConnections.
	MaxConnections int
	// MerchantConcurrency is how many statements of one merchant may run at once; 0 means
	// DefaultMerchantConcurrency. It is never more than three quarters of the pool.
	MerchantConcurrency int
}

// DefaultMaxConnections is the size of the pool of walled connections.
const DefaultMaxConnections = 16

// DefaultMerchantConcurrency is how many statements of one merchant may run at once, in a pool that is
// large enough.
const DefaultMerchantConcurrency = 64

// Store is what the service reaches its merchants' nouns through: it logs in as the plain role, and all
// of its connections are behind the wall.
type Store struct {
	Customers *Customers

	walled *bun.DB
	gate   *gate.Gate
}

// Open returns a Store on the database. It connects when first used; package schema checks what must
// hold before it serves.
func Open(database *postgres.Database, options Options) *Store {
	if options.MaxConnections == 0 {
		options.MaxConnections = DefaultMaxConnections
	}
	if options.MerchantConcurrency == 0 {
		options.MerchantConcurrency = DefaultMerchantConcurrency
	}
	connector := wall.NewConnector(database.Config, scopeFrom)
	if pooled := database.Pooled; pooled != nil {
		connector = wall.NewPooledConnector(database.Config, scopeFrom, pooled.Begin, pooled.Local)
	}
	connector.Losses = database.Losses
	pool := sql.OpenDB(postgres.Connector(connector, database.Config))
	postgres.Bound(pool, options.MaxConnections)
	walled := bun.NewDB(pool, pgdialect.New())
	g := gate.New(options.MaxConnections, options.MerchantConcurrency)
	return &Store{Customers: newCustomers(walled, g), walled: walled, gate: g}
}

// NewCustomers returns the customers reached through db, which must be behind the wall, with the bounds that are the default.
func NewCustomers(db *bun.DB) *Customers {
	return newCustomers(db, gate.New(DefaultMaxConnections, DefaultMerchantConcurrency))
}

func newCustomers(db *bun.DB, g *gate.Gate) *Customers {
	return &Customers{scope: scope{db, g}, statements: buildStatements(db)}
}

// Close ends all connections.
func (s *Store) Close() error { return s.walled.Close() }
