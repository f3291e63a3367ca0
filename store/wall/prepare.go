package wall

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// bind encodes the arguments and, if there are any, prepares the statement.
func (c *conn) bind(
	ctx context.Context, query string, args []any,
) (*pgconn.StatementDescription, [][]byte, []int16, error) {
	if len(args) == 0 {
		return nil, nil, nil, nil
	}
	description, err := c.prepare(ctx, query)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := c.builder.Build(c.types, description, args); err != nil {
		return nil, nil, nil, fmt.Errorf("wall: %w", err)
	}
	return description, c.builder.ParamValues, c.builder.ParamFormats, nil
}

// prepare returns the description of sql on this connection, or nil behind a pooler, where no
// statement is prepared.
func (c *conn) prepare(ctx context.Context, sql string) (*pgconn.StatementDescription, error) {
	if c.unnamed {
		return nil, nil
	}
	if description, ok := c.prepared.Get(sql); ok {
		return description, nil
	}
	if c.prepared.Len() == maxPrepared {
		_, oldest, _ := c.prepared.RemoveOldest()
		if err := c.pg.Deallocate(ctx, oldest.Name); err != nil {
			c.broken = true // the server may or may not have the statement
			return nil, err
		}
	}
	description, err := c.describe(ctx, sql)
	if err == nil {
		c.prepared.Add(sql, description)
	}
	return description, err
}

// describe prepares sql under a new name.
func (c *conn) describe(ctx context.Context, sql string) (*pgconn.StatementDescription, error) {
	c.names++
	description, err := c.pg.Prepare(ctx, "lumen_"+strconv.Itoa(c.names), sql, nil)
	if err != nil {
		c.broken = c.broken || c.pg.IsClosed()
	}
	return description, err
}
