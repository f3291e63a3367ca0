package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// ConnectionLife is the maximum age of a connection. Replacing old connections frees the memory
// that their backends hold, and leads new ones to the server to which the URL leads by then.
const ConnectionLife = 30 * time.Minute

// Pool is a pool of plain connections. They set no merchant, so row-level security shows them no
// rows.
type Pool struct {
	*bun.DB
	begin string // starts each use; "" if settings last as long as the connection
}

// Open returns a pool of at most this number of connections. pooled is the result of BehindPooler
// for config, or nil without a pooler.
func Open(config *pgx.ConnConfig, pooled *Pooled, connections int, options ...stdlib.OptionOpenDB) *Pool {
	db := sql.OpenDB(Connector(stdlib.GetConnector(*config, options...), config))
	Bound(db, connections)
	p := &Pool{DB: bun.NewDB(db, pgdialect.New())}
	if pooled != nil {
		p.begin = pooled.text()
	}
	return p
}

// Bound limits a pool to this number of connections, each of which lives at most ConnectionLife.
func Bound(db *sql.DB, connections int) {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxLifetime(ConnectionLife)
}

// Use calls work with a connection on which all settings are made.
func (p *Pool) Use(ctx context.Context, work func(bun.IDB) error) error {
	return p.use(ctx, func(db bun.IDB, _ querier) error { return work(db) })
}

// Query runs a statement with the parameters $1 and on, and scans its rows into the slice to which
// into points.
func (p *Pool) Query(ctx context.Context, into any, statement string, args ...any) error {
	return p.use(ctx, func(_ bun.IDB, q querier) error {
		rows, err := q.QueryContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		return p.ScanRows(ctx, rows, into)
	})
}

// Exec runs a statement with the parameters $1 and on.
func (p *Pool) Exec(ctx context.Context, statement string, args ...any) error {
	return p.use(ctx, func(_ bun.IDB, q querier) error {
		_, err := q.ExecContext(ctx, statement, args...)
		return err
	})
}

// querier is the database/sql interface of a pool or a connection. Bun's own would write arguments
// into the statement's text.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// rollbackTime bounds the rollback of a transaction whose context may have ended.
const rollbackTime = time.Second

// use calls work. Behind a pooler it does so in a transaction that begins with the settings.
func (p *Pool) use(ctx context.Context, work func(bun.IDB, querier) error) (err error) {
	if p.begin == "" {
		return work(p.DB, p.DB.DB)
	}
	conn, err := p.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
			defer cancel()
			_, _ = conn.Conn.ExecContext(ending, "ROLLBACK") // on failure the connection is not used again
		}
		_ = conn.Close()
	}()
	// Without arguments, pgx sends all statements of a text at once.
	if _, err := conn.Conn.ExecContext(ctx, p.begin); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := work(conn, conn.Conn); err != nil {
		return err
	}
	_, err = conn.Conn.ExecContext(ctx, "COMMIT")
	return err
}
