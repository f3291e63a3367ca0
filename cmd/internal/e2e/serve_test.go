package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// serveRefusal runs serve and returns what it refused with: a line for each reason.
func serveRefusal(t *testing.T, env ...string) string {
	t.Helper()
	p := harness.Launch(t, func(cmd *exec.Cmd) { cmd.Env = harness.Environment(env...) }, "serve", "--addr", "127.0.0.1:0")
	var exit *exec.ExitError
	require.ErrorAs(t, p.Wait(t), &exit, p.Stderr.String())
	require.Positive(t, exit.ExitCode())
	text := p.Stderr.String()
	for line := range strings.Lines(text) {
		require.Regexp(t, "^lumen: .*\n$", line)
	}
	return text
}

// TestServeRefusesAnUnsafeDatabase starts serve on databases and roles that would weaken tenant
// isolation. It must refuse each, name the fault, and print the statement that repairs it.
func TestServeRefusesAnUnsafeDatabase(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		url   func(t *testing.T, db *storetest.Database) string
		alter string
		words []string
	}{
		"a superuser": {url: func(t *testing.T, db *storetest.Database) string { return db.NewRole(t, "SUPERUSER") }, words: []string{"is a superuser", "fix it with: CREATE ROLE lumen_serve"}},
		"BYPASSRLS":   {url: func(t *testing.T, db *storetest.Database) string { return db.NewRole(t, "BYPASSRLS IN ROLE lumen_app") }, words: []string{"has BYPASSRLS", "fix it with: ALTER ROLE", "NOBYPASSRLS"}},
		"a role that is not a member of lumen_app": {url: func(t *testing.T, db *storetest.Database) string { return db.NewRole(t, "") }, words: []string{"fix it with"}},
		"the owner": {url: func(_ *testing.T, db *storetest.Database) string { return db.OwnerURL() }, words: []string{"fix it with: CREATE ROLE lumen_serve"}},
		"RLS off":   {alter: "ALTER TABLE customers DISABLE ROW LEVEL SECURITY", words: []string{"row-level security is not enabled and forced on table public.customers", "fix it with: ALTER TABLE public.customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"}},
		"FORCE off": {alter: "ALTER TABLE customers NO FORCE ROW LEVEL SECURITY", words: []string{"row-level security is not enabled and forced on table public.customers", "fix it with: ALTER TABLE public.customers"}},
		"an open policy": {alter: "ALTER POLICY customers_wall ON customers USING (true)",
			words: []string{"policy customers_wall on table customers is not as its migration made it", "fix it with: DROP POLICY customers_wall ON public.customers; CREATE POLICY"}},
		"a privilege of another role": {alter: "GRANT REFERENCES ON api_keys TO PUBLIC",
			words: []string{"role PUBLIC has privileges on api_keys", "fix it with: REVOKE ALL ON TABLE public.api_keys FROM PUBLIC CASCADE;"}},
		"a pending migration": {alter: "DELETE FROM lumen_migrations WHERE name LIKE '0002%'", words: []string{"1 of 8 migrations are pending; run: lumen migrate up"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			url := db.AppURL()
			if test.url != nil {
				url = test.url(t, db)
			}
			if test.alter != "" {
				_, err := db.Superuser().Exec(t.Context(), test.alter)
				require.NoError(t, err)
			}
			line := serveRefusal(t, "LUMEN_DATABASE_URL="+url)
			require.Contains(t, line, "lumen: refusing to serve: ")
			for _, words := range test.words {
				require.Contains(t, line, words)
			}
		})
	}
}

// TestReadinessFollowsTheCatalogue breaks tenant isolation in the catalogue while serve runs.
// /readyz must become 503, and 200 again after the repair.
func TestReadinessFollowsTheCatalogue(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	awaitReadiness := func(status int) {
		t.Helper()
		require.Eventually(t, func() bool {
			got, body := harness.Fetch(t, "GET", d.URL+"/readyz", "", "")
			return got == status && (status == http.StatusOK || strings.Contains(body, `"reason":"role"`))
		}, 10*time.Second, 50*time.Millisecond)
	}
	awaitReadiness(http.StatusOK)
	for fault, repair := range map[string]string{
		"ALTER POLICY customers_bound ON customers USING (true)": "DROP POLICY customers_bound ON customers; CREATE POLICY customers_bound ON customers AS RESTRICTIVE TO lumen_app " +
			"USING ((CASE (SELECT COALESCE(current_setting('lumen.customer_id', true), '')) WHEN '' THEN true WHEN id THEN true END) IS NOT NULL)",
		"GRANT EXECUTE ON FUNCTION lumen_token_keys() TO PUBLIC": "REVOKE EXECUTE ON FUNCTION lumen_token_keys() FROM PUBLIC",
	} {
		d.SQL(t, fault)
		awaitReadiness(http.StatusServiceUnavailable)
		d.SQL(t, repair)
		awaitReadiness(http.StatusOK)
	}
	require.Contains(t, d.Logged(), "fix it with: REVOKE ALL ON FUNCTION public.lumen_token_keys() FROM PUBLIC CASCADE;")
}

// TestServeRefusesAnEmptyDatabase checks that serve names the pending migrations and the command
// for them.
func TestServeRefusesAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	line := serveRefusal(t, "LUMEN_DATABASE_URL="+storetest.Empty(t).AppURL())
	require.Equal(t, "lumen: refusing to serve: 8 of 8 migrations are pending; run: lumen migrate up\n", line)
}

// TestServeReportsAllConfigurationErrorsAtOnce checks that serve prints every configuration error
// in one line, so that an operator can fix all of them before the next start.
func TestServeReportsAllConfigurationErrorsAtOnce(t *testing.T) {
	t.Parallel()
	require.Equal(t,
		"lumen: LUMEN_DATABASE_URL is not set; set it to a URL like postgres://lumen_serve:password@host:5432/lumen\n",
		serveRefusal(t))

	line := serveRefusal(t, "LUMEN_DATABASE_URL=postgres://user:hunter2@host:notaport/db", "LUMEN_LOG_FORMAT=xml")
	require.Equal(t, "lumen: LUMEN_DATABASE_URL is not a Postgres connection URL; it looks like postgres://user:password@host:5432/database\n"+
		"lumen: LUMEN_LOG_FORMAT must be json or text\n", line)

	require.Equal(t, "lumen: LUMEN_DATABASE_POOLER must be none or transaction\nlumen: LUMEN_DATABASE_URL is not set; "+
		"set it to a URL like postgres://lumen_serve:password@host:5432/lumen\n", serveRefusal(t, "LUMEN_DATABASE_POOLER=session"))
	for _, rate := range []string{"-1", "many", "NaN", "Inf", "0.0001", "1000001", "1e400"} {
		require.Equal(t, "lumen: LUMEN_KEY_RATE is not a rate; it is requests per second, from 0.001 to 1000000, or 0 for no limit\n"+
			"lumen: LUMEN_MERCHANT_RATE is not a rate; it is requests per second, from 0.001 to 1000000, or 0 for no limit\n"+
			"lumen: LUMEN_CUSTOMER_RATE is not a rate; it is requests per second, from 0.001 to 1000000, or 0 for no limit\n"+
			"lumen: LUMEN_RATE_BURST is not a number of seconds from 0 to 3600\nlumen: LUMEN_LOG_FORMAT must be json or text\n",
			serveRefusal(t, "LUMEN_KEY_RATE="+rate, "LUMEN_MERCHANT_RATE="+rate, "LUMEN_CUSTOMER_RATE="+rate,
				"LUMEN_RATE_BURST=-"+rate+"0", "LUMEN_DATABASE_URL=postgres://localhost/db", "LUMEN_LOG_FORMAT=xml"))
	}
	require.Equal(t, "lumen: LUMEN_PRIVATE_ADDR is not an address; it looks like 127.0.0.1:9090\n"+
		"lumen: LUMEN_DATABASE_URL is not set; set it to a URL like postgres://lumen_serve:password@host:5432/lumen\nlumen: OTEL_EXPORTER_OTLP_ENDPOINT is not a URL; it looks like http://collector:4318\n",
		serveRefusal(t, "LUMEN_PRIVATE_ADDR=private", "OTEL_EXPORTER_OTLP_ENDPOINT=collector"))
	require.Contains(t, serveRefusal(t, "LUMEN_INTROSPECTION=perhaps"), "lumen: LUMEN_INTROSPECTION must be true or false")
	require.Contains(t, serveRefusal(t, "LUMEN_GRAPHQL_MAX_DEPTH=0"), "lumen: LUMEN_GRAPHQL_MAX_DEPTH: a limit is")

	manifest := filepath.Join(t.TempDir(), "documents.json")
	require.NoError(t, os.WriteFile(manifest, []byte(`{"good":"{merchant{id}}","bad":"{nope}","worse":"{"}`), 0o600))
	require.Equal(t, "lumen: LUMEN_GRAPHQL_FIELD_COSTS: there is no field \"Customer.mail\"; one looks like Query.customers\n"+
		"lumen: LUMEN_CORS_ORIGINS holds \"*\", which is not an origin; one looks like https://app.example.com\n"+
		"lumen: LUMEN_TRUSTED_DOCUMENTS: document \"bad\": Cannot query field \"nope\" on type \"Query\".; document \"worse\": Expected Name, found <EOF>\n"+
		"lumen: LUMEN_DATABASE_URL is not set; set it to a URL like postgres://lumen_serve:password@host:5432/lumen\n",
		serveRefusal(t, "LUMEN_GRAPHQL_FIELD_COSTS=Customer.mail=2", "LUMEN_CORS_ORIGINS=https://app.example.com,*", "LUMEN_TRUSTED_DOCUMENTS="+manifest))
	const form = "lumen: LUMEN_BASE_PATH must be / and segments of letters, digits and -._~ without a trailing slash, " +
		"such as /lumen or /shop/lumen\nlumen: LUMEN_IDLE_TIMEOUT must be 1s to 24h, such as 620s\n"
	for _, path := range []string{"/", "lumen", "/lumen/", "/lumen//x", "/lumen/../x", "/lu%6den", "https://x.example/lumen"} {
		require.Contains(t, serveRefusal(t, "LUMEN_BASE_PATH="+path, "LUMEN_IDLE_TIMEOUT=0s"), form, path)
	}
	for _, own := range []string{"/api", "/graphql", "/healthz", "/.well-known"} {
		require.Contains(t, serveRefusal(t, "LUMEN_BASE_PATH="+own), "LUMEN_BASE_PATH must not begin one of Lumen's own paths", own)
	}
	for _, wrong := range []string{"-1s", "999ms", "25h"} {
		require.Contains(t, serveRefusal(t, "LUMEN_IDLE_TIMEOUT="+wrong), "LUMEN_IDLE_TIMEOUT must be 1s to 24h, such as 620s", wrong)
	}
	require.Contains(t, serveRefusal(t, "LUMEN_IDLE_TIMEOUT=620"), "lumen: LUMEN_IDLE_TIMEOUT is not a duration; one looks like 30s or 10m")
	for _, mode := range []string{"only", "never"} {
		require.Contains(t, serveRefusal(t, "LUMEN_TRUSTED_DOCUMENTS_MODE="+mode), map[string]string{
			"only":  "LUMEN_TRUSTED_DOCUMENTS_MODE is only, so LUMEN_TRUSTED_DOCUMENTS must name a manifest",
			"never": "LUMEN_TRUSTED_DOCUMENTS_MODE must be also or only",
		}[mode])
	}
	require.Contains(t, serveRefusal(t, "LUMEN_TRUSTED_DOCUMENTS="+manifest+".not"), "LUMEN_TRUSTED_DOCUMENTS: ")
	require.Equal(t, "lumen: LUMEN_DATABASE_URL is not set; set it to a URL like postgres://lumen_serve:password@host:5432/lumen\n",
		serveRefusal(t, "LUMEN_TRUSTED_DOCUMENTS=", "LUMEN_CORS_ORIGINS=", "LUMEN_GRAPHQL_FIELD_COSTS=", "LUMEN_KEY_RATE=",
			"LUMEN_MERCHANT_RATE=", "LUMEN_CUSTOMER_RATE=", "LUMEN_RATE_BURST="), "an empty variable counts as unset")
}

// TestServeAppliesTheGraphQLSettings checks that clients observe the flags for GraphQL: trusted
// documents, CORS origins, limits and costs of fields.
func TestServeAppliesTheGraphQLSettings(t *testing.T) {
	t.Parallel()
	manifest := filepath.Join(t.TempDir(), "documents.json")
	require.NoError(t, os.WriteFile(manifest, []byte(`{"who":"{merchant{name}}","many":"query($ids:[ID!]!){nodes(ids:$ids){id}}"}`), 0o600))
	d := harness.Serve(t, "--trusted-documents", manifest, "--trusted-documents-mode", "only",
		"--cors-origins", "https://app.example.com, capacitor://localhost ,\tapp://.", // with white space, as people write lists
		"--graphql-max-cost", "640", "--graphql-max-body", "300", "--graphql-field-costs", "Merchant.id=1, Merchant.name=7")
	m := d.Merchant(t, "Configured")
	r := d.Send(t, m.ReadKey, "POST", "/graphql", `{"documentId":"who"}`, header("Origin", "https://app.example.com"))
	require.Equal(t, answer{200, `{"data":{"merchant":{"name":"Configured"}}}`}, brief(r))
	require.Equal(t, 1+7, r.Cost)
	require.Equal(t, "https://app.example.com", r.Header.Get("Access-Control-Allow-Origin"))
	for _, origin := range []string{"capacitor://localhost", "app://."} {
		r := d.Send(t, m.ReadKey, "POST", "/graphql", `{"documentId":"who"}`, header("Origin", origin))
		require.Equal(t, origin, r.Header.Get("Access-Control-Allow-Origin"))
	}
	require.Contains(t, d.Send(t, m.ReadKey, "POST", "/graphql", `{"documentId":"many","variables":{"ids":[`+strings.Repeat(`"cust_1",`, 20)+`"cust_2"]}}`).Body, `"code":"LIMIT_EXCEEDED"`)
	require.Contains(t, d.GraphQL(t, m.ReadKey, `{merchant{name}}`, nil).Body, `"code":"DOCUMENT_NOT_TRUSTED"`)
	require.Equal(t, 413, d.Send(t, m.ReadKey, "POST", "/graphql", `{"documentId":"`+strings.Repeat("x", 300)+`"}`).Status)
}

// TestServeTokenSecret starts serve with and without a token secret and a signing key. Only with
// both may it create access tokens, the log must say how to turn them on, and no secret may be
// printed.
func TestServeTokenSecret(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	m := db.Merchant(t, "Acme")
	secret := auth.NewTokenSecret()
	body := `{}`
	mint := func(t *testing.T, env ...string) (status int, log string) {
		t.Helper()
		p := harness.Launch(t, func(cmd *exec.Cmd) { cmd.Env = harness.Environment(append(env, "LUMEN_DATABASE_URL="+db.AppURL())...) }, "serve", "--addr", "127.0.0.1:0", "--json")
		status, _ = harness.Fetch(t, "POST", p.Ready(t).URL+"/api/access-tokens", string(m.WriteKey), body)
		return status, p.Stderr.String()
	}
	off := map[bool]string{
		false: "access tokens are not configured; set LUMEN_TOKEN_SECRET, and run lumen token-key rotate with the same secret",
		true:  "access tokens are not configured: no key signs them; run lumen token-key rotate with the same LUMEN_TOKEN_SECRET",
	}

	t.Run("one that is malformed is a fault like others, and is not printed", func(t *testing.T) {
		line := serveRefusal(t, "LUMEN_TOKEN_SECRET=hunter2hunter2", "LUMEN_LOG_FORMAT=xml", "LUMEN_DATABASE_URL="+db.AppURL())
		require.Equal(t, "lumen: LUMEN_TOKEN_SECRET is not the base64 of 32 bytes; make one with: openssl rand -base64 32\nlumen: LUMEN_LOG_FORMAT must be json or text\n", line)
	})
	t.Run("without a signing key the log says how to turn tokens on", func(t *testing.T) {
		for _, env := range [][]string{nil, {"LUMEN_TOKEN_SECRET="}, {"LUMEN_TOKEN_SECRET=" + secret.Text()}} {
			status, log := mint(t, env...)
			require.Equal(t, 503, status)
			require.Contains(t, log, off[len(env) > 0 && env[0] != "LUMEN_TOKEN_SECRET="])
			require.NotContains(t, log, secret.Text())
		}
	})
	_, err := db.Owner(t).TokenKeys.Rotate(t.Context(), secret, auth.EdDSA)
	require.NoError(t, err)
	t.Run("with the secret and a signing key tokens are on", func(t *testing.T) {
		status, log := mint(t, "LUMEN_TOKEN_SECRET="+secret.Text())
		require.Equal(t, 201, status)
		require.NotContains(t, log, "access tokens are not configured")
		require.NotContains(t, log, secret.Text())
	})
	t.Run("without the secret tokens are refused before the body is read", func(t *testing.T) {
		body = `{`
		status, log := mint(t)
		require.Equal(t, 503, status)
		require.Contains(t, log, off[false])
	})
	t.Run("a secret that does not open the signing key is refused", func(t *testing.T) {
		wrong := auth.NewTokenSecret().Text()
		line := serveRefusal(t, "LUMEN_TOKEN_SECRET="+wrong, "LUMEN_DATABASE_URL="+db.AppURL())
		require.Regexp(t, `^lumen: refusing to serve: the token secret does not open signing key token_key_[a-z0-9]{26}\n$`, line)
		require.NotContains(t, line, wrong)
	})
}

// TestServeDoesNotPrintThePasswordOfADatabaseItCannotReach checks the message about a database that
// does not answer: it names the address and the cause, and not the password.
func TestServeDoesNotPrintThePasswordOfADatabaseItCannotReach(t *testing.T) {
	t.Parallel()
	line := serveRefusal(t, "LUMEN_DATABASE_URL=postgres://user:hunter2@127.0.0.1:1/db?sslmode=disable", "LUMEN_START_TIMEOUT=0s")
	require.NotContains(t, line, "hunter2")
	require.Regexp(t, `^lumen: can't reach the database "db" at 127\.0\.0\.1:1: connection refused; check the host and the port in LUMEN_DATABASE_URL, and that the server runs\n$`, line)
}

// TestServeTreatsEmptyVariablesAsUnset checks that an empty variable counts as unset, while an
// invalid value is refused.
func TestServeTreatsEmptyVariablesAsUnset(t *testing.T) {
	t.Parallel()
	require.Equal(t, "lumen: LUMEN_DATABASE_URL is not set; set it to a URL like postgres://lumen_serve:password@host:5432/lumen\n",
		serveRefusal(t, "LUMEN_GRAPHQL_MAX_DEPTH=", "LUMEN_DATABASE_CONNECTIONS=", "LUMEN_SHUTDOWN_DELAY=", "LUMEN_ADDR=", "LUMEN_LOG_FORMAT=", "LUMEN_PLAYGROUND="))
	require.Contains(t, serveRefusal(t, "LUMEN_MERCHANT_CONCURRENCY=0"), "LUMEN_MERCHANT_CONCURRENCY: a limit is")
	require.Contains(t, serveRefusal(t, "LUMEN_DATABASE_CONNECTIONS=-1"), "LUMEN_DATABASE_CONNECTIONS: a limit is")
	require.Contains(t, serveRefusal(t, "LUMEN_SHUTDOWN_DELAY=-1s"), "LUMEN_SHUTDOWN_DELAY must not be negative")
	require.Contains(t, serveRefusal(t, "LUMEN_START_TIMEOUT=-1s"), "LUMEN_START_TIMEOUT must not be negative")
}
