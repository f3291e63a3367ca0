package schema_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/schema"
	"lumen/store/storetest"
)

// opening is a way to weaken tenant isolation or to gain a privilege. In its statement, OBJECT
// stands for each of the objects, COLUMN for one of its columns, LUMENS for the owner, and ANON and
// OTHER for roles that are not Lumen's.
type opening struct {
	name, sql string
	objects   []string
}

var (
	lumensTables    = []string{"customers", "merchant_heads", "changes", "api_keys", "merchants", "token_keys", "lumen_migrations", "lumen_migration_locks"}
	securedTables   = lumensTables[:7]
	tenantTables    = lumensTables[:3]
	lumensSequences = []string{"lumen_migrations_id_seq", "lumen_migration_locks_id_seq"}
	lumensFunctions = []string{
		"lumen_authenticate(bytea)", "lumen_key_used(text, text)", "lumen_token_signer(text, text)", "lumen_token_keys()",
		"lumen_authenticate_token(text, text, text)",
		"lumen_make_head(text)", "lumen_new_epoch()", "lumen_prune_changes(text, timestamp with time zone, bigint)", "lumen_heads(text[])",
	}
	lumensPolicies = []string{
		"customers_wall ON customers", "customers_history ON customers", "customers_bound ON customers", "lumen_migrations_read ON lumen_migrations",
		"merchant_heads_wall ON merchant_heads", "merchant_heads_janitor ON merchant_heads", "changes_wall ON changes", "changes_bound ON changes",
		"changes_janitor_read ON changes", "changes_janitor_prune ON changes",
	}
)

// columnOf names a column of each table.
var columnOf = map[string]string{
	"customers": "email", "api_keys": "digest", "merchants": "name", "token_keys": "private_key", "lumen_migrations": "name", "merchant_heads": "sequence", "changes": "data", "lumen_migration_locks": "table_name",
}

var openings = []opening{
	// Privileges of roles that are not Lumen's.
	{"a table is granted", "GRANT SELECT ON OBJECT TO ANON", lumensTables},
	{"a table is granted to everybody", "GRANT INSERT ON OBJECT TO PUBLIC", lumensTables},
	{"a table can be emptied", "GRANT TRUNCATE ON OBJECT TO ANON", lumensTables},
	{"a table is granted by a role that it was granted to", "GRANT SELECT ON OBJECT TO ANON WITH GRANT OPTION; SET LOCAL ROLE ANON; GRANT SELECT ON OBJECT TO OTHER; RESET ROLE", lumensTables},
	{"a column is granted", "GRANT SELECT (COLUMN) ON OBJECT TO ANON", lumensTables},
	{"a column is granted to everybody", "GRANT UPDATE (COLUMN) ON OBJECT TO PUBLIC", lumensTables},
	{"a sequence is granted", "GRANT USAGE ON SEQUENCE OBJECT TO ANON", lumensSequences},
	{"a function is granted", "GRANT EXECUTE ON FUNCTION OBJECT TO ANON", lumensFunctions},
	{"a function is granted to everybody", "GRANT EXECUTE ON FUNCTION OBJECT TO PUBLIC", lumensFunctions},
	{"a view is granted", "CREATE VIEW everybody AS SELECT * FROM OBJECT; GRANT SELECT ON everybody TO ANON", lumensTables},
	{"a view is granted to the service", "CREATE VIEW everybody AS SELECT * FROM OBJECT; GRANT SELECT ON everybody TO lumen_app", lumensTables},
	{"a view in another schema is granted", "CREATE SCHEMA other; CREATE VIEW other.everybody AS SELECT * FROM OBJECT; GRANT USAGE ON SCHEMA other TO ANON; GRANT SELECT ON other.everybody TO ANON", lumensTables},
	{"a copy of a table is granted", "CREATE MATERIALIZED VIEW copy AS SELECT * FROM OBJECT; GRANT SELECT ON copy TO PUBLIC", lumensTables},
	{"a view on a view is granted", "CREATE VIEW everybody AS SELECT * FROM OBJECT; CREATE SCHEMA other; CREATE VIEW other.again AS SELECT * FROM everybody; GRANT SELECT ON other.again TO ANON", lumensTables},
	{"a function in another schema runs with the owner's privileges", "CREATE SCHEMA other; CREATE FUNCTION other.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.OBJECT'; ALTER FUNCTION other.peek() OWNER TO LUMENS", lumensTables},
	{"a function names a table in another case", "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM PUBLIC.Merchants'", []string{""}},
	{"a table's rule reads another", "CREATE TABLE child (name text); CREATE RULE spy AS ON INSERT TO child DO ALSO SELECT FROM OBJECT; GRANT INSERT ON child TO ANON", lumensTables},
	{"a function runs with a superuser's privileges", "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT count(*) FROM public.OBJECT; END", lumensTables},
	{"a new function runs with the owner's privileges", "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.OBJECT'; ALTER FUNCTION peek() OWNER TO LUMENS", lumensTables},
	{"a namesake of a function is granted to the service", "CREATE FUNCTION lumen_authenticate(text) RETURNS text LANGUAGE sql AS 'SELECT $1'; REVOKE ALL ON FUNCTION lumen_authenticate(text) FROM PUBLIC; GRANT EXECUTE ON FUNCTION lumen_authenticate(text) TO lumen_app", []string{""}},
	{"a table belongs to another role", "ALTER TABLE OBJECT OWNER TO ANON", lumensTables},
	{"a function belongs to another role", "ALTER FUNCTION OBJECT OWNER TO ANON", lumensFunctions},
	{"the owner has a member", "GRANT LUMENS TO ANON", []string{""}},

	// Privileges of the service.
	{"the service may read another table", "GRANT SELECT ON OBJECT TO lumen_app", []string{"api_keys", "merchants", "token_keys", "lumen_migration_locks"}},
	{"the service may grant what it may read", "GRANT SELECT ON OBJECT TO lumen_app WITH GRANT OPTION", []string{"customers", "lumen_migrations"}},
	{"the service may change an id", "GRANT UPDATE (id) ON customers TO lumen_app", []string{""}},
	{"the service may remove customers", "GRANT DELETE ON customers TO lumen_app", []string{""}},
	{"the service may not write customers", "REVOKE INSERT ON customers FROM lumen_app", []string{""}},
	{"the service may use a sequence", "GRANT USAGE ON SEQUENCE OBJECT TO lumen_app", lumensSequences},

	// Row-level security.
	{"it is disabled", "ALTER TABLE OBJECT DISABLE ROW LEVEL SECURITY", securedTables},
	{"it is not forced", "ALTER TABLE OBJECT NO FORCE ROW LEVEL SECURITY", tenantTables},
	{"it is forced where the owner's functions need rows", "ALTER TABLE OBJECT FORCE ROW LEVEL SECURITY", securedTables[3:]},
	{"a permissive policy for everybody is added", "CREATE POLICY more ON OBJECT USING (true)", lumensTables},
	{"a permissive policy for the service is added", "CREATE POLICY more ON OBJECT FOR SELECT TO lumen_app USING (true)", lumensTables},
	{"a policy for another role is added", "CREATE POLICY more ON OBJECT TO ANON USING (true)", lumensTables},
	{"a policy allows all reads", "ALTER POLICY OBJECT USING (true)", []string{"customers_wall ON customers", "customers_history ON customers", "customers_bound ON customers"}},
	{"a policy allows all writes", "ALTER POLICY customers_wall ON customers WITH CHECK (true)", []string{""}},
	{"a policy is for another role", "ALTER POLICY OBJECT TO ANON", lumensPolicies},
	{"a policy is for everybody", "ALTER POLICY OBJECT TO PUBLIC", lumensPolicies},
	{"a policy is dropped", "DROP POLICY OBJECT", lumensPolicies},
	{"a restrictive policy is permissive", "DROP POLICY customers_bound ON customers; CREATE POLICY customers_bound ON customers TO lumen_app USING (true)", []string{""}},
	{"a policy applies to reads only", "DROP POLICY customers_bound ON customers; CREATE POLICY customers_bound ON customers AS RESTRICTIVE FOR SELECT TO lumen_app USING " +
		"((CASE (SELECT COALESCE(current_setting('lumen.customer_id', true), '')) WHEN '' THEN true WHEN id THEN true END) IS NOT NULL)", []string{""}},

	// Functions.
	{"a function is dropped", "DROP FUNCTION OBJECT", lumensFunctions},
	{"a function has another body", "CREATE OR REPLACE FUNCTION lumen_key_used(merchant text, key text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT'", []string{""}},
	{"a function runs as its caller", "ALTER FUNCTION OBJECT SECURITY INVOKER", lumensFunctions},
	{"a function uses the caller's search path", "ALTER FUNCTION OBJECT RESET search_path", lumensFunctions},
	{"a function has another setting", "ALTER FUNCTION OBJECT SET row_security = off", lumensFunctions},
	{"a function has another volatility", "ALTER FUNCTION OBJECT IMMUTABLE", lumensFunctions},

	// Triggers and rules run with a statement. Children and parents are read and written with a
	// table.
	{"a table has a trigger", "CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER spy BEFORE INSERT ON OBJECT FOR EACH ROW EXECUTE FUNCTION spy()", lumensTables},
	{"a table has a rule", "CREATE RULE spy AS ON INSERT TO OBJECT DO ALSO NOTIFY spy", lumensTables},
	{"a table has a child", "CREATE TABLE child () INHERITS (OBJECT)", lumensTables},
	{"a table has a parent", "CREATE TABLE parent (); ALTER TABLE OBJECT INHERIT parent", lumensTables},
}

// cleanUp drops the harmless objects that an opening leaves behind.
const cleanUp = "DROP MATERIALIZED VIEW IF EXISTS copy; DROP SCHEMA IF EXISTS other CASCADE; DROP VIEW IF EXISTS everybody; DROP FUNCTION IF EXISTS peek(), lumen_authenticate(text); DROP TABLE IF EXISTS child; DROP TABLE IF EXISTS parent; DROP FUNCTION IF EXISTS spy()"

// TestOpeningsAreRefused opens tenant isolation in each way, against each object. The check must refuse
// it, and the SQL in the error must fix it. /readyz, which makes the same check on a new connection,
// runs only once for each way.
func TestOpeningsAreRefused(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	words := strings.NewReplacer(
		"ANON", roleOf(t, db.NewRole(t, "")), "OTHER", roleOf(t, db.NewRole(t, "")), "LUMENS", ownedByAnother(t, db))
	s := db.Service(t)
	pool := s.Open(1)
	t.Cleanup(func() { _ = pool.Close() })
	require.NoError(t, schema.CheckRoleOn(t.Context(), pool))
	require.NoError(t, schema.Ready(t.Context(), s))
	cases := 0
	for _, o := range openings {
		for i, object := range o.objects {
			cases++
			t.Run(strings.TrimSpace(o.name+" "+object), func(t *testing.T) {
				statement := words.Replace(strings.NewReplacer("OBJECT", object, "COLUMN", columnOf[object]).Replace(o.sql))
				alter(t, db, statement)
				var unsafe *schema.UnsafeRoleError
				if i == 0 {
					require.Equal(t, schema.NoRole, notReady(t, s))
				}
				for tries := 0; ; tries++ {
					err := schema.CheckRoleOn(t.Context(), pool)
					if err == nil {
						require.Positive(t, tries, "it was not refused")
						break
					}
					require.ErrorAs(t, err, &unsafe)
					require.Less(t, tries, 5, "the SQL does not fix it: %v", unsafe)
					alter(t, db, unsafe.Fix)
				}
				alter(t, db, cleanUp)
			})
		}
	}
	require.NoError(t, schema.Ready(t.Context(), s))
	t.Logf("%d openings of %d kinds", cases, len(openings))
}

// ownedByAnother makes a new role the owner of everything in the database's schema, and returns its
// name. The role that owns the tests' databases must get no members, because they would own all
// databases.
func ownedByAnother(t *testing.T, db *storetest.Database) string {
	t.Helper()
	owner := roleOf(t, db.NewRole(t, ""))
	alter(t, db, fmt.Sprintf(`DO $$ DECLARE o text; BEGIN
		FOR o IN SELECT 'TABLE ' || oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
			UNION ALL SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'lumen%%'
				AND proowner <> 'lumen_janitor'::regrole
		LOOP EXECUTE 'ALTER ' || o || ' OWNER TO %s'; END LOOP; END $$`, owner))
	return owner
}

// Privileges and objects that do not concern Lumen are not refused.
func TestHarmlessObjectsAreNotRefused(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Service(t)
	second := roleOf(t, db.NewRole(t, "IN ROLE lumen_app"))
	reader := roleOf(t, db.NewRole(t, "IN ROLE pg_read_all_data"))
	superuser := roleOf(t, db.NewRole(t, "SUPERUSER"))
	anon := roleOf(t, db.NewRole(t, ""))
	another := ownedByAnother(t, db)
	statements := []string{
		"REVOKE CREATE ON SCHEMA public FROM PUBLIC", // it is granted by default up to Postgres 14
		"GRANT SELECT ON customers TO " + superuser,
		"GRANT SELECT ON customers TO pg_monitor",
		"GRANT USAGE, CREATE ON SCHEMA public TO " + anon,
		"GRANT USAGE ON TYPE customers TO " + anon,
		"CREATE TABLE reports (at date); GRANT SELECT ON reports TO " + anon,
		"CREATE VIEW dates AS SELECT at FROM reports; GRANT SELECT ON dates TO PUBLIC",
		"CREATE FUNCTION today() RETURNS date LANGUAGE sql AS 'SELECT current_date'",
		"CREATE FUNCTION handle_new_user() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'; ALTER FUNCTION handle_new_user() OWNER TO " + another,
		"CREATE FUNCTION log_customers() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO shop.customers VALUES (1); RETURN NEW; END'",
		`CREATE TABLE "lumen_x; --" (a int); ALTER TABLE "lumen_x; --" OWNER TO ` + anon + `; GRANT ALL ON "lumen_x; --" TO ` + reader,
		"ALTER TABLE lumen_migration_locks ENABLE ROW LEVEL SECURITY",
		"CREATE TABLE invoices (merchant_id int); ALTER TABLE invoices OWNER TO " + another + "; GRANT ALL ON invoices TO " + anon,
		"CREATE TABLE orders (merchant_id text); ALTER TABLE orders OWNER TO " + anon + "; GRANT ALL ON orders TO " + reader,
		"CREATE EXTENSION pg_stat_statements",
	}
	var version int
	require.NoError(t, db.Superuser().QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&version))
	if version >= 160_000 { // since then the creator of a role is a member of it in this way
		statements = append(statements, "GRANT "+another+" TO "+anon+" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
	}
	for _, statement := range statements {
		alter(t, db, statement)
		require.NoError(t, schema.CheckRole(t.Context(), s), statement)
		require.NoError(t, schema.Ready(t.Context(), s), statement)
	}
	require.NoError(t, checkRole(t, db.URLFor(second, passwordOf(t, db, second))))

	warnings, err := schema.Check(t.Context(), s)
	require.NoError(t, err)
	all := strings.Join(warnings, "\n")
	require.Contains(t, all, "role "+reader+" is a member of a predefined role that reads or writes without privileges\n")
	require.Contains(t, all, "role "+superuser+" is or may become a superuser, to which no privilege and no policy applies\n")
	require.Contains(t, all, "role pg_monitor has privileges on customers; fix it with: REVOKE ALL ON TABLE public.customers FROM pg_monitor;")
	require.Contains(t, all, "role "+anon+" may create tables and functions in the schema public; fix it with: REVOKE CREATE ON SCHEMA public FROM "+anon+";")
	require.NotContains(t, all, second)
	require.NotContains(t, all, "every role")
	alter(t, db, "GRANT CREATE ON SCHEMA public TO PUBLIC") // as up to Postgres 14
	warnings, err = schema.Check(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, strings.Join(warnings, "\n"), "every role may create tables and functions in the schema public; fix it with: REVOKE CREATE ON SCHEMA public FROM PUBLIC;")
}

// passwordOf sets a role's password and returns it.
func passwordOf(t *testing.T, db *storetest.Database, role string) string {
	t.Helper()
	alter(t, db, "ALTER ROLE "+role+" PASSWORD 'known'")
	return "known"
}

// Migrations revoke the default privileges that a hosted platform grants to its roles.
func TestMigrationsLeaveThirdRolesNothing(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	anon := roleOf(t, db.NewRole(t, "NOINHERIT"))
	owner := roleOf(t, db.OwnerURL())
	for _, role := range []string{anon, "PUBLIC", roleOf(t, db.AppURL())} {
		for _, kind := range []string{"TABLES", "FUNCTIONS", "SEQUENCES"} {
			alter(t, db, "ALTER DEFAULT PRIVILEGES FOR ROLE "+owner+" IN SCHEMA public GRANT ALL ON "+kind+" TO "+role)
		}
	}
	_, err := db.Migrator(t).Up(t.Context())
	require.NoError(t, err)
	s := db.Service(t)
	require.NoError(t, schema.CheckRole(t.Context(), s))
	require.NoError(t, schema.Ready(t.Context(), s))

	login, err := pgx.Connect(t.Context(), db.URLFor(anon, passwordOf(t, db, anon)))
	require.NoError(t, err)
	defer func() { _ = login.Close(t.Context()) }()
	for _, table := range lumensTables {
		for _, statement := range []string{"SELECT FROM " + table, "DELETE FROM " + table, "TRUNCATE " + table, "INSERT INTO " + table + " DEFAULT VALUES"} {
			_, err := login.Exec(t.Context(), statement)
			require.ErrorContains(t, err, "42501", statement)
		}
	}
	for _, call := range []string{"lumen_authenticate('')", "lumen_key_used('', '')", "lumen_token_signer('', '')", "lumen_token_keys()", "lumen_authenticate_token('', '', '')"} {
		_, err := login.Exec(t.Context(), "SELECT * FROM "+call)
		require.ErrorContains(t, err, "42501", call)
	}

	// migrate up reports a privilege that is granted later, and leaves it to the operator.
	alter(t, db, "GRANT SELECT ON customers TO "+anon)
	_, err = db.Migrator(t).Up(t.Context())
	require.ErrorContains(t, err, "REVOKE ALL ON TABLE public.customers FROM "+anon)
}

// The second guard: a role that has a privilege nevertheless sees no key and no merchant.
func TestThirdRolesSeeNoRows(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Merchant(t, "Acme")
	anon := roleOf(t, db.NewRole(t, ""))
	alter(t, db, "GRANT ALL ON ALL TABLES IN SCHEMA public TO "+anon)
	login, err := pgx.Connect(t.Context(), db.URLFor(anon, passwordOf(t, db, anon)))
	require.NoError(t, err)
	defer func() { _ = login.Close(t.Context()) }()
	for _, table := range securedTables {
		var n int
		require.NoError(t, login.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
		require.Zero(t, n, table)
	}
	_, err = login.Exec(t.Context(), "INSERT INTO api_keys (merchant_id, id, digest, access) SELECT 'merchant_1', 'key_1', sha256(''), 'write'")
	require.ErrorContains(t, err, "42501")
}

// A program may run on a schema that is newer than it knows, as in every rolling upgrade. It stays
// ready, unless the newer schema weakens tenant isolation.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	server := ownServer(t) // lumen_janitor belongs to a whole server
	migrator, err := schema.Open(server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = migrator.Close() })
	_, err = migrator.Up(t.Context())
	require.NoError(t, err)
	admin, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close(t.Context()) })
	run := func(statements string) {
		t.Helper()
		_, err := admin.Exec(t.Context(), statements, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
	}
	operator, err := owner.Open(server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = operator.Close() })
	require.NoError(t, operator.CreateLogin(t.Context(), "lumen_serve", "secret"))
	config, err := pgx.ParseConfig(server.URL())
	require.NoError(t, err)
	s := storetest.Service(t, fmt.Sprintf("postgres://lumen_serve:secret@%s:%d/%s", config.Host, config.Port, config.Database), false)

	run(`BEGIN;
		CREATE TABLE records (merchant_id text COLLATE "C" NOT NULL, sequence bigint NOT NULL, PRIMARY KEY (merchant_id, sequence));
		ALTER TABLE records ENABLE ROW LEVEL SECURITY; ALTER TABLE records FORCE ROW LEVEL SECURITY;
		CREATE POLICY records_wall ON records TO lumen_app USING (merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''));
		CREATE POLICY records_janitor ON records TO lumen_janitor USING (true);
		GRANT SELECT, INSERT ON records TO lumen_app; GRANT SELECT, DELETE ON records TO lumen_janitor;
		ALTER POLICY customers_history ON customers USING (deleted_at IS NULL AND merchant_id IS NOT NULL);
		CREATE POLICY customers_janitor ON customers FOR SELECT TO lumen_janitor USING (true);
		GRANT SELECT ON customers TO lumen_janitor; GRANT UPDATE (created_at) ON customers TO lumen_app;
		ALTER FUNCTION lumen_key_used(text, text) SET statement_timeout = '1s';
		CREATE FUNCTION lumen_prune() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'SELECT'; REVOKE ALL ON FUNCTION lumen_prune() FROM PUBLIC;
		GRANT EXECUTE ON FUNCTION lumen_prune() TO lumen_app;
		INSERT INTO lumen_migrations (name, group_id) VALUES ('9999', 2);
		COMMIT`)
	for range 5 {
		require.NoError(t, schema.Ready(t.Context(), s))
	}
	require.NoError(t, schema.CheckMigrations(t.Context(), s))
	require.NoError(t, schema.CheckRole(t.Context(), s))
	_, err = migrator.Up(t.Context())
	require.NoError(t, err, "an older program has nothing to do")

	run("CREATE ROLE anon LOGIN")
	for opens, fixes := range map[string]string{
		"ALTER TABLE records NO FORCE ROW LEVEL SECURITY":                                            "",
		"ALTER TABLE customers DISABLE ROW LEVEL SECURITY":                                           "",
		"CREATE POLICY more ON records FOR SELECT TO lumen_app USING (true)":                         "",
		"CREATE POLICY more ON customers FOR INSERT TO lumen_app WITH CHECK (true)":                  "",
		"CREATE POLICY more ON customers USING (merchant_id = current_setting('lumen.merchant_id'))": "",
		"CREATE POLICY more ON merchants TO anon USING (true)":                                       "",
		"ALTER POLICY customers_wall ON customers USING (true) WITH CHECK (true)":                    "CREATE POLICY customers_wall ON customers TO lumen_app USING (merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''))",
		"GRANT SELECT ON changes TO anon":                                                            "",
		"GRANT EXECUTE ON FUNCTION lumen_prune() TO PUBLIC":                                          "",
		"ALTER ROLE lumen_janitor LOGIN":                                                             "",
		"GRANT lumen_janitor TO anon":                                                                "",
		"GRANT " + config.User + " TO anon":                                                          "",
	} {
		run(opens)
		var unsafe *schema.UnsafeRoleError
		require.ErrorAs(t, schema.CheckRole(t.Context(), s), &unsafe, opens)
		require.Equal(t, schema.NoRole, notReady(t, s), opens)
		run(unsafe.Fix)
		if fixes != "" {
			run(fixes)
		}
		require.NoError(t, schema.CheckRole(t.Context(), s), "%s, fixed by %s", opens, unsafe.Fix)
	}
	run("GRANT lumen_janitor TO CURRENT_USER") // the owner may be a member
	require.NoError(t, schema.Ready(t.Context(), s))
}

// A program checks the role while a newer program migrates. It must not report the new migration as
// a fault.
func TestNewerSchemaIsSeenWhole(t *testing.T) {
	t.Parallel()
	for range 12 {
		db := storetest.New(t)
		s := db.Service(t)
		var asking sync.WaitGroup
		var asked atomic.Int64
		stop := make(chan struct{})
		for range 4 {
			asking.Go(func() {
				pool := s.Open(1)
				defer func() { _ = pool.Close() }()
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := schema.CheckRoleOn(t.Context(), pool); err != nil {
						t.Errorf("not safe: %v", err)
						return
					}
					asked.Add(1)
				}
			})
		}
		askAgain := func() {
			t.Helper()
			before := asked.Load()
			require.Eventually(t, func() bool { return asked.Load() > before+8 || t.Failed() }, 10*time.Second, time.Millisecond)
		}
		askAgain()
		alter(t, db, `ALTER POLICY customers_history ON customers USING (deleted_at IS NULL AND merchant_id IS NOT NULL);
			INSERT INTO lumen_migrations (name, group_id) VALUES ('9999', 2)`)
		askAgain()
		close(stop)
		asking.Wait()
	}
}

// A role that may create objects in the schema public, as every role may up to Postgres 14, cannot
// get its code to run, neither inside a merchant's statement nor in a migration.
func TestRolesThatMayCreateObjectsGetNoCodeToRun(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	anon := roleOf(t, db.NewRole(t, ""))
	alter(t, db, "GRANT CREATE, USAGE ON SCHEMA public TO "+anon)
	login, err := pgx.Connect(t.Context(), db.URLFor(anon, passwordOf(t, db, anon)))
	require.NoError(t, err)
	defer func() { _ = login.Close(t.Context()) }()
	plant := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			_, err := login.Exec(t.Context(), statement)
			require.NoError(t, err, statement)
		}
	}
	plant(
		"CREATE TABLE caught (by text)", "GRANT ALL ON caught TO PUBLIC",
		// It runs with its caller's privileges, and records that it ran.
		"CREATE FUNCTION catch(by text) RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.caught VALUES (by); END'",
		// Each of these matches one of Lumen's expressions better than Postgres's own, if the
		// schema is searched.
		"CREATE FUNCTION hashtextextended(text, integer) RETURNS bigint LANGUAGE sql AS $$ SELECT public.catch('hashtextextended'); SELECT 1::bigint $$",
		"CREATE FUNCTION alike(name, name) RETURNS boolean LANGUAGE sql AS $$ SELECT public.catch('alike'); SELECT true $$",
		"CREATE OPERATOR ~~ (LEFTARG = name, RIGHTARG = name, FUNCTION = alike)",
		"CREATE FUNCTION times(integer, interval) RETURNS interval LANGUAGE sql AS $$ SELECT public.catch('times'); SELECT '1 s'::interval $$",
		"CREATE OPERATOR * (LEFTARG = integer, RIGHTARG = interval, FUNCTION = times)",
		// Its name is SQL, for a program that would run the statements that it prints.
		`CREATE TABLE "lumen_; REVOKE ALL ON merchants FROM `+anon+`;GRANT lumen_app TO `+anon+`--" ()`,
	)
	_, _ = db.Migrator(t).Up(t.Context()) // at its end it refuses the table
	var member bool
	require.NoError(t, db.Superuser().QueryRow(t.Context(), "SELECT pg_has_role($1, 'lumen_app', 'MEMBER')", anon).Scan(&member))
	require.False(t, member)

	m := db.Merchant(t, "Acme")
	expires := time.Hour
	_, err = db.Owner(t).Keys.Create(t.Context(), owner.NewKey{MerchantID: m.ID, Access: store.ReadAccess, Secret: auth.NewSecret(), Expires: &expires})
	require.NoError(t, err)
	s, ctx := db.Store(t), db.Context(t, m)
	require.Error(t, schema.Ready(t.Context(), db.Service(t)))
	created, err := s.Customers.Create(ctx, store.Input{"email": "a@x.io"}, store.WriteOptions{})
	require.NoError(t, err)
	_, err = s.Customers.Update(ctx, created.ID, store.Input{"email": "b@x.io", "name": "B"}, store.WriteOptions{})
	require.NoError(t, err)
	search := "b@x"
	_, err = s.Customers.List(ctx, store.PageQuery{Filter: store.Filter{"search": search}})
	require.NoError(t, err)
	require.Empty(t, queryLines(t, db.SuperuserURL(), "SELECT by FROM caught"))
}
