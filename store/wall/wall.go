// Package wall is a database/sql driver for Postgres that sends no statement without its merchant.
// It is one of the two guards of tenant isolation (I1); the other is the merchant's predicate in
// each statement.
//
// The driver wraps pgx. It sends every statement in one pipeline together with the settings that
// row-level security reads, under a single Sync:
//
//	set_config('lumen.merchant_id', <merchant>, true), set_config('lumen.customer_id', <customer>, true)
//	[pg_advisory_xact_lock(...)]  if the context asks for it (WithLock); where possible in one query
//	<the statement>
//	Sync
//
// Postgres runs everything before a Sync as one implicit transaction, so the settings end with the
// statement: whatever happens on a connection, it returns to the pool without a merchant. The
// driver takes the merchant, and the customer that the caller may be bound to, from the statement's
// context. Without a merchant it refuses the statement and sends nothing.
//
// Rows end, and Exec returns, only after Postgres sends ReadyForQuery, so success means that the
// commit is confirmed.
//
// A statement with arguments is prepared once per connection. Each connection keeps the prepared
// statements that were used last. A statement without arguments has a text that was built for one
// call, and is not prepared. So the server never accumulates prepared statements. Explicit
// transactions are refused.
//
// Behind a pooler in transaction mode, two statements of one connection may run on two server
// connections. The driver then prepares nothing, puts each pipeline between a BEGIN that sets the
// isolation level and a COMMIT, and makes the connection's settings in the first query; see
// NewPooledConnector.
package wall

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"lumen/store/postgres"
)

// ErrNoMerchant is the error for a statement whose context holds no merchant. Nothing was sent to
// Postgres.
var ErrNoMerchant = errors.New("wall: no merchant in the context")

// These errors refuse the two ways to run a statement outside the pipeline.
var (
	errNoTransactions = errors.New("wall: each statement is a transaction of its own")
	errNoPrepare      = errors.New("wall: statements with arguments are prepared by the driver")
)

const (
	// These name the schema of each function, because behind a pooler they run before search_path
	// is set.
	setScope = `SELECT pg_catalog.set_config('lumen.merchant_id', $1, true), pg_catalog.set_config('lumen.customer_id', $2, true)`
	takeLock = `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1::text, 0::bigint))`
	// setScopeAndLock does both in one query, which spares a write one statement.
	setScopeAndLock = setScope + `, pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($3::text, 0::bigint))`

	// maxPrepared is the number of prepared statements that a connection keeps besides those of the
	// prelude. Beyond it, the least recently used one is deallocated. The store has a few fixed
	// statements, one for each set of fields that clients update, and one for each list without a
	// filter.
	maxPrepared = 64
)

// Connector opens connections that refuse statements without a merchant. It implements
// driver.Connector.
type Connector struct {
	// Losses is shared by all pools of connections to the same server.
	Losses *postgres.Losses

	config   *pgx.ConnConfig
	scope    Scope
	begin    string // starts the transaction of each pipeline behind a pooler; "" without a pooler
	setScope string // the first query of each pipeline
	unnamed  bool   // no statement is prepared
}

// Scope returns the merchant's id from a statement's context, or "" if there is none, and the id of
// the customer that the caller is bound to, or "" if the caller is not bound.
type Scope func(context.Context) (merchant, customer string)

// NewConnector returns a Connector for the database of config. Its statements run in the scope.
func NewConnector(config *pgx.ConnConfig, scope Scope) *Connector {
	return &Connector{config: config, scope: scope, setScope: setScope, Losses: new(postgres.Losses)}
}

// Connect implements driver.Connector.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	pg, err := pgconn.ConnectConfig(ctx, &c.config.Config)
	if err != nil {
		return nil, err
	}
	opened := &conn{
		pg:       pg,
		scope:    c.scope,
		begin:    c.begin,
		setScope: c.setScope,
		unnamed:  c.unnamed,
		losses:   c.Losses,
		types:    pgtype.NewMap(),
		prelude:  make(map[string]*pgconn.StatementDescription),
		usedAt:   time.Now(),
	}
	if c.unnamed {
		return opened, nil
	}
	// NewLRU fails only for the size 0.
	opened.prepared, _ = simplelru.NewLRU[string, *pgconn.StatementDescription](maxPrepared, nil)
	for _, sql := range []string{setScope, setScopeAndLock} {
		if opened.prelude[sql], err = opened.describe(ctx, sql); err != nil {
			_ = pg.Close(ctx)
			return nil, err
		}
	}
	return opened, nil
}

// Driver implements driver.Connector.
func (c *Connector) Driver() driver.Driver { return unnamedDriver{} }

// unnamedDriver is the driver.Driver that driver.Connector requires. It is not registered, so
// sql.Open cannot open it by a name.
type unnamedDriver struct{}

func (unnamedDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("wall: open it through its Connector")
}

type lockKey struct{}

// WithLock returns a context whose statement first waits for the advisory lock named key, and holds
// it until it commits. The lock is taken by a query of its own before the statement, because a lock
// taken inside the statement would come after the statement's snapshot.
func WithLock(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, lockKey{}, key)
}

// conn is one connection. database/sql never uses it from two goroutines at once.
type conn struct {
	pg       *pgconn.PgConn
	scope    Scope
	begin    string
	setScope string
	unnamed  bool
	losses   *postgres.Losses
	types    *pgtype.Map
	prelude  map[string]*pgconn.StatementDescription // the prepared queries that come first, by their text
	prepared *simplelru.LRU[string, *pgconn.StatementDescription]
	names    int // of prepared statements, so far
	builder  pgx.ExtendedQueryBuilder
	usedAt   time.Time
	broken   bool
}

var (
	_ driver.QueryerContext     = (*conn)(nil)
	_ driver.ExecerContext      = (*conn)(nil)
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.NamedValueChecker  = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.ConnPrepareContext = (*conn)(nil)
)

// QueryContext implements driver.QueryerContext. A caller must read the rows to their end, because
// a failed commit is reported there.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	pipeline, result, err := c.send(ctx, query, valuesOf(args))
	if err != nil {
		return nil, err
	}
	return &rows{conn: c, pipeline: pipeline, result: result}, nil
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	pipeline, result, err := c.send(ctx, query, valuesOf(args))
	if err != nil {
		return nil, err
	}
	tag, err := result.Close()
	if err := c.end(pipeline, err); err != nil {
		return nil, err
	}
	return driver.RowsAffected(tag.RowsAffected()), nil
}

// send sends the settings and the statement, and returns the statement's result, unread. After an
// error the pipeline has ended, and the connection is either clean or marked broken.
func (c *conn) send(ctx context.Context, query string, args []any) (*pgconn.Pipeline, *pgconn.ResultReader, error) {
	scope, err := c.scopeArgs(ctx)
	if err != nil {
		return nil, nil, err
	}
	prelude := []statement{{c.setScope, scope}}
	switch key, ok := ctx.Value(lockKey{}).(string); {
	case ok && c.unnamed: // a query of its own, so that the timeouts which the first query sets apply to the wait
		prelude = append(prelude, statement{takeLock, [][]byte{[]byte(key)}})
	case ok:
		prelude[0] = statement{setScopeAndLock, append(prelude[0].args, []byte(key))}
	}
	description, values, formats, err := c.bind(ctx, query, args)
	if err != nil {
		return nil, nil, c.ended(err, false)
	}

	if c.begin != "" {
		prelude = append([]statement{{sql: c.begin}}, prelude...)
	}
	pipeline := c.pg.StartPipeline(ctx)
	for _, s := range prelude {
		c.queue(pipeline, s)
	}
	if description != nil {
		pipeline.SendQueryStatement(description, values, formats, binary)
	} else {
		pipeline.SendQueryParams(query, values, nil, formats, binary)
	}
	if c.begin != "" {
		c.queue(pipeline, statement{sql: "COMMIT"})
	}
	if err := pipeline.Sync(); err != nil {
		return nil, nil, c.end(pipeline, err)
	}

	for range prelude {
		result, err := next(pipeline)
		if err == nil {
			_, err = result.Close()
		}
		if err != nil {
			return nil, nil, c.end(pipeline, err)
		}
	}
	result, err := next(pipeline)
	if err != nil {
		return nil, nil, c.end(pipeline, err)
	}
	return pipeline, result, nil
}

// scopeArgs returns the arguments of setScope, or ErrNoMerchant if the context holds no merchant.
func (c *conn) scopeArgs(ctx context.Context) ([][]byte, error) {
	merchant, customer := c.scope(ctx)
	if merchant == "" {
		return nil, ErrNoMerchant
	}
	return [][]byte{[]byte(merchant), []byte(customer)}, nil
}

// statement is a query of the prelude: a fixed text and its arguments.
type statement struct {
	sql  string
	args [][]byte
}

// next returns the pipeline's next result.
func next(pipeline *pgconn.Pipeline) (*pgconn.ResultReader, error) {
	results, err := pipeline.GetResults()
	if err != nil {
		return nil, err
	}
	result, ok := results.(*pgconn.ResultReader)
	if !ok {
		return nil, fmt.Errorf("wall: unexpected %T in the pipeline", results)
	}
	return result, nil
}

// end reads the pipeline up to ReadyForQuery and returns err or, if that is nil, the commit's
// error. A connection that is not idle then is never used again.
func (c *conn) end(pipeline *pgconn.Pipeline, err error) error {
	if err == nil && c.begin != "" {
		err = c.commit(pipeline)
	}
	if closeErr := pipeline.Close(); err == nil {
		err = closeErr
	}
	if c.begin != "" && c.pg.TxStatus() == 'E' {
		c.rollBack()
	}
	c.usedAt = time.Now()
	if c.pg.IsClosed() || c.pg.TxStatus() != 'I' || staleConnection(err) {
		c.broken = true
		if err == nil {
			err = errors.New("wall: the connection ended before the commit was confirmed")
		}
	}
	return c.ended(err, true)
}

// ended returns the error that a statement ends with: a LostError if its connection died.
func (c *conn) ended(err error, sent bool) error {
	if !c.losses.Observe(err) {
		return err
	}
	return &LostError{Sent: sent, cause: err}
}

// staleConnection reports whether the server rejected the session's state: a prepared statement
// whose result type a migration changed, one that is no longer there, or a session that accepts no
// writes, as on a server that was a standby when the connection was opened. A new connection starts
// clean.
func staleConnection(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "26000" || pgErr.Code == "0A000" || pgErr.Code == "25006")
}

func valuesOf(args []driver.NamedValue) []any {
	values := make([]any, len(args))
	for i, arg := range args {
		values[i] = arg.Value
	}
	return values
}

// BeginTx implements driver.ConnBeginTx. It always fails.
func (c *conn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return nil, errNoTransactions
}

// Begin implements driver.Conn. It always fails.
func (c *conn) Begin() (driver.Tx, error) { return nil, errNoTransactions }

// PrepareContext implements driver.ConnPrepareContext. It always fails.
func (c *conn) PrepareContext(context.Context, string) (driver.Stmt, error) { return nil, errNoPrepare }

// Prepare implements driver.Conn. It always fails.
func (c *conn) Prepare(string) (driver.Stmt, error) { return nil, errNoPrepare }

// CheckNamedValue implements driver.NamedValueChecker. pgx encodes every type that the store uses.
func (c *conn) CheckNamedValue(*driver.NamedValue) error { return nil }

// Ping implements driver.Pinger. It needs no merchant, because it reads no table.
func (c *conn) Ping(ctx context.Context) error { return c.pg.Ping(ctx) }

// ResetSession implements driver.SessionResetter. database/sql calls it before it reuses a
// connection.
func (c *conn) ResetSession(ctx context.Context) error {
	if !c.IsValid() || !c.losses.Admit(ctx, c.pg, c.usedAt) {
		return driver.ErrBadConn
	}
	return nil
}

// IsValid implements driver.Validator. A connection is busy between two statements if a caller left
// a result open, or recovered from a panic before database/sql saw it. It may then still be inside
// the statement, and would refuse every other.
func (c *conn) IsValid() bool { return !c.broken && !c.pg.IsClosed() && !c.pg.IsBusy() }

// Close implements driver.Conn.
func (c *conn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return c.pg.Close(ctx)
}
