// Package store holds the rules of merchants' data, such as customers, and reads and writes it in
// Postgres.
//
// Rules, validation and errors are here, once; the GraphQL API and the REST API only translate.
// Code and tests refer to these invariants by number:
//
//	I1  tenant isolation: a merchant cannot read, write, count or infer another merchant's rows
//	I2  unique email: no two live customers of a merchant have the same email key, unless the later
//	    one was written with the flag that allows it
//	I3  soft deletion: a deletion marks the row, once, and nothing clears the mark
//	I4  durability: a write is acknowledged after its commit is durable
//	I5  one clock: all times are the database's
package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"lumen/store/gate"
	"lumen/store/postgres"
	"lumen/store/wall"
)

// Options configure a Store. `lumen serve` runs with the zero value unless it is configured.
type Options struct {
	// MaxConnections is the size of the pool that statements on merchants' data use. Zero means
	// DefaultMaxConnections.
	MaxConnections int
	// MerchantConcurrency is the number of statements that one merchant may run at once. Zero means
	// DefaultMerchantConcurrency. The limit is never more than three quarters of the pool.
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

// DefaultMaxConnections is the default size of the connection pool.
const DefaultMaxConnections = 16

// DefaultMerchantConcurrency is the default number of statements that one merchant may run at once,
// in a pool that is large enough.
const DefaultMerchantConcurrency = 64

// Store gives access to the merchants' data, with one Rows for each noun. It connects as the role
// without privileges, and each of its statements goes through package wall.
type Store struct {
	Customers *Customers
	Changes   *Changes

	rows   map[string]any // *Rows[T], by the noun's name
	walled *bun.DB
	gate   *gate.Gate
	waker  *waker
	heads  *postgres.Pool // of the waker; nil without one
}

// Open returns a Store on the database. The first statement opens the first connection. Package
// schema checks the database before the service starts.
func Open(database *postgres.Database, options Options) *Store {
	options = options.orDefault()
	connector := wall.NewConnector(database.Config, scopeFrom)
	if pooled := database.Pooled; pooled != nil {
		connector = wall.NewPooledConnector(database.Config, scopeFrom, pooled.Begin, pooled.Local)
	}
	connector.Losses = database.Losses
	pool := sql.OpenDB(postgres.Connector(connector, database.Config))
	postgres.Bound(pool, options.MaxConnections)
	heads := database.Open(1)
	s := newStore(bun.NewDB(pool, pgdialect.New()), options, headsOf(heads))
	s.heads = heads
	return s
}

// New returns a Store on a pool whose connections come from package wall. Callers that wait for changes
// learn only of those that this Store makes.
func New(walled *bun.DB, options Options) *Store {
	return newStore(walled, options, func(context.Context, []string) ([]head, error) { return nil, nil })
}

func newStore(
	walled *bun.DB, options Options, heads func(context.Context, []string) ([]head, error),
) *Store {
	options = options.orDefault()
	g := gate.New(options.MaxConnections, options.MerchantConcurrency)
	s := &Store{rows: make(map[string]any), walled: walled, gate: g, waker: newWaker(heads)}
	for _, n := range nouns {
		s.rows[n.Name()] = n.rows(s)
	}
	s.Customers, s.Changes = &Customers{RowsOf[Customer](s)}, newChanges(s)
	return s
}

// Admit returns Unavailable while the queue for the database is so long that any statement of the
// merchant in ctx would be refused at once, so that a server can refuse a request before it reads
// the body. A nil result does not promise that a statement will be admitted.
func (s *Store) Admit(ctx context.Context) error {
	merchant, _ := scopeFrom(ctx)
	if err := s.gate.Admit(merchant); err != nil {
		return Failed("", err)
	}
	return nil
}

// Now returns the database's time, to the millisecond. Pass its errors to Failed.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	return scope{db: s.walled, gate: s.gate}.now(ctx)
}

// EndWaits answers the callers that wait for changes, for a server that stops.
func (s *Store) EndWaits() { s.waker.stop() }

// Close ends all waits and closes all connections.
func (s *Store) Close() error {
	s.waker.stop()
	err := s.walled.Close()
	if s.heads != nil {
		err = errors.Join(err, s.heads.Close())
	}
	return err
}
