package schema_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/store/schema"
	"lumen/store/storetest"
)

// spoiled is a database on which a migration would fail in the middle of a step, or after the last
// one.
type spoiled struct {
	// spoil is run by a superuser. {role} and {database} stand for the owner's role and for the
	// database.
	spoil []string
	// migrated means that another role has already applied all steps but the last.
	migrated   bool
	fault, fix string
	// forGood means that no statement fixes the database.
	forGood bool
}

var spoiledDatabases = map[string]spoiled{
	"no CREATE on the schema": {
		spoil: []string{"REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role}"},
		fault: `role {role} may not create tables in the schema public`,
		fix:   `GRANT USAGE, CREATE ON SCHEMA public TO {role} WITH GRANT OPTION;`,
	},
	"no USAGE on the schema": {
		spoil: []string{"REVOKE ALL ON SCHEMA public FROM PUBLIC, {role}", "GRANT CREATE ON SCHEMA public TO {role}"},
		fault: `role {role} may not create tables in the schema public`,
		fix:   `GRANT USAGE, CREATE ON SCHEMA public TO {role} WITH GRANT OPTION;`,
	},
	"no right to grant CREATE on the schema": {
		spoil: []string{"REVOKE CREATE ON SCHEMA public FROM PUBLIC", "REVOKE GRANT OPTION FOR CREATE ON SCHEMA public FROM {role}"},
		fault: `role {role} may not let lumen_janitor create functions in the schema public`,
		fix:   `GRANT CREATE ON SCHEMA public TO {role} WITH GRANT OPTION;`,
	},
	"no schema": {
		spoil: []string{"DROP SCHEMA public CASCADE"},
		fault: `the database {database} has no schema public`,
		fix:   `CREATE SCHEMA public AUTHORIZATION {role};`,
	},
	"another owner's tables": {
		migrated: true,
		fault: `Lumen's tables belong to {owner}, and this is role {role}; ` +
			`run lumen migrate up as that owner, or change the owner`,
	},
	"another's table of the same name": {
		spoil:   []string{"CREATE TABLE customers ()", "CREATE TABLE unrelated ()"},
		fault:   `the database {database} has a table "customers" that is not Lumen's`,
		fix:     `CREATE DATABASE lumen OWNER {role} ENCODING 'UTF8' TEMPLATE template0; and name it in the URL`,
		forGood: true,
	},
	"a database that is read-only": {
		spoil: []string{"ALTER DATABASE {database} SET default_transaction_read_only = on"},
		fault: `the database {database} is read-only`,
		fix:   `ALTER DATABASE {database} RESET default_transaction_read_only;`,
	},
	"a role that is read-only": {
		spoil: []string{"ALTER ROLE {role} SET default_transaction_read_only = on"},
		fault: `the database {database} is read-only`,
		fix:   `ALTER ROLE {role} RESET default_transaction_read_only;`,
	},
	"a role that is read-only in the database": {
		spoil: []string{"ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = on"},
		fault: `the database {database} is read-only`,
		fix:   `ALTER ROLE {role} IN DATABASE {database} RESET default_transaction_read_only;`,
	},
}

// Up returns the fault before it applies a migration, with the SQL that fixes it.
func TestMigrateReportsFaultsOfTheDatabase(t *testing.T) {
	t.Parallel()
	for name, c := range spoiledDatabases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.test(t)
		})
	}
}

func (c spoiled) test(t *testing.T) {
	t.Helper()
	db := storetest.Empty(t)
	if c.migrated {
		allButTheLast(t, db)
	}
	address := db.NewRole(t, "NOSUPERUSER CREATEROLE")
	config, err := pgx.ParseConfig(address)
	require.NoError(t, err)
	owner, err := pgx.ParseConfig(db.OwnerURL())
	require.NoError(t, err)
	names := strings.NewReplacer(
		"{role}", `"`+config.User+`"`, "{database}", `"`+config.Database+`"`, "{owner}", owner.User)
	replace := names.Replace
	run := func(statement string) {
		_, err := db.Superuser().Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	run(replace("GRANT CREATE ON SCHEMA public TO {role} WITH GRANT OPTION"))
	for _, statement := range c.spoil {
		run(replace(statement))
	}

	before := queryLines(t, db.SuperuserURL(), relationsQuery)
	_, err = migratorAt(t, address).Up(t.Context())
	var found *schema.TargetError
	require.ErrorAs(t, err, &found)
	require.Equal(t, replace(c.fault), found.Fault)
	require.Contains(t, err.Error(), found.Fix)
	if c.fix != "" {
		require.Equal(t, unquoted(replace(c.fix)), unquoted(found.Fix))
	}
	require.Equal(t, before, queryLines(t, db.SuperuserURL(), relationsQuery))
	if c.forGood {
		return
	}
	run(found.Fix)
	migrator := migratorAt(t, address) // a new session has the role's new settings
	_, err = migrator.Up(t.Context())
	require.NoError(t, err)
	require.Equal(t, allSteps, queryLines(t, db.SuperuserURL(), stepsQuery))
	run(replace("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role}"))
	_, err = migrator.Up(t.Context())
	require.NoError(t, err, "nothing is pending, so nothing is checked")
}

const relationsQuery = `SELECT oid::regclass::text FROM pg_class
	WHERE relnamespace <> 'pg_toast'::regnamespace ORDER BY 1`

// migratorAt opens a migrator, which is closed when t ends.
func migratorAt(t *testing.T, url string) *schema.Migrator {
	t.Helper()
	migrator, err := schema.Open(url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, migrator.Close()) })
	return migrator
}

// allButTheLast migrates as the usual owner and undoes the last step.
func allButTheLast(t *testing.T, db *storetest.Database) {
	t.Helper()
	migrator := db.Migrator(t)
	_, err := migrator.Up(t.Context())
	require.NoError(t, err)
	_, err = db.Superuser().Exec(t.Context(),
		"UPDATE lumen_migrations SET group_id = 2 WHERE name = (SELECT max(name) FROM lumen_migrations)")
	require.NoError(t, err)
	_, err = migrator.Down(t.Context())
	require.NoError(t, err)
}

// The encoding of a database cannot be changed.
func TestMigrateNeedsUTF8(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	for _, encoding := range []string{"SQL_ASCII", "LATIN1"} {
		name := "lumen_test_" + encoding
		_, err := db.Superuser().Exec(t.Context(), `CREATE DATABASE "`+name+`" ENCODING '`+encoding+`'
			TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'`)
		require.NoError(t, err)
		t.Cleanup(func() {
			_, _ = db.Superuser().Exec(context.WithoutCancel(t.Context()), `DROP DATABASE "`+name+`" WITH (FORCE)`)
		})
		address, err := url.Parse(db.OwnerURL())
		require.NoError(t, err)
		user := address.User.Username()
		address.Path = "/" + name
		_, err = migratorAt(t, address.String()).Up(t.Context())
		require.EqualError(t, err, `the database "`+name+`" has the encoding `+encoding+`, and Lumen needs UTF8; `+
			`fix it with: CREATE DATABASE lumen OWNER "`+user+`" ENCODING 'UTF8' TEMPLATE template0; `+
			`and name it in the URL`)
	}
}

// unquoted removes quotes for comparisons, because Postgres quotes names only where it must.
func unquoted(text string) string { return strings.ReplaceAll(text, `"`, "") }

func TestMigrateNeedsRecentPrimary(t *testing.T) {
	t.Parallel()
	require.Equal(t, "the server is Postgres 13, and Lumen needs 14 or newer; fix it with: a newer server",
		schema.TargetFault(13_0022, false))
	require.Equal(t, "the server is a standby, which accepts no writes; fix it with: the URL of the primary server",
		schema.TargetFault(14_0000, true))
}

// plainOwner returns the URL of a role that may migrate the database.
func plainOwner(t *testing.T, db *storetest.Database) string {
	t.Helper()
	address := db.NewRole(t, "NOSUPERUSER CREATEROLE")
	alter(t, db, "GRANT USAGE, CREATE ON SCHEMA public TO "+roleOf(t, address)+" WITH GRANT OPTION")
	return address
}

// An owner without the privileges of the roles that it is a member of cannot use lumen_janitor. Since
// Postgres 16 that is a matter of the membership, and no longer of the role.
func TestMigrateNeedsInheritance(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	address := plainOwner(t, db)
	alter(t, db, "ALTER ROLE "+roleOf(t, address)+" NOINHERIT")
	_, err := migratorAt(t, address).Up(t.Context())
	if queryLines(t, db.SuperuserURL(), "SELECT (current_setting('server_version_num')::int < 160000)::text")[0] == "true" {
		var found *schema.TargetError
		require.ErrorAs(t, err, &found)
		require.Contains(t, found.Fault, "does not inherit the privileges of lumen_janitor")
		alter(t, db, found.Fix)
		_, err = migratorAt(t, address).Up(t.Context())
	}
	require.NoError(t, err)
}

// A second owner in a cluster is refused while one could act as lumen_janitor in the other's database.
func TestMigrateRefusesASecondOwner(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	first := roleOf(t, db.NewRole(t, "IN ROLE lumen_janitor"))
	address := plainOwner(t, db)
	_, err := migratorAt(t, address).Up(t.Context())
	var found *schema.TargetError
	require.ErrorAs(t, err, &found)
	require.Equal(t, `role "`+first+`", the owner of another Lumen database, could connect to this one and change it`, found.Fault)
	config, err := pgx.ParseConfig(address)
	require.NoError(t, err)
	alter(t, db, "REVOKE CONNECT ON DATABASE "+config.Database+" FROM "+first)
	_, err = migratorAt(t, address).Up(t.Context())
	require.NoError(t, err)
}

// A later step finds the functions of lumen_janitor, which do not belong to the owner.
func TestMigrateAfterTheJanitor(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	alter(t, db, "DELETE FROM lumen_migrations WHERE name = '0007'") // this step can be applied again
	up, err := db.Migrator(t).Up(t.Context())
	require.NoError(t, err)
	require.Len(t, up, 1)
}
