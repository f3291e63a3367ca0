package schema

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"lumen/store"
)

// registerKeys adds the step that computes the keys of the customers that are there, for email addresses,
// names and searches. The step is named after this file. It takes its time, and the service goes on
// meanwhile: no lock on the table outlasts a batch. Where there are customers, servers of the release before
// still sort by the old indexes, so dropping them is left to Rekey.
func registerKeys(steps *migrate.Migrations, report *Rekeyed) error {
	return steps.Register(func(ctx context.Context, db *bun.DB) error {
		if err := rekey(ctx, db, store.NounOf[store.Customer](), report); err != nil {
			return err
		}
		if report.Rows > 0 {
			return replaceIndexes(ctx, db, nameSortIndexes, nil)
		}
		return replaceIndexes(ctx, db, nameSortIndexes, nameKeyIndexes)
	}, func(ctx context.Context, db *bun.DB) error {
		return replaceIndexes(ctx, db, nameKeyIndexes, nameSortIndexes)
	})
}

// index is an index of customers: its name, and what follows the merchant.
type index struct{ name, columns string }

// A customer without a name comes last in either direction: past every name when ascending, before every
// name when read backwards.
var (
	nameSortIndexes = []index{
		{"customers_name_sort_ascending", `(CASE WHEN name_sort IS NULL THEN '\xff' ELSE name_sort END), id`},
		{"customers_name_sort_descending", `(CASE WHEN name_sort IS NULL THEN '' ELSE name_sort END), id`},
	}
	nameKeyIndexes = []index{
		{"customers_name_ascending", `(CASE WHEN name_key IS NULL THEN U&'\+10FFFF' ELSE name_key END), id`},
		{"customers_name_descending", `(CASE WHEN name_key IS NULL THEN '' ELSE name_key END), id`},
	}
)

// replaceIndexes makes indexes and drops others while the table is read and written.
func replaceIndexes(ctx context.Context, db *bun.DB, fresh, old []index) error {
	var statements []string
	for _, i := range fresh {
		statements = append(statements, "DROP INDEX CONCURRENTLY IF EXISTS "+i.name, // half made by a migrator that was killed
			"CREATE INDEX CONCURRENTLY "+i.name+" ON customers (merchant_id, "+i.columns+")")
	}
	for _, i := range old {
		statements = append(statements, "DROP INDEX CONCURRENTLY IF EXISTS "+i.name)
	}
	for _, statement := range statements {
		if _, err := db.DB.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("replace indexes: %w", err)
		}
	}
	return nil
}
