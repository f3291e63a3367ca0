// Package store is Lumen's domain and its Postgres: what merchants have, such as customers.
//
// The rules, the validation and the errors live here, once; the APIs only translate. The invariants:
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
	"time"

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

func (o Options) orDefault() Options {
	if o.MaxConnections == 0 {
		o.MaxConnections = DefaultMaxConnections
	}
	if o.MerchantConcurrency == 0 {
		o.MerchantConcurrency = DefaultMerchantConcurrency
	}
	return o
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

	rows   map[string]any // *Rows[T], by the noun's name
	walled *bun.DB
	gate   *gate.Gate
}

// Open returns a Store on the database. It connects when first used; package schema checks what must
// hold before it serves.
func Open(database *postgres.Database, options Options) *Store {
	options = options.orDefault()
	connector := wall.NewConnector(database.Config, scopeFrom)
	if pooled := database.Pooled; pooled != nil {
		connector = wall.NewPooledConnector(database.Config, scopeFrom, pooled.Begin, pooled.Local)
	}
	connector.Losses = database.Losses
	pool := sql.OpenDB(postgres.Connector(connector, database.Config))
	postgres.Bound(pool, options.MaxConnections)
	return New(bun.NewDB(pool, pgdialect.New()), options)
}

// New returns a Store on a database of connections that are behind the wall.
func New(walled *bun.DB, options Options) *Store {
	options = options.orDefault()
	g := gate.New(options.MaxConnections, options.MerchantConcurrency)
	s := &Store{rows: make(map[string]any), walled: walled, gate: g}
	for _, n := range nouns {
		s.rows[n.Name()] = n.rows(walled, g)
	}
	s.Customers = &Customers{RowsOf[Customer](s)}
	return s
}

// Admit returns Unavailable while so many statements wait for the database that any statement of the
// merchant in ctx would be refused at once. It spares the caller from reading a request first. That it
// returns nil promises nothing.
func (s *Store) Admit(ctx context.Context) error {
	merchant, _ := scopeFrom(ctx)
	if err := s.gate.Admit(merchant); err != nil {
		return Failed("", err)
	}
	return nil
}

// Now returns the database's time, in milliseconds. Its errors are for Failed.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	return scope{db: s.walled, gate: s.gate}.now(ctx)
}

// Close ends all connections.
func (s *Store) Close() error { return s.walled.Close() }
