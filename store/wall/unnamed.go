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

// NewPooledConnector is NewConnector for a pooler in transaction mode, which may run each
// transaction on another server connection. So no statement is prepared: the next one might not
// find it. Each pipeline is an explicit transaction. begin starts it and sets the isolation level,
// which has to be set before the first query. The first query then makes the settings that a pooler
// cannot keep for a connection; they end with the transaction.
func NewPooledConnector(config *pgx.ConnConfig, scope Scope, begin string, settings map[string]string) *Connector {
	prelude := setScope
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		prelude += ", pg_catalog.set_config(" + literal(name) + ", " + literal(settings[name]) + ", true)"
	}
	return &Connector{
		config: config, scope: scope, begin: begin, setScope: prelude, unnamed: true, Losses: new(postgres.Losses),
	}
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// queue adds a statement of the prelude to the pipeline.
func (c *conn) queue(pipeline *pgconn.Pipeline, s statement) {
	if c.unnamed {
		pipeline.SendQueryParams(s.sql, s.args, nil, nil, nil)
		return
	}
	pipeline.SendQueryStatement(c.prelude[s.sql], s.args, nil, nil)
}

// rollbackTime bounds the rollback of a failed transaction.
const rollbackTime = time.Second

// commit reads the result of the COMMIT at the end of a pipeline behind a pooler.
func (c *conn) commit(pipeline *pgconn.Pipeline) error {
	result, err := next(pipeline)
	if err != nil {
		return err
	}
	_, err = result.Close()
	return err
}

// rollBack ends a failed transaction, so that the connection can be used again.
func (c *conn) rollBack() {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTime)
	defer cancel()
	// If it fails, the connection stays in the transaction and counts as broken.
	_, _ = c.pg.Exec(ctx, "ROLLBACK").ReadAll()
}
