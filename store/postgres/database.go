package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Database is the database of `lumen serve`. All of the service's pools share its Losses.
type Database struct {
	Config *pgx.ConnConfig
	// Pooled describes how to work behind a pooler in transaction mode. It is nil without one.
	Pooled *Pooled
	Losses *Losses
}

// ParseDatabase parses the connection string of `lumen serve`, with the errors of ParseService.
// transactionPooler reports whether it leads to a pooler in transaction mode, such as PgBouncer.
func ParseDatabase(text string, transactionPooler bool) (*Database, error) {
	config, err := ParseService(text)
	if err != nil {
		return nil, err
	}
	d := &Database{Config: config, Losses: new(Losses)}
	if transactionPooler {
		pooled := BehindPooler(config)
		d.Pooled = &pooled
	}
	d.Losses.watch(config)
	return d, nil
}

// Open returns a pool of at most this number of plain connections.
func (d *Database) Open(connections int) *Pool {
	// A connection that Losses does not admit is closed, so the ping that is then requested fails.
	shouldPing := func(ctx context.Context, p stdlib.ShouldPingParams) bool {
		return !d.Losses.Admit(ctx, p.Conn.PgConn(), time.Now().Add(-p.IdleDuration))
	}
	return Open(d.Config, d.Pooled, connections, stdlib.OptionShouldPing(shouldPing))
}
