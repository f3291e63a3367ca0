package schema_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/storetest"
)

// catalogueQuery returns every way in which the schema or the roles $1 (lumen_app and a login)
// break I1 or I3. $2 and $3 are the nouns' tables and owner columns, which may be "".
const catalogueQuery = `
WITH roles AS (SELECT r.* FROM pg_roles AS r WHERE rolname = ANY($1)),
nouns AS (SELECT * FROM unnest($2::text[], $3::text[]) AS n (name, owner)),
tables AS (
    SELECT c.oid, c.relname, c.relowner, c.relrowsecurity, c.relforcerowsecurity,
           EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'merchant_id' AND NOT attisdropped) AS tenant,
           has_any_column_privilege('lumen_app', c.oid, 'SELECT, INSERT, UPDATE') AS served
    FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
),
wall (expression) AS (VALUES ('(merchant_id = NULLIF(current_setting(''lumen.merchant_id''::text, true), ''''::text))'))
SELECT fault FROM (
    SELECT relname || ': row-level security is not enabled' FROM tables WHERE tenant AND served AND NOT relrowsecurity
    UNION ALL SELECT relname || ': row-level security is not forced' FROM tables WHERE tenant AND served AND NOT relforcerowsecurity
    UNION ALL SELECT relname || ': no policy limits lumen_app to the merchant' FROM tables AS t, wall AS w WHERE tenant AND served AND NOT EXISTS (
        SELECT FROM pg_policies AS p WHERE p.schemaname = 'public' AND p.tablename = t.relname AND p.policyname = t.relname || '_wall' AND p.roles = '{lumen_app}'
        AND p.permissive = 'PERMISSIVE' AND p.cmd = 'ALL' AND p.qual = w.expression AND p.with_check = w.expression)
    UNION ALL SELECT n.name || ': a noun without a tenant table' FROM nouns AS n WHERE n.name NOT IN (SELECT relname FROM tables WHERE tenant AND served)
    UNION ALL SELECT n.name || ': no policy restricts bound callers' FROM nouns AS n WHERE n.owner <> '' AND NOT EXISTS (
        SELECT FROM pg_policies AS p WHERE p.schemaname = 'public' AND p.tablename = n.name AND p.policyname = n.name || '_bound' AND p.roles = '{lumen_app}'
        AND p.permissive = 'RESTRICTIVE' AND p.cmd = 'ALL' AND p.with_check IS NULL AND regexp_replace(p.qual, '\s+', ' ', 'g') =
            $q$( CASE ( SELECT COALESCE(current_setting('lumen.customer_id'::text, true), ''::text) AS "coalesce") WHEN ''::text THEN true WHEN $q$
            || n.owner || $q$ THEN true ELSE NULL::boolean END IS NOT NULL)$q$)
    UNION ALL SELECT n.name || ': a policy ' || p.policyname || ' for bound callers, but no owner column' FROM nouns AS n JOIN pg_policies AS p ON p.tablename = n.name
        WHERE n.owner = '' AND concat(p.qual, p.with_check) LIKE '%lumen.customer_id%'
    UNION ALL SELECT n.name || ': no policy protects deleted rows' FROM nouns AS n WHERE NOT EXISTS (
        SELECT FROM pg_policies AS p WHERE p.schemaname = 'public' AND p.tablename = n.name AND p.policyname = n.name || '_history' AND p.roles = '{lumen_app}'
        AND p.permissive = 'RESTRICTIVE' AND p.cmd = 'UPDATE' AND p.qual = '(deleted_at IS NULL)')
    UNION ALL SELECT p.tablename || ': policy ' || p.policyname || ' allows more than the merchant''s rows' FROM pg_policies AS p, wall AS w
        WHERE p.schemaname = 'public' AND p.tablename IN (SELECT relname FROM tables WHERE tenant) AND p.permissive = 'PERMISSIVE' AND (p.qual IS DISTINCT FROM w.expression OR p.with_check IS DISTINCT FROM w.expression)
        AND NOT (p.roles = '{lumen_janitor}' AND p.qual = '(CURRENT_USER = ''lumen_janitor''::name)' AND COALESCE(p.with_check, p.qual) = p.qual)
    UNION ALL SELECT t.relname || ': unique index ' || i.indexrelid::regclass || ' does not lead with merchant_id' FROM tables AS t JOIN pg_index AS i ON i.indrelid = t.oid
        WHERE t.tenant AND i.indisunique
        AND 'merchant_id' IS DISTINCT FROM (SELECT attname FROM pg_attribute WHERE attrelid = t.oid AND attnum = i.indkey[0])
    UNION ALL SELECT t.relname || ': no primary key' FROM tables AS t WHERE t.tenant AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = t.oid AND indisprimary)
    UNION ALL SELECT t.relname || ': foreign key ' || k.conname || ' does not lead with merchant_id' FROM tables AS t JOIN pg_constraint AS k ON k.conrelid = t.oid
        WHERE t.tenant AND k.contype = 'f'
        AND 'merchant_id' IS DISTINCT FROM (SELECT attname FROM pg_attribute WHERE attrelid = t.oid AND attnum = k.conkey[1])
    UNION ALL SELECT t.relname || ': merchant_id may be null' FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attname = 'merchant_id' WHERE NOT a.attnotnull
    UNION ALL SELECT 'a role may ' || x.privilege || ' ' || t.relname FROM tables AS t, roles AS r,
        unnest('{TRUNCATE,DELETE,REFERENCES,TRIGGER}'::text[]) AS x (privilege) WHERE has_table_privilege(r.oid, t.oid, x.privilege)
    UNION ALL SELECT 'a role may ' || x.privilege || ' ' || t.relname FROM tables AS t, roles AS r,
        unnest('{SELECT,INSERT,UPDATE}'::text[]) AS x (privilege)
        WHERE t.relname IN ('merchants', 'api_keys', 'token_keys') AND has_any_column_privilege(r.oid, t.oid, x.privilege)
    UNION ALL SELECT 'a role may UPDATE ' || t.relname || '.' || a.attname FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid, roles AS r
        WHERE a.attname IN ('id', 'merchant_id', 'created_at') AND has_column_privilege(r.oid, t.oid, a.attnum, 'UPDATE')
    UNION ALL SELECT 'a role owns ' || c.relname FROM pg_class AS c JOIN roles AS r ON c.relowner = r.oid WHERE c.relkind NOT IN ('t', 'i')
    UNION ALL SELECT 'a role owns ' || p.proname FROM pg_proc AS p JOIN roles AS r ON p.proowner = r.oid
    UNION ALL SELECT 'a role owns schema ' || n.nspname FROM pg_namespace AS n JOIN roles AS r ON n.nspowner = r.oid
    UNION ALL SELECT 'a role owns the database' FROM pg_database AS d JOIN roles AS r ON d.datdba = r.oid WHERE d.datname = current_database()
    UNION ALL SELECT 'a role has power' FROM roles AS r WHERE r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication
    UNION ALL SELECT 'a role is a member of ' || CASE WHEN g.rolname LIKE 'pg\_%' THEN g.rolname ELSE 'another' END FROM pg_auth_members AS m JOIN roles AS r ON r.oid = m.member
        JOIN pg_roles AS g ON g.oid = m.roleid WHERE g.rolname <> 'lumen_app'
    UNION ALL SELECT 'view ' || c.relname FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('v', 'm', 'f')
    UNION ALL SELECT 'function ' || p.proname || ' is SECURITY DEFINER' FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
        AND p.oid NOT IN ('lumen_authenticate(bytea)'::regprocedure, 'lumen_key_used(text, text)'::regprocedure,
                          'lumen_token_signer(text, text)'::regprocedure, 'lumen_token_keys()'::regprocedure, 'lumen_authenticate_token(text, text, text)'::regprocedure)
        AND NOT (p.proowner = 'lumen_janitor'::regrole AND p.oid IN ('lumen_make_head(text)'::regprocedure, 'lumen_new_epoch()'::regprocedure,
                          'lumen_prune_changes(text, timestamptz, bigint)'::regprocedure, 'lumen_heads(text[])'::regprocedure))
    UNION ALL SELECT 'function ' || p.proname || ' has no fixed search_path' FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
        AND p.proconfig IS DISTINCT FROM '{"search_path=pg_catalog, pg_temp"}'
    UNION ALL SELECT 'function ' || p.proname || ' can be executed by PUBLIC' FROM pg_proc AS p,
        aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) AS a WHERE p.pronamespace = 'public'::regnamespace AND a.grantee = 0
) AS faults (fault) GROUP BY 1 ORDER BY 1`

// noun is the part of a noun that the schema depends on.
type noun struct{ table, owner string }

// declaredNouns returns the nouns of package store.
func declaredNouns() (all []noun) {
	for _, n := range store.Nouns() {
		all = append(all, noun{n.Table(), n.OwnerColumn()})
	}
	return all
}

// catalogueFaults returns the rows of catalogueQuery for lumen_app, for the role in the URL login,
// and for the nouns.
func catalogueFaults(t *testing.T, db *storetest.Database, login string, nouns ...noun) []string {
	t.Helper()
	var tables, owners []string
	for _, n := range nouns {
		tables, owners = append(tables, n.table), append(owners, n.owner)
	}
	rows, err := db.Superuser().Query(t.Context(), catalogueQuery, []string{"lumen_app", roleOf(t, login)}, tables, owners)
	require.NoError(t, err)
	faults, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return faults
}

// roleOf returns the role in a URL.
func roleOf(t *testing.T, login string) string {
	t.Helper()
	parsed, err := url.Parse(login)
	require.NoError(t, err)
	require.NotEmpty(t, parsed.User.Username())
	return parsed.User.Username()
}

// alter runs statements as the superuser, in one transaction.
func alter(t *testing.T, db *storetest.Database, statements string) {
	t.Helper()
	_, err := db.Superuser().Exec(t.Context(), statements, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
}

func TestCatalogue(t *testing.T) {
	t.Parallel()

	t.Run("has no fault", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		require.Empty(t, catalogueFaults(t, db, db.AppURL(), declaredNouns()...))
		var tables []string
		require.NoError(t, db.Superuser().QueryRow(t.Context(), `SELECT array_agg(relname ORDER BY relname)::text[] FROM pg_class
			WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND has_any_column_privilege('lumen_app', oid, 'SELECT, INSERT, UPDATE')`).Scan(&tables))
		// Readiness reads the applied migrations; each write records its change.
		served := []string{"lumen_migrations", "merchant_heads", "changes"}
		for _, n := range declaredNouns() {
			served = append(served, n.table)
		}
		require.ElementsMatch(t, served, tables, "lumen_app has privileges on these tables, the nouns' and no other")
	})

	const (
		wall = `(merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''))`
		open = "GRANT SELECT ON more TO lumen_app; ALTER TABLE more ENABLE ROW LEVEL SECURITY; ALTER TABLE more FORCE ROW LEVEL SECURITY;" +
			"CREATE POLICY more_wall ON more TO lumen_app USING " + wall + " WITH CHECK " + wall
	)
	for change, faults := range map[string][]string{
		"ALTER TABLE customers DISABLE ROW LEVEL SECURITY":  {"customers: row-level security is not enabled"},
		"ALTER TABLE customers NO FORCE ROW LEVEL SECURITY": {"customers: row-level security is not forced"},
		"DROP POLICY customers_wall ON customers":           {"customers: no policy limits lumen_app to the merchant"},
		"ALTER POLICY customers_wall ON customers USING (true)": {
			"customers: no policy limits lumen_app to the merchant", "customers: policy customers_wall allows more than the merchant's rows"},
		"ALTER POLICY customers_wall ON customers WITH CHECK (true)": {
			"customers: no policy limits lumen_app to the merchant", "customers: policy customers_wall allows more than the merchant's rows"},
		"DROP POLICY customers_bound ON customers":                                                {"customers: no policy restricts bound callers"},
		"ALTER POLICY customers_bound ON customers USING (true)":                                  {"customers: no policy restricts bound callers"},
		"ALTER POLICY customers_bound ON customers WITH CHECK (true)":                             {"customers: no policy restricts bound callers"},
		"ALTER POLICY customers_bound ON customers TO PUBLIC":                                     {"customers: no policy restricts bound callers"},
		"ALTER POLICY customers_bound ON customers RENAME TO another":                             {"customers: no policy restricts bound callers"},
		"ALTER POLICY customers_wall ON customers RENAME TO another":                              {"customers: no policy limits lumen_app to the merchant"},
		"DROP POLICY customers_history ON customers":                                              {"customers: no policy protects deleted rows"},
		"ALTER POLICY customers_history ON customers USING (true)":                                {"customers: no policy protects deleted rows"},
		"CREATE POLICY more ON customers FOR SELECT USING (email_shared)":                         {"customers: policy more allows more than the merchant's rows"},
		"CREATE UNIQUE INDEX by_tax_id ON customers (tax_id)":                                     {"customers: unique index by_tax_id does not lead with merchant_id"},
		"CREATE UNIQUE INDEX by_tax_id ON customers (lower(merchant_id), tax_id)":                 {"customers: unique index by_tax_id does not lead with merchant_id"},
		"ALTER TABLE customers ADD UNIQUE (id, merchant_id)":                                      {"customers: unique index customers_id_merchant_id_key does not lead with merchant_id"},
		"CREATE TABLE more (merchant_id text PRIMARY KEY); GRANT SELECT ON more TO lumen_app":     {"more: no policy limits lumen_app to the merchant", "more: row-level security is not enabled", "more: row-level security is not forced"},
		"CREATE TABLE more (merchant_id text, id text PRIMARY KEY);" + open:                       {"more: merchant_id may be null", "more: unique index more_pkey does not lead with merchant_id"},
		"CREATE TABLE more (merchant_id text NOT NULL);" + open:                                   {"more: no primary key"},
		"CREATE TABLE more (merchant_id text, id text, PRIMARY KEY (merchant_id, id));" + open:    nil,
		"CREATE TABLE refer (merchant_id text PRIMARY KEY, named text REFERENCES merchants (id))": {"refer: foreign key refer_named_fkey does not lead with merchant_id"},
		"GRANT TRUNCATE ON customers TO lumen_app":                                                {"a role may TRUNCATE customers"},
		"GRANT DELETE ON customers TO PUBLIC":                                                     {"a role may DELETE customers"},
		"GRANT SELECT ON api_keys TO lumen_app": {"a role may SELECT api_keys",
			"api_keys: no policy limits lumen_app to the merchant", "api_keys: row-level security is not forced"},
		"GRANT SELECT (name) ON merchants TO lumen_app":                               {"a role may SELECT merchants"},
		"GRANT SELECT ON token_keys TO lumen_app":                                     {"a role may SELECT token_keys"},
		"GRANT INSERT ON token_keys TO PUBLIC":                                        {"a role may INSERT token_keys"},
		"GRANT EXECUTE ON FUNCTION lumen_token_signer(text, text) TO PUBLIC":          {"function lumen_token_signer can be executed by PUBLIC"},
		"ALTER FUNCTION lumen_authenticate_token(text, text, text) RESET search_path": {"function lumen_authenticate_token has no fixed search_path"},
		"GRANT UPDATE (created_at) ON customers TO lumen_app":                         {"a role may UPDATE customers.created_at"},
		"GRANT UPDATE ON customers TO lumen_app":                                      {"a role may UPDATE customers.created_at", "a role may UPDATE customers.id", "a role may UPDATE customers.merchant_id"},
		"CREATE TABLE mine (id text); ALTER TABLE mine OWNER TO lumen_app": {"a role may DELETE mine", "a role may REFERENCES mine", "a role may TRIGGER mine",
			"a role may TRUNCATE mine", "a role may UPDATE mine.id", "a role owns mine"},
		"CREATE VIEW everyone AS SELECT * FROM customers": {"view everyone"},
		"CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.customers'": {
			"function peek can be executed by PUBLIC", "function peek has no fixed search_path", "function peek is SECURITY DEFINER"},
		"ALTER FUNCTION lumen_authenticate(bytea) RESET search_path":     {"function lumen_authenticate has no fixed search_path"},
		"GRANT EXECUTE ON FUNCTION lumen_key_used(text, text) TO PUBLIC": {"function lumen_key_used can be executed by PUBLIC"},
	} {
		t.Run("reports: "+change, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			alter(t, db, change)
			require.Equal(t, faults, nilIfEmpty(catalogueFaults(t, db, db.AppURL(), declaredNouns()...)))
		})
	}

	for of, c := range map[string]struct {
		noun   noun
		faults []string
	}{
		"a noun without a table":           {noun{"absent", ""}, []string{"absent: a noun without a tenant table", "absent: no policy protects deleted rows"}},
		"a noun whose table has no policy": {noun{"api_keys", ""}, []string{"api_keys: a noun without a tenant table", "api_keys: no policy protects deleted rows"}},
		"another owner column":             {noun{"customers", "user_id"}, []string{"customers: no policy restricts bound callers"}},
		"no owner column, but a policy":    {noun{"customers", ""}, []string{"customers: a policy customers_bound for bound callers, but no owner column"}},
		"an owner column, but no policy":   {noun{"lumen_migrations", "id"}, []string{"lumen_migrations: a noun without a tenant table", "lumen_migrations: no policy protects deleted rows", "lumen_migrations: no policy restricts bound callers"}},
	} {
		t.Run("reports: "+of, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			require.Equal(t, c.faults, catalogueFaults(t, db, db.AppURL(), c.noun))
		})
	}

	// These cases differ in the login, because lumen_app belongs to all databases of the server.
	for attributes, faults := range map[string][]string{
		"IN ROLE lumen_app":                       nil,
		"BYPASSRLS IN ROLE lumen_app":             {"a role has power"},
		"CREATEROLE IN ROLE lumen_app":            {"a role has power"},
		"IN ROLE lumen_app, pg_read_server_files": {"a role is a member of pg_read_server_files"},
	} {
		t.Run("of a login with "+attributes, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			require.Equal(t, faults, nilIfEmpty(catalogueFaults(t, db, db.NewRole(t, attributes))))
		})
	}
}

func nilIfEmpty(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

// Postgres itself enforces I3 and I1, even against a service that sends any statement.
func TestPlainRole(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	alter(t, db, `
		INSERT INTO merchants (id, name) VALUES ('merchant_1', 'Acme'), ('merchant_2', 'Acme');
		INSERT INTO customers (merchant_id, id, email, email_key, email_shared, search_key, created_at, updated_at, deleted_at)
		SELECT 'merchant_' || m, 'cust_' || state, state || '@example.com', state || '@example.com', false, '', '2026-01-01Z', '2026-01-01Z',
		       CASE WHEN state = 'gone' THEN timestamptz '2026-01-02Z' END
		FROM generate_series(1, 2) AS m, unnest('{live,gone}'::text[]) AS state`)
	const dump = `SELECT array_agg(c::text ORDER BY merchant_id, id) FROM customers AS c`
	var before []string
	require.NoError(t, db.Superuser().QueryRow(t.Context(), dump).Scan(&before))
	conn, err := pgx.Connect(t.Context(), db.AppURL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })

	// attempt runs a statement with this merchant's setting and rolls it back. It returns the
	// number of affected rows, or the SQLSTATE.
	attempt := func(t *testing.T, setting, statement string) any {
		t.Helper()
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
		if setting != "" {
			_, err = tx.Exec(t.Context(), "SELECT set_config('lumen.merchant_id', $1, true)", setting)
			require.NoError(t, err)
		}
		tag, err := tx.Exec(t.Context(), statement)
		if err != nil {
			return err.(*pgconn.PgError).Code
		}
		return tag.RowsAffected()
	}
	var superuser string
	require.NoError(t, db.Superuser().QueryRow(t.Context(), "SELECT quote_ident(current_user)").Scan(&superuser))
	const insert = `INSERT INTO customers (merchant_id, id, email, email_key, email_shared, search_key, created_at, updated_at) VALUES `
	for statement, want := range map[string]any{
		"SELECT FROM customers":                                                int64(2),
		"UPDATE customers SET tax_id = '1'":                                    int64(1),
		"UPDATE customers SET tax_id = '1' WHERE id = 'cust_gone'":             int64(0),
		"UPDATE customers SET deleted_at = NULL":                               int64(1), // of the live row, which does not change
		"UPDATE customers SET deleted_at = NULL WHERE id = 'cust_gone'":        int64(0),
		"UPDATE customers SET deleted_at = now() WHERE id = 'cust_live'":       int64(1),
		"UPDATE customers SET tax_id = '1' WHERE merchant_id = 'merchant_2'":   int64(0),
		"UPDATE customers SET created_at = now()":                              "42501",
		"UPDATE customers SET id = 'cust_new'":                                 "42501",
		"UPDATE customers SET merchant_id = 'merchant_2'":                      "42501",
		"DELETE FROM customers":                                                "42501",
		"TRUNCATE customers":                                                   "42501",
		"SELECT FROM customers FOR UPDATE":                                     int64(1),
		insert + "('merchant_1', 'cust_a', 'a', 'a', false, '', now(), now())": int64(1),
		insert + "('merchant_2', 'cust_a', 'a', 'a', false, '', now(), now())": "42501",
		insert + "('merchant_2', 'cust_live', 'a', 'a', false, '', now(), now()) ON CONFLICT (merchant_id, id) DO UPDATE SET tax_id = '1'": "42501",
		insert + "('merchant_1', 'cust_gone', 'a', 'a', false, '', now(), now()) ON CONFLICT (merchant_id, id) DO UPDATE SET tax_id = '1'": "42501",
		"SELECT FROM api_keys":                                "42501",
		"SELECT FROM token_keys":                              "42501",
		"INSERT INTO token_keys DEFAULT VALUES":               "42501",
		"SELECT id FROM merchants":                            "42501",
		"UPDATE lumen_migrations SET name = 'a'":              "42501",
		"ALTER TABLE customers DISABLE ROW LEVEL SECURITY":    "42501",
		"SET LOCAL row_security = off; SELECT FROM customers": "42501",
		"SET LOCAL session_authorization = " + superuser:      "42501",
	} {
		t.Run(strings.TrimPrefix(statement, insert), func(t *testing.T) {
			require.Equal(t, want, attempt(t, "merchant_1", statement))
		})
	}
	t.Run("without the setting no rows are visible", func(t *testing.T) {
		require.Equal(t, int64(0), attempt(t, "", "SELECT FROM customers"))
		require.Equal(t, int64(0), attempt(t, "", "UPDATE customers SET tax_id = '1'"))
		require.Equal(t, "42501", attempt(t, "", insert+"('', 'cust_a', 'a', 'a', false, '', now(), now())"))
	})

	var after []string
	require.NoError(t, db.Superuser().QueryRow(t.Context(), dump).Scan(&after))
	require.Equal(t, before, after)
}
