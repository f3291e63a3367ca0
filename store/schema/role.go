package schema

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/uptrace/bun"

	"lumen/store/postgres"
)

// UnsafeRoleError reports why the service must not run: the role that it logged in as has too many
// or too few privileges, or the catalogue weakens tenant isolation. Fix is the SQL, or the advice,
// that corrects it.
type UnsafeRoleError struct{ Fault, Fix string }

// Error returns the fault and the remedy. Control characters in a name are replaced, so that a name
// cannot forge a log line.
func (e *UnsafeRoleError) Error() string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, e.Fault) + "; fix it with: " + e.Fix
}

// unsafeRole returns an error whose fault is a format and its arguments.
func unsafeRole(fix, fault string, args ...any) *UnsafeRoleError {
	return &UnsafeRoleError{Fault: fmt.Sprintf(fault, args...), Fix: fix}
}

// roleFacts is the database's description of one role of the session.
type roleFacts struct {
	Role        string
	Superuser   bool
	Attribute   *string
	Owned       *string
	PowerfulVia *string
	Member      bool
	MayUse      bool
	NoFunction  *string
	MayLookUp   bool
	Excess      *string
	Unwalled    *string
}

// checkRole returns an *UnsafeRoleError unless the login is a member of lumen_app and has no other
// privilege (it is no superuser, has no BYPASSRLS and owns nothing), and row-level security with
// its policies, functions and privileges is as the migrations made it. It checks both session_user
// and current_user, so neither a SET ROLE nor a login that could do one passes. Any other error
// means that the check failed.
func checkRole(ctx context.Context, pool *postgres.Pool) error {
	if err := checkLogin(ctx, pool); err != nil {
		return err
	}
	return checkSchema(ctx, pool, func(newer bool) error {
		return pool.Use(ctx, func(db bun.IDB) error { return checkCatalogue(ctx, db, newer) })
	})
}

// checkLogin returns an *UnsafeRoleError unless the login has the privileges that it needs and no
// others.
func checkLogin(ctx context.Context, pool *postgres.Pool) error {
	var facts []roleFacts
	if err := pool.Query(ctx, &facts, roleQuery); err != nil {
		return fmt.Errorf("check the role: %w", err)
	}
	for _, f := range facts {
		if err := f.unsafe(); err != nil {
			return err
		}
	}
	return nil
}

func (f roleFacts) unsafe() error {
	role := quoteIdent(f.Role)
	newLogin := "CREATE ROLE lumen_serve LOGIN PASSWORD '...' IN ROLE lumen_app; and name it in LUMEN_DATABASE_URL"
	switch {
	case f.Superuser:
		return unsafeRole(newLogin, "role %s is a superuser, to which row-level security does not apply", role)
	case f.PowerfulVia != nil:
		return unsafeRole("REVOKE "+quoteIdent(*f.PowerfulVia)+" FROM "+role+";",
			"role %s is a member of %s, which can get around row-level security", role, quoteIdent(*f.PowerfulVia))
	case f.Owned != nil:
		return unsafeRole(newLogin, "role %s owns %s, or is a member of the role that does", role, *f.Owned)
	case f.Attribute != nil:
		return unsafeRole("ALTER ROLE "+role+" NO"+*f.Attribute+";", "role %s has %s", role, *f.Attribute)
	case !f.Member || !f.MayUse:
		// The order matters: since Postgres 16 each grant keeps the INHERIT that the role had at
		// the time of the grant.
		return unsafeRole("REVOKE lumen_app FROM "+role+"; ALTER ROLE "+role+" INHERIT; GRANT lumen_app TO "+role+";",
			"role %s is not a member of lumen_app", role)
	case f.NoFunction != nil:
		return missing(*f.NoFunction)
	case !f.MayLookUp:
		return unsafeRole("GRANT EXECUTE ON FUNCTION "+strings.ReplaceAll(lookUpFunctions, "; ", ", ")+" TO lumen_app;",
			"role %s may not look up API keys and access tokens", role)
	case f.Excess != nil:
		return unsafeRole("REVOKE "+*f.Excess+" FROM PUBLIC, "+role+", lumen_app;",
			"role %s has the privilege %s", role, *f.Excess)
	case f.Unwalled != nil:
		return unsafeRole("ALTER TABLE "+*f.Unwalled+" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;",
			"row-level security is not enabled and forced on table %s", *f.Unwalled)
	}
	return nil
}

// lookUpFunctions are the functions that authentication calls.
const lookUpFunctions = "lumen_authenticate(bytea); lumen_key_used(text, text); " +
	"lumen_token_signer(text, text); lumen_token_keys(); lumen_authenticate_token(text, text, text)"

// roleQuery returns the roleFacts of session_user and of current_user. A tenant table is a table
// with a column merchant_id on which the role has a privilege.
const roleQuery = `
WITH me AS (SELECT DISTINCT r.* FROM pg_roles AS r WHERE r.rolname IN (session_user, current_user)),
app AS (SELECT oid FROM pg_roles WHERE rolname = 'lumen_app'),
tables AS (
    SELECT c.oid, c.relname, c.relrowsecurity AND c.relforcerowsecurity AS walled
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
),
functions AS (
    SELECT string_to_table('` + lookUpFunctions + `', '; ') AS name
),
tenant AS (
    SELECT t.* FROM tables AS t
    WHERE EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = t.oid AND a.attname = 'merchant_id' AND NOT a.attisdropped)
)
SELECT me.rolname AS role, me.rolsuper AS superuser,
    CASE WHEN me.rolbypassrls THEN 'BYPASSRLS' WHEN me.rolcreaterole THEN 'CREATEROLE' WHEN me.rolreplication THEN 'REPLICATION' END AS attribute,
    (SELECT r.rolname FROM pg_roles AS r
     WHERE r.oid <> me.oid AND pg_has_role(me.oid, r.oid, 'MEMBER')
       AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication
            OR r.rolname IN ('pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program'))
     ORDER BY 1 LIMIT 1) AS powerful_via,
    (SELECT o.what FROM (
        SELECT 'relation ' || c.relname AS what, c.relowner AS owner FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'public'
        UNION ALL SELECT 'function ' || p.proname, p.proowner FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = 'public'
        UNION ALL SELECT 'schema public', n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'public'
        UNION ALL SELECT 'database ' || d.datname, d.datdba FROM pg_database AS d WHERE d.datname = current_database()
     ) AS o WHERE pg_has_role(me.oid, o.owner, 'MEMBER') ORDER BY 1 LIMIT 1) AS owned,
    EXISTS (SELECT FROM app WHERE pg_has_role(me.oid, app.oid, 'MEMBER')) AS member,
    EXISTS (SELECT FROM app WHERE pg_has_role(me.oid, app.oid, 'USAGE')) AS may_use,
    (SELECT f.name FROM functions AS f WHERE to_regprocedure('public.' || f.name) IS NULL AND to_regclass('public.customers') IS NOT NULL ORDER BY 1 LIMIT 1) AS no_function,
    COALESCE((SELECT bool_and(has_function_privilege(me.oid, to_regprocedure('public.' || f.name), 'EXECUTE')) FROM functions AS f), true) AS may_look_up,
    (SELECT x.privilege FROM (
        SELECT p.name || ' ON public.' || quote_ident(t.relname) AS privilege FROM tables AS t, unnest('{SELECT,INSERT,UPDATE}'::text[]) AS p (name)
        WHERE t.relname IN ('api_keys', 'merchants', 'token_keys') AND has_any_column_privilege(me.oid, t.oid, p.name)
        UNION ALL SELECT p.name || ' ON public.' || quote_ident(t.relname) FROM tables AS t, unnest('{TRUNCATE,DELETE}'::text[]) AS p (name)
        WHERE has_table_privilege(me.oid, t.oid, p.name)
     ) AS x ORDER BY 1 LIMIT 1) AS excess,
    (SELECT 'public.' || quote_ident(t.relname) FROM tenant AS t
     WHERE NOT t.walled AND has_any_column_privilege(me.oid, t.oid, 'SELECT, INSERT, UPDATE') ORDER BY 1 LIMIT 1) AS unwalled
FROM me`

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// ensureRoles creates lumen_app and lumen_janitor unless they exist, and makes the owner a member of
// lumen_janitor, which owns functions. Roles belong to the cluster, and a migrator of another
// database may be creating them at the same time.
func ensureRoles(ctx context.Context, pool *postgres.Pool) error {
	var missing []string
	err := pool.NewRaw(missingRoles).Scan(ctx, &missing)
	if err != nil {
		return fmt.Errorf("look for roles: %w", err)
	}
	for i, statement := range missing {
		_, err := pool.ExecContext(ctx, `DO $$ BEGIN `+statement+`;
			EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)
		if postgres.SQLState(err) == "42501" {
			lines := missing[i:]
			if strings.Contains(statement, "lumen_app") {
				lines = append(lines, "CREATE ROLE lumen_serve LOGIN PASSWORD '...' IN ROLE lumen_app")
			}
			return fmt.Errorf("this owner may not create roles; "+
				"have a superuser or a role with CREATEROLE run these lines, then migrate again:\n  %s;",
				strings.Join(lines, ";\n  "))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// missingRoles returns the statements that create the roles which the owner needs and does not have.
const missingRoles = `SELECT statement FROM (
	SELECT 1, 'CREATE ROLE lumen_app NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lumen_app')
	UNION ALL
	SELECT 2, 'CREATE ROLE lumen_janitor NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lumen_janitor')
	UNION ALL
	SELECT 3, 'GRANT lumen_janitor TO ' || quote_ident(current_user)
		|| CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END
	WHERE NOT COALESCE((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'lumen_janitor'), false)
	  AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
) AS missing (place, statement) ORDER BY place`
