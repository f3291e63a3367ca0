package schema

import (
	"bytes"
	"context"
	"encoding/json"

	"lumen/store/postgres"
)

// CheckRole calls checkRole with a pool of its own.
func CheckRole(ctx context.Context, database *postgres.Database) error {
	return withPool(database, func(pool *postgres.Pool) error { return checkRole(ctx, pool) })
}

// CheckRoleOn calls checkRole with a pool that is open, because a new connection reads the catalogue
// five times as long.
func CheckRoleOn(ctx context.Context, pool *postgres.Pool) error { return checkRole(ctx, pool) }

// CheckMigrations calls checkMigrations with a pool of its own.
func CheckMigrations(ctx context.Context, database *postgres.Database) error {
	return withPool(database, func(pool *postgres.Pool) error { return checkMigrations(ctx, pool) })
}

func withPool(database *postgres.Database, check func(*postgres.Pool) error) error {
	pool := database.Open(1)
	defer func() { _ = pool.Close() }()
	return check(pool)
}

// ExpectedObjects returns the contents of expected.json for the owner's database, which must hold
// only what the migrations made. If the file has several forms of an object, the others are kept.
func (m *Migrator) ExpectedObjects(ctx context.Context) ([]byte, error) {
	all := knownNames{
		relations: `ARRAY(SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r')`,
		functions: `ARRAY(SELECT proname || '(' || oidvectortypes(proargtypes) || ')' FROM pg_proc WHERE pronamespace = 'public'::regnamespace)`,
	}
	found, _, err := describe(ctx, m.pool, expectedQuery, all)
	if err != nil {
		return nil, err
	}
	expected := make(map[string][]object, len(found))
	for name, described := range found {
		expected[name] = []object{described.object}
		if forms := expectedObjects[name]; len(forms) > 1 {
			expected[name] = append(expected[name], forms[1:]...)
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(expected)
	return text.Bytes(), err
}

// TargetFault returns the error for a server of this version, which may be a standby.
func TargetFault(version int, standby bool) string {
	return targetFacts{Version: version, Standby: standby}.fault().Error()
}
