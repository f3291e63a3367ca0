package schema_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store/schema"
	"lumen/store/storetest"
)

func checkRole(t *testing.T, url string) error {
	t.Helper()
	return schema.CheckRole(t.Context(), storetest.Service(t, url, false))
}

func TestCheckRole(t *testing.T) {
	t.Parallel()
	const mayLookUp = "GRANT EXECUTE ON FUNCTION lumen_authenticate(bytea), lumen_key_used(text, text), lumen_token_signer(text, text), lumen_token_keys(), lumen_authenticate_token(text, text, text) TO lumen_app;"
	const newLogin = "CREATE ROLE lumen_serve LOGIN PASSWORD '...' IN ROLE lumen_app; and name it in LUMEN_DATABASE_URL"

	t.Run("passes for the plain role", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, checkRole(t, storetest.New(t).AppURL()))
	})
	t.Run("passes for a role that is a member through another", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		between := roleOf(t, db.NewRole(t, "IN ROLE lumen_app"))
		require.NoError(t, checkRole(t, db.NewRole(t, "IN ROLE "+between)))
	})
	// In fault and fix, ROLE stands for the role and OTHER for the other role that some cases need.
	cases := map[string]struct {
		attributes string // of the login; "" means the usual login
		other      string // attributes of another role
		change     string // what to change in the database
		fault, fix string
		byHand     bool // the fix cannot be run as it is
	}{
		"a superuser": {attributes: "SUPERUSER IN ROLE lumen_app",
			fault: `role "ROLE" is a superuser, to which row-level security does not apply`, fix: newLogin, byHand: true},
		"a role with BYPASSRLS": {attributes: "BYPASSRLS IN ROLE lumen_app",
			fault: `role "ROLE" has BYPASSRLS`, fix: `ALTER ROLE "ROLE" NOBYPASSRLS;`},
		"a role with CREATEROLE": {attributes: "CREATEROLE IN ROLE lumen_app",
			fault: `role "ROLE" has CREATEROLE`, fix: `ALTER ROLE "ROLE" NOCREATEROLE;`},
		"a role with REPLICATION": {attributes: "REPLICATION IN ROLE lumen_app",
			fault: `role "ROLE" has REPLICATION`, fix: `ALTER ROLE "ROLE" NOREPLICATION;`},
		"a member of a superuser": {attributes: "IN ROLE lumen_app, OTHER", other: "SUPERUSER",
			fault: `role "ROLE" is a member of "OTHER", which can get around row-level security`, fix: `REVOKE "OTHER" FROM "ROLE";`},
		"a member of a role with BYPASSRLS": {attributes: "IN ROLE lumen_app, OTHER", other: "BYPASSRLS",
			fault: `role "ROLE" is a member of "OTHER", which can get around row-level security`, fix: `REVOKE "OTHER" FROM "ROLE";`},
		"a member of a role with BYPASSRLS that it does not inherit": {attributes: "NOINHERIT IN ROLE lumen_app, OTHER", other: "BYPASSRLS",
			fault: `role "ROLE" is a member of "OTHER", which can get around row-level security`,
			fix:   `REVOKE "OTHER" FROM "ROLE"; REVOKE lumen_app FROM "ROLE"; ALTER ROLE "ROLE" INHERIT; GRANT lumen_app TO "ROLE";`},
		"a member of pg_read_all_data": {attributes: "IN ROLE lumen_app, pg_read_all_data",
			fault: `role "ROLE" is a member of "pg_read_all_data", which can get around row-level security`, fix: `REVOKE "pg_read_all_data" FROM "ROLE";`},
		"a member of pg_execute_server_program": {attributes: "IN ROLE lumen_app, pg_execute_server_program",
			fault: `role "ROLE" is a member of "pg_execute_server_program", which can get around row-level security`, fix: `REVOKE "pg_execute_server_program" FROM "ROLE";`},
		"the owner of a table": {attributes: "IN ROLE lumen_app", change: `ALTER TABLE customers OWNER TO "ROLE"`,
			fault: `role "ROLE" owns relation customers, or is a member of the role that does`, fix: newLogin, byHand: true},
		"the owner of a function": {attributes: "IN ROLE lumen_app", change: `ALTER FUNCTION lumen_authenticate(bytea) OWNER TO "ROLE"`,
			fault: `role "ROLE" owns function lumen_authenticate, or is a member of the role that does`, fix: newLogin, byHand: true},
		"the owner of the schema": {attributes: "IN ROLE lumen_app", change: `ALTER SCHEMA public OWNER TO "ROLE"`,
			fault: `role "ROLE" owns schema public, or is a member of the role that does`, fix: newLogin, byHand: true},
		"a member of the owner": {attributes: "IN ROLE lumen_app, OTHER", other: "NOINHERIT", change: `ALTER TABLE customers OWNER TO "OTHER"`,
			fault: `role "ROLE" owns relation customers, or is a member of the role that does`, fix: newLogin, byHand: true},
		"no member of lumen_app": {attributes: "INHERIT",
			fault: `role "ROLE" is not a member of lumen_app`, fix: `REVOKE lumen_app FROM "ROLE"; ALTER ROLE "ROLE" INHERIT; GRANT lumen_app TO "ROLE";`},
		"a member that does not inherit": {attributes: "NOINHERIT IN ROLE lumen_app",
			fault: `role "ROLE" is not a member of lumen_app`, fix: `REVOKE lumen_app FROM "ROLE"; ALTER ROLE "ROLE" INHERIT; GRANT lumen_app TO "ROLE";`},
		"one that may not look up keys": {change: "REVOKE EXECUTE ON FUNCTION lumen_authenticate(bytea) FROM lumen_app",
			fault: `role "ROLE" may not look up API keys and access tokens`, fix: mayLookUp},
		"one that may not call lumen_token_signer": {change: "REVOKE EXECUTE ON FUNCTION lumen_token_signer(text, text) FROM lumen_app",
			fault: `role "ROLE" may not look up API keys and access tokens`, fix: mayLookUp},
		"one that may not call lumen_token_keys": {change: "REVOKE EXECUTE ON FUNCTION lumen_token_keys() FROM lumen_app",
			fault: `role "ROLE" may not look up API keys and access tokens`, fix: mayLookUp},
		"one that may not call lumen_authenticate_token": {change: "REVOKE EXECUTE ON FUNCTION lumen_authenticate_token(text, text, text) FROM lumen_app",
			fault: `role "ROLE" may not look up API keys and access tokens`, fix: mayLookUp},
		"row-level security off": {change: "ALTER TABLE customers DISABLE ROW LEVEL SECURITY",
			fault: "row-level security is not enabled and forced on table public.customers", fix: "ALTER TABLE public.customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"},
		"row-level security not forced": {change: "ALTER TABLE customers NO FORCE ROW LEVEL SECURITY",
			fault: "row-level security is not enabled and forced on table public.customers", fix: "ALTER TABLE public.customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"},
		"the policy of the binding gone": {change: "DROP POLICY customers_bound ON customers", fault: "policy customers_bound on table customers is missing",
			fix: "CREATE POLICY customers_bound ON public.customers AS RESTRICTIVE FOR ALL TO lumen_app USING (( CASE ( SELECT COALESCE(current_setting('lumen.customer_id'::text, true), ''::text) AS \"coalesce\") WHEN ''::text THEN true WHEN id THEN true ELSE NULL::boolean END IS NOT NULL));"},
		"the policy of history gone": {change: "DROP POLICY customers_history ON customers", fault: "policy customers_history on table customers is missing",
			fix: "CREATE POLICY customers_history ON public.customers AS RESTRICTIVE FOR UPDATE TO lumen_app USING ((deleted_at IS NULL)) WITH CHECK (true);"},
		"a new table without row-level security": {change: `CREATE TABLE more (merchant_id text); GRANT SELECT ON more TO lumen_app;
			DO $$ BEGIN EXECUTE format('ALTER TABLE more OWNER TO %I', (SELECT tableowner FROM pg_tables WHERE tablename = 'customers')); END $$`,
			fault: "row-level security is not enabled and forced on table public.more", fix: "ALTER TABLE public.more ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; REVOKE ALL ON TABLE public.more FROM lumen_app CASCADE;"},
	}
	// Excessive privileges, granted to various roles.
	for grant, privilege := range map[string]string{
		"SELECT ON api_keys TO lumen_app":              "SELECT ON api_keys",
		"SELECT (digest) ON api_keys TO PUBLIC":        "SELECT ON api_keys",
		"INSERT ON api_keys TO lumen_app":              "INSERT ON api_keys",
		"SELECT (private_key) ON token_keys TO PUBLIC": "SELECT ON token_keys",
		`UPDATE ON token_keys TO "ROLE"`:               "UPDATE ON token_keys",
		"UPDATE (disabled_at) ON merchants TO PUBLIC":  "UPDATE ON merchants",
		"SELECT ON merchants TO lumen_app":             "SELECT ON merchants",
		`TRUNCATE ON customers TO "ROLE"`:              "TRUNCATE ON customers",
		"DELETE ON customers TO lumen_app":             "DELETE ON customers",
		"DELETE ON lumen_migrations TO PUBLIC":         "DELETE ON lumen_migrations",
	} {
		c := cases[""]
		c.attributes, c.change = "IN ROLE lumen_app", "GRANT "+grant
		privilege = strings.Replace(privilege, " ON ", " ON public.", 1)
		c.fault = `role "ROLE" has the privilege ` + privilege
		c.fix = "REVOKE " + privilege + ` FROM PUBLIC, "ROLE", lumen_app;`
		cases["a role with "+grant] = c
	}

	for name, c := range cases {
		t.Run("refuses "+name+" and tells the fix", func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			url, other := db.AppURL(), ""
			if c.other != "" {
				other = roleOf(t, db.NewRole(t, c.other))
			}
			if c.attributes != "" {
				url = db.NewRole(t, replaceWords(c.attributes, "", other))
			}
			role := roleOf(t, url)
			require.NotEqual(t, role, other)
			if c.change != "" {
				alter(t, db, replaceWords(c.change, role, other))
			}

			var unsafe *schema.UnsafeRoleError
			require.ErrorAs(t, checkRole(t, url), &unsafe)
			fixes := unsafe.Fix
			require.Equal(t, replaceWords(c.fault, role, other), unsafe.Fault)
			require.ErrorContains(t, unsafe, unsafe.Fix)
			if c.byHand {
				require.Equal(t, c.fix, fixes)
				return
			}
			alter(t, db, unsafe.Fix)
			// A role may have several faults. Each is fixed in turn.
			for err := checkRole(t, url); err != nil; err = checkRole(t, url) {
				require.ErrorAs(t, err, &unsafe)
				require.NotContains(t, fixes, unsafe.Fix, "the fix does not work")
				fixes += " " + unsafe.Fix
				alter(t, db, unsafe.Fix)
			}
			require.Equal(t, replaceWords(c.fix, role, other), fixes)
		})
	}

	t.Run("a failed query is no UnsafeRoleError", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		err := checkRole(t, db.URLFor("lumen_test_nobody", "wrong"))
		var unsafe *schema.UnsafeRoleError
		require.Error(t, err)
		require.NotErrorAs(t, err, &unsafe)
	})
}

// replaceWords replaces the words ROLE and OTHER by names.
func replaceWords(text, role, other string) string {
	if role != "" {
		text = strings.ReplaceAll(text, `"ROLE"`, `"`+role+`"`)
	}
	return strings.ReplaceAll(text, "OTHER", other)
}
