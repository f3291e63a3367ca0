// Package schema keeps the database as the service needs it: it migrates, and it checks that the
// migrations, the role and everything that tenant isolation rests on are as they should be.
package schema

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"lumen/store/postgres"
)

// Check returns why the database must not be served from, nil when it may. An *UnsafeRoleError says that
// the role or the catalogue does not keep merchants apart, and how to mend that.
func Check(ctx context.Context, database *postgres.Database) error {
	pool := database.Open(1)
	defer func() { _ = pool.Close() }()
	if database.Pooled == nil {
		if err := checkPooler(ctx, pool); err != nil {
			return err
		}
	}
	if err := checkMigrations(ctx, pool); err != nil {
		return err
	}
	return checkRole(ctx, pool)
}

// checkPooler returns an error when there is a pooler that the service was not told of, one that ignores
// the settings at the start of a connection. Limits and durability would be lost, and a prepared
// statement of one connection be taken for that of another.
func checkPooler(ctx context.Context, pool *postgres.Pool) error {
	var has string
	if err := pool.NewRaw("SELECT current_setting('statement_timeout')").Scan(ctx, &has); err != nil {
		return fmt.Errorf("check for a pooler: %w", err)
	}
	if has != postgres.StatementTimeout {
		return errors.New("the settings of a connection do not reach the database; behind a pooler in transaction mode set LUMEN_DATABASE_POOLER=transaction")
	}
	return nil
}

// Warnings returns texts for the operator of a database that is safe otherwise: the logins that pass row-level security
// or privileges, and the roles that may create objects in Lumen's schema, as by default every role may up to Postgres 14.
func Warnings(ctx context.Context, database *postgres.Database) (warnings []string, err error) {
	pool := database.Open(1)
	defer func() { _ = pool.Close() }()
	err = pool.Use(ctx, func(db bun.IDB) error {
		found, err := queryCatalogue(ctx, db, unboundRolesQuery, expectedNames)
		for _, finding := range found {
			text := finding[0]
			if finding[1] != "" {
				text += "; mend it with: " + finding[1]
			}
			warnings = append(warnings, text)
		}
		return err
	})
	return warnings, err
}
