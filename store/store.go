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
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

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

// statementTimeout is how long the server lets a statement of the service run.
const statementTimeout = "5s"

// Store is what the running service holds: it logs in as the plain role and reaches customers only through the wall.
type Store struct {
	Customers     *Customers
	Authenticator *Authenticator
	Tokens        *Tokens

	walled  *bun.DB
	lookUps *lookUps
	config  *pgx.ConnConfig // of connections outside of the wall
	pooled  bool
}

// connectionLife is how long a connection of the service's is used. What it holds on the server ends with it, and in time all are
// where the URL leads to now.
const connectionLife = 30 * time.Minute

// Open returns a Store on the database at url. It connects when first used; see CheckRole and CheckMigrations for what
// must hold before it serves.
func Open(url string, options Options) (*Store, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if options.MaxConnections == 0 {
		options.MaxConnections = DefaultMaxConnections
	}
	if options.MerchantConcurrency == 0 {
		options.MerchantConcurrency = DefaultMerchantConcurrency
	}
	// The service's statements are short; one that is not is worth less than the connection it holds.
	config.RuntimeParams["statement_timeout"] = statementTimeout
	config.RuntimeParams["lock_timeout"] = "2s"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "10s"
	connector := wall.NewConnector(config, scopeFrom)
	if options.TransactionPooler {
		connector = behindPooler(config)
	} else {
		// What is prepared has one good plan, made once; what has not is planned for its values, see query.
		config.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	}
	walled := sql.OpenDB(connector)
	walled.SetMaxOpenConns(options.MaxConnections)
	walled.SetMaxIdleConns(options.MaxConnections)
	walled.SetConnMaxLifetime(connectionLife)
	s := &Store{walled: bun.NewDB(walled, pgdialect.New()), config: config, pooled: options.TransactionPooler}
	s.lookUps = newLookUps(config, authConnections, connector.Losses)
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
	if s.pooled {
		return nil
	}
	var has string
	if err := s.lookUps.db.NewRaw("SELECT current_setting('statement_timeout')").Scan(ctx, &has); err != nil {
		return fmt.Errorf("check for a pooler: %w", err)
	}
	if has != statementTimeout {
		return errors.New("the settings of a connection do not reach the database; behind a pooler in transaction mode set LUMEN_DATABASE_POOLER=transaction")
	}
	return nil
}

// Close ends all connections, and the look-ups of credentials that nobody waits for any more.
func (s *Store) Close() error {
	s.Authenticator.cache.close()
	walledErr, plainErr := s.walled.Close(), s.lookUps.db.Close()
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

	db *bun.DB
}

// OpenOwner returns an Owner on the database at url.
func OpenOwner(url string) (*Owner, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	db := openPlain(config, authConnections)
	return &Owner{Merchants: &Merchants{db}, Keys: &Keys{db}, TokenKeys: &TokenKeys{db}, db: db}, nil
}

// Close ends all connections.
func (o *Owner) Close() error { return o.db.Close() }

// parseURL reads a connection string. Its errors never repeat the text, which may hold a password.
func parseURL(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("not a Postgres connection URL; it looks like postgres://user:password@host:5432/database")
	}
	config.RuntimeParams["application_name"] = "lumen"
	// Text comes back as it was sent whatever the server's defaults, and the quoting of literals can't be changed.
	config.RuntimeParams["client_encoding"] = "UTF8"
	config.RuntimeParams["standard_conforming_strings"] = "on"
	config.RuntimeParams["timezone"] = "UTC"
	config.RuntimeParams["search_path"] = "public"
	// I4: a role or a database that was set to answer before the commit is durable is overruled.
	config.RuntimeParams["synchronous_commit"] = "on"
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	return config, nil
}

// unpooled are those of a connection's settings that a pooler refuses, since it can't give them back with each statement's
// connection. The others in parseURL are the ones that PgBouncer keeps for its clients.
var unpooled = []string{
	"search_path", "synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
}

// behindPooler makes config fit for a pooler in transaction mode and returns the wall on it, which makes the unpooled
// settings for each statement, so that they hold as they do without a pooler.
//
// They do not for what else is opened with the config: those statements are the look-ups of keys and tokens, and the
// checks before serving. They name their functions with the schema, commit nothing that is acknowledged, and end by the
// deadline of their context, upon which the pooler is asked to cancel them.
func behindPooler(config *pgx.ConnConfig) *wall.Connector {
	settings := make(map[string]string, len(unpooled))
	for _, name := range unpooled {
		settings[name] = config.RuntimeParams[name]
		delete(config.RuntimeParams, name)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // unnamed, without asking the server to describe it
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	return wall.NewPooledConnector(config, scopeFrom, settings)
}

func openPlain(config *pgx.ConnConfig, connections int, options ...stdlib.OptionOpenDB) *bun.DB {
	db := stdlib.OpenDB(*config, options...)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxLifetime(connectionLife)
	return bun.NewDB(db, pgdialect.New())
}
