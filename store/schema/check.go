// Package schema migrates the database and checks it: the migrations, the service's role, and the
// policies, functions and privileges that tenant isolation depends on.
package schema

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"lumen/store/postgres"
)

// Check returns an error if the service must not run on the database. An *UnsafeRoleError says
// which part of the role or of the catalogue weakens tenant isolation, and how to correct it.
//
// If it may run, warnings are for the operator: logins that can bypass row-level security or
// privileges, and roles that may create objects in Lumen's schema. Up to Postgres 14, every role may do
// so by default.
func Check(ctx context.Context, database *postgres.Database) (warnings []string, err error) {
	pool := database.Open(1)
	defer func() { _ = pool.Close() }()
	if database.Pooled == nil {
		if err := checkPooler(ctx, pool); err != nil {
			return nil, err
		}
	}
	if err := checkMigrations(ctx, pool); err != nil {
		return nil, err
	}
	if err := checkRole(ctx, pool); err != nil {
		return nil, err
	}
	err = pool.Use(ctx, func(db bun.IDB) error {
		found, err := queryCatalogue(ctx, db, warningsQuery, expectedNames)
		for _, warning := range found {
			text, fix := warning[0], warning[1]
			if fix != "" {
				text += "; fix it with: " + fix
			}
			warnings = append(warnings, text)
		}
		return err
	})
	return warnings, err
}

// checkPooler returns an error if the service was configured without a pooler and connects to one
// that ignores the settings of a connection. Behind it, timeouts and durability would be lost, and
// a prepared statement could be mistaken for another connection's.
func checkPooler(ctx context.Context, pool *postgres.Pool) error {
	var has string
	if err := pool.NewRaw("SELECT current_setting('statement_timeout')").Scan(ctx, &has); err != nil {
		return fmt.Errorf("check for a pooler: %w", err)
	}
	if has != postgres.StatementTimeout {
		return errors.New("the settings of a connection do not reach the database; " +
			"behind a pooler in transaction mode set LUMEN_DATABASE_POOLER=transaction")
	}
	return nil
}
