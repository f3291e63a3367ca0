// Package wall is a database/sql driver that cannot forget the merchant (I1).
//
// It wraps pgx. Every statement travels in one pipeline with the settings that row-level security reads, under a
// single Sync:
//
//	set_config('lumen.merchant_id', <merchant>, is_local => true), set_config('lumen.customer_id', <customer>, ...)
//	[pg_advisory_xact_lock(...)]      when the context asks for it, see WithLock; with the settings, where it can
//	<the statement>
//	Sync
//
// Postgres runs what stands before one Sync as one implicit transaction, so the settings end with the statement they
// were sent for: a connection that goes back to the pool carries no merchant, whatever happened on it. The merchant, and
// the one customer that the caller is bound to, if any, are taken from the statement's context; without a merchant the
// statement is refused and nothing is sent.
//
// Success is Postgres's own word: rows end, and Exec returns, only after ReadyForQuery, that is after the commit.
//
// A statement with arguments is prepared once per connection, and forgotten when others are used more; one without (text
// that was built for this call alone) runs unnamed. So neither fills the server with prepared statements. There are no
// explicit transactions.
//
// Behind a pooler in transaction mode two statements of one connection may meet two connections of the server. There
// everything runs unnamed, between a BEGIN that states the isolation level and a COMMIT, and the first query makes the
// settings that would otherwise be the connection's; see NewPooledConnector.
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

// ErrNoMerchant is returned for every statement whose context names no merchant. Nothing was sent to Postgres.
var ErrNoMerchant = errors.New("wall: no merchant in the context")

// errNoTransactions and errNoPrepare keep the two ways round the pipeline closed.
var (
	errNoTransactions = errors.New("wall: each statement is a transaction of its own")
	errNoPrepare      = errors.New("wall: statements with arguments are prepared by the driver")
)

const (
	// Behind a pooler these run before the search path is Lumen's, so they name the schema of each function.
	setScope = `SELECT pg_catalog.set_config('lumen.merchant_id', $1, true), pg_catalog.set_config('lumen.customer_id', $2, true)`
	takeLock = `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1::text, 0::bigint))`
	// Both at once, which spares a write a statement.
	setScopeAndLock = setScope + `, pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($3::text, 0::bigint))`

	// maxPrepared bounds the statements kept per connection, those of the prelude aside. The store has four that are fixed,
	// one for each set of fields that somebody updates, and one for each list without a filter. The one used least recently
	// makes room.
	maxPrepared = 64
)

// Connector opens connections that refuse to work without a merchant. It implements driver.Connector.
type Connector struct {
	// Losses are shared with the other pools of connections to the same server.
	Losses *postgres.Losses

	config   *pgx.ConnConfig
	scope    Scope
	begin    string // what starts the transaction of each pipeline behind a pooler; "" without one
	setScope string // the first query of each pipeline
	unnamed  bool   // nothing is prepared
}

// Scope reads from a statement's context the merchant's id, "" when there is none, and the id of the one customer that
// the caller is bound to, "" when it is bound to none.
type Scope func(context.Context) (merchant, customer string)

// NewConnector returns a Connector to the database of config, whose statements work in the scope.
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
	opened.prepared, _ = simplelru.NewLRU[string, *pgconn.StatementDescription](maxPrepared, nil) // fails for a size of 0 alone
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

// unnamedDriver exists because driver.Connector asks for one; the wall is never opened by name.
type unnamedDriver struct{}

func (unnamedDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("wall: open it through its Connector")
}

type lockKey struct{}

// WithLock makes the statement run under ctx wait for, and hold until it commits, the advisory lock named key. The
// lock is taken ahead of it: one taken inside the statement would come after its snapshot.
func WithLock(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, lockKey{}, key)
}

// conn is one connection; database/sql never uses it from two goroutines at once.
type conn struct {
	pg       *pgconn.PgConn
	scope    Scope
	begin    string
	setScope string
	unnamed  bool
	losses   *postgres.Losses
	types    *pgtype.Map
	prelude  map[string]*pgconn.StatementDescription // what is ahead of every statement, by its text
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

// QueryContext implements driver.QueryerContext. The rows must be read to their end, which is where a failed commit
// would show.
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

// send puts the wall and the statement on the wire and returns the statement's result, not yet read. On an error the
// pipeline is over and the connection either clean or marked broken.
func (c *conn) send(ctx context.Context, query string, args []any) (*pgconn.Pipeline, *pgconn.ResultReader, error) {
	scope, err := c.scopeArgs(ctx)
	if err != nil {
		return nil, nil, err
	}
	prelude := []statement{{c.setScope, scope}}
	switch key, ok := ctx.Value(lockKey{}).(string); {
	case ok && c.unnamed: // the limits that the first statement sets hold from the second on
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

// scopeArgs returns the arguments of setScope, and ErrNoMerchant without a merchant.
func (c *conn) scopeArgs(ctx context.Context) ([][]byte, error) {
	merchant, customer := c.scope(ctx)
	if merchant == "" {
		return nil, ErrNoMerchant
	}
	return [][]byte{[]byte(merchant), []byte(customer)}, nil
}

// statement is one step of the prelude: fixed text and its arguments.
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

// end reads the pipeline to its ReadyForQuery and returns the first error: err, else the commit's. A connection that
// is not idle afterwards is never used again.
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

// ended returns how a statement ended: a LostError when its connection did.
func (c *conn) ended(err error, sent bool) error {
	if !c.losses.Observe(err) {
		return err
	}
	return &LostError{Sent: sent, cause: err}
}

// staleConnection reports that the server no longer agrees with what this connection is. Of what it has prepared a
// migration changed a result's type, or somebody deallocated it; or it takes no writes, which may have been true of all
// connections when it was opened, or of a server that another has since replaced. A new connection starts clean.
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

// BeginTx implements driver.ConnBeginTx: it always refuses.
func (c *conn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return nil, errNoTransactions
}

// Begin implements driver.Conn: it always refuses.
func (c *conn) Begin() (driver.Tx, error) { return nil, errNoTransactions }

// PrepareContext implements driver.ConnPrepareContext: it always refuses.
func (c *conn) PrepareContext(context.Context, string) (driver.Stmt, error) { return nil, errNoPrepare }

// Prepare implements driver.Conn: it always refuses.
func (c *conn) Prepare(string) (driver.Stmt, error) { return nil, errNoPrepare }

// CheckNamedValue implements driver.NamedValueChecker: pgx encodes every type that the store uses.
func (c *conn) CheckNamedValue(*driver.NamedValue) error { return nil }

// Ping implements driver.Pinger. It touches no table and so needs no merchant.
func (c *conn) Ping(ctx context.Context) error { return c.pg.Ping(ctx) }

// ResetSession implements driver.SessionResetter: it is called before a pooled connection is used again.
func (c *conn) ResetSession(ctx context.Context) error {
	if !c.IsValid() || !c.losses.Admit(ctx, c.pg, c.usedAt) {
		return driver.ErrBadConn
	}
	return nil
}

// IsValid implements driver.Validator. A connection is busy between two statements when somebody left a result open, or held a
// panic back from database/sql: it may be inside the statement still, and would refuse every other.
func (c *conn) IsValid() bool { return !c.broken && !c.pg.IsClosed() && !c.pg.IsBusy() }

// Close implements driver.Conn.
func (c *conn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return c.pg.Close(ctx)
}
