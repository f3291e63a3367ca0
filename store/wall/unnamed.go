package wall

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lumen/store/postgres"
)

// NewPooledConnector is NewConnector for a database behind a pooler in transaction mode, which may give each
// transaction another of the server's connections. Nothing is prepared, as the next statement may not find
// it. Each pipeline is an explicit transaction: begin starts it, since the isolation level has to stand before
// the first query, and the settings that could not be made for a connection are made in it and end with it.
func NewPooledConnector(config *pgx.ConnConfig, scope Scope, begin string, settings map[string]string) *Connector {
	prelude := setScope
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		prelude += ", pg_catalog.set_config(" + literal(name) + ", " + literal(settings[name]) + ", true)"
	}
	return &Connector{config: config, scope: scope, begin: begin, setScope: prelude, unnamed: true, Losses: new(postgres.Losses)}
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// queue adds a step of the prelude to the pipeline.
func (c *conn) queue(pipeline *pgconn.Pipeline, s statement) {
	if c.unnamed {
		pipeline.SendQueryParams(s.sql, s.args, nil, nil, nil)
		return
	}
	pipeline.SendQueryStatement(c.prelude[s.sql], s.args, nil, nil)
}

// rollbackTime bounds the end of a transaction that failed.
const rollbackTime = time.Second

// commit reads what came of the COMMIT that a pipeline behind a pooler ends with.
func (c *conn) commit(pipeline *pgconn.Pipeline) error {
	result, err := next(pipeline)
	if err != nil {
		return err
	}
	_, err = result.Close()
	return err
}

// rollBack ends a transaction in which a statement failed, so that the connection can be used again.
func (c *conn) rollBack() {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTime)
	defer cancel()
	_, _ = c.pg.Exec(ctx, "ROLLBACK").ReadAll() // a connection on which it fails is not idle, and so broken
}
