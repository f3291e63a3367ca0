package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Database is where a connection string of the service leads. All pools that the service has there
// share its Losses.
type Database struct {
	Config *pgx.ConnConfig
	// Pooled says how to work behind a pooler in transaction mode. It is nil without one.
	Pooled *Pooled
	Losses *Losses
}

// ParseDatabase reads the connection string of `lumen serve`, as ParseService does. transactionPooler
// says that the string is that of a pooler in transaction mode, such as PgBouncer.
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

// Open returns a pool with at most this number of plain connections.
func (d *Database) Open(connections int) *Pool {
	// The ping that is asked for fails on a connection that was not admitted, as that is closed.
	shouldPing := func(ctx context.Context, p stdlib.ShouldPingParams) bool {
		return !d.Losses.Admit(ctx, p.Conn.PgConn(), time.Now().Add(-p.IdleDuration))
	}
	return Open(d.Config, d.Pooled, connections, stdlib.OptionShouldPing(shouldPing))
}
