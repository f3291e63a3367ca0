package schema

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"lumen/store/postgres"
)

// TargetError reports why the owner cannot migrate the database. Fix is the SQL, or the advice,
// that corrects it.
type TargetError struct{ Fault, Fix string }

// Error returns the fault and the remedy. Control characters in a name are replaced, so that a name
// cannot forge a log line.
func (e *TargetError) Error() string { return (&UnsafeRoleError{e.Fault, e.Fix}).Error() }

// oldestServer is the oldest version of Postgres that supports Lumen's statements.
const oldestServer = 14

// targetFacts is the database's description of itself and of its owner before a migration.
type targetFacts struct {
	Role, Database, Encoding string
	Version                  int
	Standby, ReadOnly        bool
	WritesAgain              string  // the SQL that makes a read-only database writable
	HasSchema, MayCreate     bool    // about the schema public
	MayLend                  bool    // lumen_janitor may create functions in it, or may be allowed to
	Inherits                 bool    // the role has the privileges of roles that it is a member of
	JanitorOf                *string // another member of lumen_janitor that may connect, if this role is none
	Foreign                  *string // a relation that has one of Lumen's names and that no migration made
	Owners                   *string // other roles that own Lumen's tables and functions
	TakeOver                 *string // the SQL that makes this role their owner
}

// checkTarget returns a *TargetError if the pending steps would fail, or would make a schema that
// the service refuses.
func checkTarget(ctx context.Context, pool *postgres.Pool) error {
	var facts targetFacts
	query := strings.NewReplacer("$1", expectedNames.relations, "$2", expectedNames.functions).Replace(targetQuery)
	if err := pool.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, trustedSearchPath); err != nil {
			return err
		}
		return tx.NewRaw(query).Scan(ctx, &facts)
	}); err != nil {
		return fmt.Errorf("inspect the database: %w", err)
	}
	if found := facts.fault(); found != nil {
		return found
	}
	return nil
}

func (f targetFacts) fault() *TargetError {
	role, database := quoteIdent(f.Role), quoteIdent(f.Database)
	newDatabase := "CREATE DATABASE lumen OWNER " + role + " ENCODING 'UTF8' TEMPLATE template0; and name it in the URL"
	target := func(fix, fault string, args ...any) *TargetError {
		return &TargetError{Fault: fmt.Sprintf(fault, args...), Fix: fix}
	}
	switch {
	case f.Version/10000 < oldestServer:
		return target("a newer server",
			"the server is Postgres %d, and Lumen needs %d or newer", f.Version/10000, oldestServer)
	case f.Standby:
		return target("the URL of the primary server", "the server is a standby, which accepts no writes")
	case f.ReadOnly:
		return target(f.WritesAgain, "the database %s is read-only", database)
	case f.Encoding != "UTF8":
		return target(newDatabase, "the database %s has the encoding %s, and Lumen needs UTF8", database, f.Encoding)
	case !f.HasSchema:
		return target("CREATE SCHEMA public AUTHORIZATION "+role+";", "the database %s has no schema public", database)
	case !f.MayCreate:
		return target("GRANT USAGE, CREATE ON SCHEMA public TO "+role+" WITH GRANT OPTION;",
			"role %s may not create tables in the schema public", role)
	case !f.MayLend:
		return target("GRANT CREATE ON SCHEMA public TO "+role+" WITH GRANT OPTION;",
			"role %s may not let lumen_janitor create functions in the schema public", role)
	case !f.Inherits:
		return target("ALTER ROLE "+role+" INHERIT;",
			"role %s does not inherit the privileges of lumen_janitor, which it has to use", role)
	case f.JanitorOf != nil:
		return target("the URL of that role or of a superuser, or REVOKE CONNECT ON DATABASE "+database+" FROM PUBLIC;",
			"role %s, the owner of another Lumen database, could connect to this one and change it", quoteIdent(*f.JanitorOf))
	case f.Foreign != nil:
		return target(newDatabase, "the database %s has a table %s that is not Lumen's", database, quoteIdent(*f.Foreign))
	case f.Owners != nil:
		return target(*f.TakeOver, "Lumen's tables belong to %s, and this is role %s; "+
			"run lumen migrate up as that owner, or change the owner", *f.Owners, role)
	}
	return nil
}

// targetQuery returns targetFacts. $1 and $2 stand for arrays of the names of Lumen's relations and
// functions. Ownership is checked only for objects that migrations made, which exist together with
// the migrations table.
const targetQuery = `
WITH schema AS (SELECT oid FROM pg_namespace WHERE nspname = 'public'),
named AS (
    SELECT c.relname::text AS name, 'TABLE public.' || quote_ident(c.relname) AS spelled, c.relowner AS owner
    FROM pg_class AS c, schema
    WHERE c.relnamespace = schema.oid AND c.relkind <> 'S'
        AND c.relname = ANY ($1::text[] || '{` + migrationsTable + `,` + locksTable + `}')
),
functions AS (
    SELECT p.proname || '(' || oidvectortypes(p.proargtypes) || ')' AS name, p.proowner AS owner
    FROM pg_proc AS p, schema
    WHERE p.pronamespace = schema.oid
),
owned AS (
    SELECT spelled, owner FROM named
    UNION ALL SELECT 'FUNCTION public.' || name, owner FROM functions
    WHERE name = ANY ($2::text[]) AND owner NOT IN (SELECT oid FROM pg_roles WHERE rolname = 'lumen_janitor')
),
me AS (SELECT * FROM pg_roles WHERE rolname = CURRENT_USER),
janitors AS (
    SELECT u.rolname, u.oid = (SELECT oid FROM me) AS is_me
    FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid JOIN pg_roles AS u ON u.oid = m.member
    WHERE r.rolname = 'lumen_janitor' AND NOT u.rolsuper AND u.rolname::text NOT LIKE 'pg\_%'
      AND has_database_privilege(u.oid, current_database(), 'CONNECT')
      AND COALESCE((to_jsonb(m) ->> 'inherit_option')::bool OR (to_jsonb(m) ->> 'set_option')::bool, true)
),
others AS (SELECT * FROM owned WHERE owner <> CURRENT_USER::regrole)
SELECT CURRENT_USER AS role, current_database() AS database,
    current_setting('server_version_num')::int AS version,
    (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()) AS encoding,
    pg_is_in_recovery() AS standby, s.setting::bool AS read_only,
    CASE s.source
        WHEN 'database' THEN 'ALTER DATABASE ' || quote_ident(current_database())
        WHEN 'global' THEN 'ALTER ROLE ALL'
        WHEN 'user' THEN 'ALTER ROLE ' || quote_ident(SESSION_USER)
        WHEN 'database user' THEN
            'ALTER ROLE ' || quote_ident(SESSION_USER) || ' IN DATABASE ' || quote_ident(current_database())
        ELSE 'ALTER SYSTEM'
    END || ' RESET ' || s.name || ';' || CASE WHEN s.source LIKE '%file' THEN ' SELECT pg_reload_conf();' ELSE '' END
        AS writes_again,
    EXISTS (SELECT FROM schema) AS has_schema,
    COALESCE((SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE') FROM schema), false)
        AS may_create,
    COALESCE((SELECT has_schema_privilege(oid, 'CREATE WITH GRANT OPTION') FROM schema)
        OR (SELECT has_schema_privilege(r.oid, schema.oid, 'CREATE') FROM pg_roles AS r, schema WHERE r.rolname = 'lumen_janitor')
        OR (SELECT EXISTS (SELECT FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
            WHERE n.oid = schema.oid AND x.grantee = 0 AND x.privilege_type = 'CREATE') FROM schema), false) AS may_lend,
    (SELECT rolsuper OR rolinherit OR current_setting('server_version_num')::int >= 160000 FROM me) AS inherits,
    (SELECT min(rolname) FROM janitors WHERE NOT is_me AND NOT (SELECT rolsuper FROM me)
        AND NOT EXISTS (SELECT FROM janitors WHERE is_me)) AS janitor_of,
    (SELECT min(name) FROM named
     WHERE NOT EXISTS (SELECT FROM named WHERE name = '` + migrationsTable + `')) AS "foreign",
    (SELECT string_agg(DISTINCT owner::regrole::text, ', ') FROM others) AS owners,
    (SELECT string_agg('ALTER ' || spelled || ' OWNER TO ' || quote_ident(CURRENT_USER) || ';', ' ' ORDER BY spelled)
     FROM others) AS take_over
FROM pg_settings AS s WHERE s.name = 'default_transaction_read_only'`
