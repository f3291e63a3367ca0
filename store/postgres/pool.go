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

// ConnectionLife is the longest time that a connection is used. Then the memory that it holds on the server is
// freed, and the next connection goes where the URL leads now.
const ConnectionLife = 30 * time.Minute

// Pool is a pool of plain connections: they name no merchant, so row-level security shows them no rows.
type Pool struct {
	*bun.DB
	begin string // what each use begins with; "" where settings last as long as the connection
}

// Open returns a pool with at most this number of connections. Behind a pooler, pooled is the result of BehindPooler
// for config. Otherwise it is nil.
func Open(config *pgx.ConnConfig, pooled *Pooled, connections int, options ...stdlib.OptionOpenDB) *Pool {
	db := sql.OpenDB(Connector(stdlib.GetConnector(*config, options...), config))
	Bound(db, connections)
	p := &Pool{DB: bun.NewDB(db, pgdialect.New())}
	if pooled != nil {
		p.begin = pooled.text()
	}
	return p
}

// Bound limits the number of a pool's connections and their life.
func Bound(db *sql.DB, connections int) {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxLifetime(ConnectionLife)
}

// Use hands work a connection on which all settings hold.
func (p *Pool) Use(ctx context.Context, work func(bun.IDB) error) error {
	return p.use(ctx, func(db bun.IDB, _ querier) error { return work(db) })
}

// Query runs a statement whose parameters are $1 and on, and scans its rows into the slice that into points to.
func (p *Pool) Query(ctx context.Context, into any, statement string, args ...any) error {
	return p.use(ctx, func(_ bun.IDB, q querier) error {
		rows, err := q.QueryContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		return p.ScanRows(ctx, rows, into)
	})
}

// Exec runs a statement whose parameters are $1 and on.
func (p *Pool) Exec(ctx context.Context, statement string, args ...any) error {
	return p.use(ctx, func(_ bun.IDB, q querier) error {
		_, err := q.ExecContext(ctx, statement, args...)
		return err
	})
}

// querier is database/sql's side of a pool or of a connection, past Bun, which would write arguments into
// the text.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// rollbackTime bounds the end of a transaction whose own context may have ended.
const rollbackTime = time.Second

// use runs work, behind a pooler within a transaction that makes the settings.
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
			_, _ = conn.Conn.ExecContext(ending, "ROLLBACK") // a connection on which it fails is not used again
		}
		_ = conn.Close()
	}()
	// Without arguments pgx sends all statements of the text at once.
	if _, err := conn.Conn.ExecContext(ctx, p.begin); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := work(conn, conn.Conn); err != nil {
		return err
	}
	_, err = conn.Conn.ExecContext(ctx, "COMMIT")
	return err
}
