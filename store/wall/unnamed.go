package wall

import (
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// NewPooledConnector is NewConnector for a database behind a pooler in transaction mode, which may give each Sync another
// of the server's connections. So nothing is prepared, as the next statement may not find it, and the settings that
// could not be made for a connection are made for each statement, in the prelude, and end with it.
func NewPooledConnector(config *pgx.ConnConfig, scope Scope, settings map[string]string) *Connector {
	prelude := setScope
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		prelude += ", set_config(" + literal(name) + ", " + literal(settings[name]) + ", true)"
	}
	return &Connector{config: config, scope: scope, setScope: prelude, unnamed: true, Losses: new(Losses)}
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
