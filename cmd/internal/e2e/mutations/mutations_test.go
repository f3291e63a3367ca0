package mutations

import (
	"go/ast"
	"go/parser"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store"
)

// mutation removes one guard of tenant isolation (I1) from the source. TestMutations (tag
// mutations) applies each mutation in turn and runs tests on the result: the tests in fails must
// fail, and as long as the other guard is in place no reply may contain another merchant's data.
//
// A mutation names declarations and statements instead of files and lines, so that code can move
// and be reformatted.
type mutation struct {
	name string
	code []replacement
	sql  []edit
	more string // declarations for the end of the file of the first replacement
	// unwalled turns row-level security off as well for the tests in fails.
	unwalled bool
	fails    tests
	// holds are the tests that must pass with row-level security on. They are empty if there is no
	// second guard.
	holds tests
}

// replacement changes a declaration in Go: a function, a method as "Type.Method", or a constant.
type replacement struct {
	folder, name string
	// body replaces the body of the function or the value of the constant.
	body string
	// start is inserted before the body of the function.
	start string
}

// edit changes the only statement in the migrations that begins with these words. old must occur
// once in the statement; "" means the whole statement.
type edit struct{ statement, old, new string }

// tests are the tests of a package whose names match a pattern.
type tests struct{ pkg, run string }

var (
	// Only the subtest about replies counts as a failure: a mutation that merely breaks a statement
	// fails other subtests, but reveals no other merchant's data.
	foreignTests = tests{"./cmd/internal/e2e", "^TestRepliesHoldNoOtherMerchantsData$/^no_other"}
	actorTests   = tests{"./cmd/internal/e2e", "^TestActors$"}
	foreignHolds = foreignTests
	// With one of the two guards in place the whole test must pass.
	allHolds     = tests{"./cmd/internal/e2e", "^TestRepliesHoldNoOtherMerchantsData$"}
	tokenTests   = tests{"./cmd/internal/e2e", "^TestTokenActors$"}
	accessTests  = tests{"./store", "^TestAccess$"}
	bindingTests = tests{"./store", "^(TestBindingIsolation|TestSelectingIsBound|TestBindingReachesBothGuards)$"}
	ruleTests    = tests{"./store/schema", "^TestCatalogue$/^has_no_fault$"}
	wallTests    = tests{"./store/wall", "^(TestNoMerchant|TestNothingIsLeft|TestBoundToOneCustomer)$"}
	cursorTests  = tests{"./store", "^(TestCursorOfAnotherListIsRefused|TestMadeUpCursorIsRefused)$"}
	lockTests    = tests{"./store", "^TestMerchantsDoNotWaitForEachOther$"}
	cacheTests   = tests{"./store/auth", "^(TestCredentialsAreNotMixedUp|TestCredentialCache)$"}
	keyTests     = tests{"./store/auth", "^(TestAuthenticate|TestMerchantsWithTheSameKeyIDs)$"}
)

// remembered declares a function that always returns the argument of its first call.
const remembered = `var firstGiven string

func remembered(text string) string {
	if firstGiven == "" {
		firstGiven = text
	}
	return firstGiven
}
`

// mutations are all mutations. A guard that many statements share is removed from all of them at
// once. TestIsolation and TestBindingIsolation of package store show that each statement needs it:
// they cut one predicate of one statement at a time out of the SQL.
var mutations = slices.Concat(
	merchantMutations, boundMutations, wallMutations, policyMutations(), otherMutations, keyMutations,
)

// merchantMutations remove the merchant from statements on nouns' rows.
var merchantMutations = []mutation{
	{
		name: "no statement restricts rows to the merchant",
		code: []replacement{{folder: "store", name: "merchantPredicate",
			body: `return merchant + "::text IS NOT NULL"`}},
		unwalled: true, fails: foreignTests, holds: allHolds,
	},
	{
		name: "prepared statements lack the merchant",
		code: []replacement{{folder: "store", name: "noun.scoped", body: `
	bound := ownerless
	if n.owner != "" {
		bound = boundPredicate(alias+"."+n.owner, "$2")
	}
	return "$1::text IS NOT NULL AND " + bound`}},
		unwalled: true, fails: foreignTests, holds: allHolds,
	},
	{
		name: "lists and counts lack the merchant",
		code: []replacement{{folder: "store", name: "noun.restrict", body: `
	merchant, customer := scopeFrom(ctx)
	q.Where("?::text IS NOT NULL", q.value(merchant))
	if customer != "" && n.owner != "" {
		q.Where("c."+n.owner+" = ?", q.value(customer))
	}`}},
		unwalled: true, fails: foreignTests, holds: allHolds,
	},
	{
		name: "the lookup of an address finds all merchants' customers",
		code: []replacement{{folder: "store", name: "writer.others", body: `
	return w.db.NewSelect().TableExpr(w.table + " AS " + alias).ColumnExpr("1").
		Where("$1::text IS NOT NULL AND $2::text IS NOT NULL").Where(alias + ".deleted_at IS NULL")`}},
		unwalled: true, fails: foreignTests, holds: allHolds,
	},
	{
		name: "the log shows every merchant's changes",
		code: []replacement{{folder: "store", name: "logScoped",
			body: `return "$1::text IS NOT NULL AND " + boundPredicate(alias+".customer_id", "$2")`}},
		unwalled: true, fails: foreignTests, holds: allHolds,
	},
	{
		name: "a write counts up every merchant's head",
		code: []replacement{{folder: "store", name: "headScoped",
			body: `return alias + ".merchant_id IS NOT NULL AND $1::text IS NOT NULL"`}},
		fails: tests{"./store", "^TestIsolation$"}, holds: allHolds,
	},
	{
		name: "a new row belongs to another merchant",
		code: []replacement{{folder: "store", name: "insertedMerchant",
			body: `"(SELECT max(m.merchant_id) || left($1, 0) FROM public.customers AS m) AS merchant_id"`}},
		unwalled: true, fails: foreignTests, holds: foreignHolds,
	},
	{
		name: "a statement uses the merchant of an earlier one",
		code: []replacement{{folder: "store", name: "scopedArgs", body: `
	merchant, customer := scopeFrom(ctx)
	return append([]any{remembered(merchant), customer}, args...)`}},
		more:     remembered,
		unwalled: true, fails: foreignTests, holds: foreignHolds,
	},
	{
		name:  "computed keys are stored in any row with the id",
		code:  []replacement{{folder: "store/schema", name: "isFresh", body: `"c.id = fresh.id"`}},
		fails: tests{"./store/schema", "^TestKeysOfRowsThatAreThere$"},
	},
	{
		name: "the scope works without a merchant",
		code: []replacement{{folder: "store", name: "requireMerchant", body: `
	merchant, _ := scopeFrom(ctx)
	return merchant, nil`}},
		unwalled: true, fails: accessTests, holds: foreignHolds,
	},
}

// boundMutations remove the customer that a token is bound to.
var boundMutations = []mutation{
	{
		name: "no statement restricts rows to the bound customer",
		code: []replacement{{folder: "store", name: "boundPredicate",
			body: `return "(" + owner + "::text IS NOT NULL AND " + column + "::text IS NOT NULL)"`}},
		unwalled: true, fails: tokenTests, holds: tokenTests,
	},
	{
		name: "prepared statements lack the bound customer",
		code: []replacement{{folder: "store", name: "noun.scoped",
			body: `return merchantPredicate(alias, "$1") + " AND " + ownerless`}},
		unwalled: true, fails: tokenTests, holds: tokenTests,
	},
	{
		name:  "inserts lack the bound customer",
		code:  []replacement{{folder: "store", name: "writer.boundInsert", body: `return ownerless`}},
		fails: bindingTests, holds: tokenTests,
	},
	{
		name: "lists lack the bound customer",
		code: []replacement{{folder: "store", name: "noun.restrict", body: `
	merchant, _ := scopeFrom(ctx)
	q.Where(merchantPredicate("c", "?"), q.value(merchant))`}},
		fails: bindingTests, holds: tokenTests,
	},
	{
		name: "the log lacks the bound customer",
		code: []replacement{{folder: "store", name: "logScoped",
			body: `return merchantPredicate(alias, "$1") + " AND $2::text IS NOT NULL"`}},
		fails: bindingTests, holds: tokenTests,
	},
	{
		name:  "a bound caller may follow changes",
		code:  []replacement{{folder: "store", name: "authorizeFollow", body: `return nil`}},
		fails: tokenTests,
	},
	{
		name:  "a bound caller may use every operation",
		code:  []replacement{{folder: "store", name: "noun.BoundMay", body: `return true`}},
		fails: tokenTests, holds: foreignHolds,
	},
	{
		name:  "a bound caller may set email addresses",
		code:  []replacement{{folder: "store", name: "authorizeEmail", body: `return nil`}},
		fails: tokenTests, holds: foreignHolds,
	},
}

// wallMutations break package wall, the driver that sends no statement without its merchant.
var wallMutations = []mutation{
	{
		name: "the driver sends statements without a merchant",
		code: []replacement{{folder: "store/wall", name: "conn.scopeArgs", body: `
	merchant, customer := c.scope(ctx)
	return [][]byte{[]byte(merchant), []byte(customer)}, nil`}},
		fails: wallTests, holds: foreignHolds,
	},
	{
		name: "the merchant's setting remains on the connection",
		code: []replacement{{folder: "store/wall", name: "setScope", body: "`SELECT pg_catalog.set_config(" +
			"'lumen.merchant_id', $1, false), pg_catalog.set_config('lumen.customer_id', $2, true)`"}},
		fails: wallTests, holds: foreignHolds,
	},
	{
		name: "the bound customer's setting remains on the connection",
		code: []replacement{{folder: "store/wall", name: "setScope", body: "`SELECT pg_catalog.set_config(" +
			"'lumen.merchant_id', $1, true), pg_catalog.set_config('lumen.customer_id', $2, false)`"}},
		fails: wallTests, holds: foreignHolds,
	},
	{
		name: "the driver sets the merchant of an earlier statement",
		code: []replacement{{folder: "store/wall", name: "conn.scopeArgs", body: `
	merchant, customer := c.scope(ctx)
	if merchant == "" {
		return nil, ErrNoMerchant
	}
	return [][]byte{[]byte(remembered(merchant)), []byte(customer)}, nil`}},
		more:  remembered,
		fails: wallTests, holds: foreignHolds,
	},
	{
		name: "the driver does not set the bound customer",
		code: []replacement{{folder: "store/wall", name: "conn.scopeArgs", body: `
	merchant, _ := c.scope(ctx)
	if merchant == "" {
		return nil, ErrNoMerchant
	}
	return [][]byte{[]byte(merchant), {}}, nil`}},
		fails: wallTests, holds: tokenTests,
	},
}

// walledTable is a table with row-level security, and whether it has a policy for bound callers.
type walledTable struct {
	name    string
	isBound bool
}

// walledTables returns the tables of all nouns, and those of the log of changes.
func walledTables() []walledTable {
	all := []walledTable{{"merchant_heads", false}, {"changes", true}}
	for _, noun := range store.Nouns() {
		all = append(all, walledTable{noun.Table(), noun.OwnerColumn() != ""})
	}
	return all
}

// unwalled turns row-level security off on every table.
func unwalled() mutation {
	m := mutation{name: "no row-level security"}
	for _, t := range walledTables() {
		m.sql = append(m.sql, edit{statement: t.rowSecurity("ENABLE")}, edit{statement: t.rowSecurity("FORCE")})
	}
	return m
}

// rowSecurity returns the statement that enables or forces row-level security on the table.
func (t walledTable) rowSecurity(verb string) string {
	return "ALTER TABLE " + t.name + " " + verb + " ROW LEVEL SECURITY"
}

// policyMutations returns the mutations of the policies on every table, whose names end in _wall and
// _bound. TestMutationsTakeOutEveryGuard fails if a table lacks one of them.
func policyMutations() []mutation {
	const merchant = "(merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''))"
	var all []mutation
	for _, t := range walledTables() {
		policy := func(kind string) string { return "CREATE POLICY " + t.name + "_" + kind + " ON " + t.name }
		add := func(name string, holds tests, fails tests, e edit) {
			all = append(all, mutation{name: t.name + ": " + name, sql: []edit{e}, fails: fails, holds: holds})
		}
		add("row-level security is not enabled", allHolds, ruleTests, edit{statement: t.rowSecurity("ENABLE")})
		add("row-level security is not forced", allHolds, ruleTests, edit{statement: t.rowSecurity("FORCE")})
		add("the policy shows every merchant's rows", allHolds, ruleTests,
			edit{policy("wall"), "USING " + merchant, "USING (true)"})
		add("the policy allows rows of every merchant to be written", allHolds, ruleTests,
			edit{policy("wall"), "WITH CHECK " + merchant, "WITH CHECK (true)"})
		if t.isBound {
			add("the policy shows a bound caller every row", tokenTests, bindingTests,
				edit{policy("bound"), "COALESCE(current_setting('lumen.customer_id', true), '')", "''::text"})
		}
	}
	return all
}

// otherMutations break the other places that separate merchants.
var otherMutations = []mutation{
	{
		name:  "a cursor works for every merchant",
		code:  []replacement{{folder: "store", name: "cursorDigest", start: `merchant = ""`}},
		fails: cursorTests, holds: foreignHolds,
	},
	{
		name:  "a cursor of the log works for every merchant",
		code:  []replacement{{folder: "store", name: "feedDigest", start: `merchant = ""`}},
		fails: tests{"./cmd/internal/e2e", "^TestChangesRefusals$"}, holds: foreignHolds,
	},
	{
		name: "a cursor works for every noun's list",
		code: []replacement{{folder: "store", name: "noun.decodeCursor",
			body: `return decodeCursor(merchant, sort, cursor)`}},
		fails: cursorTests, holds: foreignHolds,
	},
	{
		name: "merchants share the locks of addresses",
		code: []replacement{{folder: "store", name: "lockAddress", body: `
	email := v.text("email")
	if email == nil {
		return ctx
	}
	return wall.WithLock(ctx, address.MustKey(*email))`}},
		fails: lockTests, holds: foreignHolds,
	},
	{
		name: "pruning deletes the changes of every merchant",
		sql: []edit{{
			statement: "CREATE FUNCTION lumen_prune_changes(merchant text, before timestamptz, at_most bigint)",
			new: `CREATE FUNCTION lumen_prune_changes(merchant text, before timestamptz, at_most bigint)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ BEGIN DELETE FROM public.changes AS c WHERE c.sequence = 1; RETURN 0; END $$;`,
		}},
		fails: tests{"./cmd/internal/e2e", "^TestPrune$"},
	},
	{
		name:  "the heads of every merchant are shown",
		sql:   []edit{{"CREATE FUNCTION lumen_heads(merchants text[])", "h.merchant_id = ANY (merchants)", "merchants IS NOT NULL"}},
		fails: tests{"./store", "^TestJanitorHasAnEffect$"}, holds: foreignHolds,
	},
	{
		name: "operations share a loader",
		code: []replacement{{folder: "graph", name: "Resolver.withLoader", body: `
	if shared == nil {
		for _, source := range r.sources {
			shared = append(shared, &batch{source: source})
		}
	}
	return next(context.WithValue(ctx, loaderKey{}, shared))`}},
		more:  "var shared loader\n",
		fails: foreignTests,
	},
	{
		name:  "every merchant's id counts as the caller's own",
		code:  []replacement{{folder: "graph", name: "isSelf", body: `return store.IsMerchantID(id)`}},
		fails: actorTests, holds: foreignHolds,
	},
}

// keyMutations break the lookup of API keys and tokens.
var keyMutations = []mutation{
	{
		name: "the cache returns one credential for every key",
		code: []replacement{
			{folder: "store/auth", name: "cache.cached", start: `digest = Digest{}`},
			{folder: "store/auth", name: "cache.fetchOnce", start: `digest = Digest{}`},
		},
		fails: cacheTests,
	},
	{
		name:  "all keys share one lookup",
		code:  []replacement{{folder: "store/auth", name: "cache.fetchShared", start: `digest = Digest{}`}},
		fails: cacheTests,
	},
	{
		name: "a key authenticates every merchant",
		sql: []edit{{"CREATE FUNCTION lumen_authenticate(presented bytea)",
			"ON m.id = k.merchant_id", "ON true"}},
		fails: keyTests,
	},
	{
		name: "the use of a key is recorded for every merchant's key with the id",
		sql: []edit{{"CREATE FUNCTION lumen_key_used(merchant text, key text)",
			"WHERE merchant_id = merchant AND id = key", "WHERE id = key"}},
		fails: keyTests,
	},
	{
		name: "a token ends with another merchant's key",
		sql: []edit{{"CREATE FUNCTION lumen_token_signer(merchant text, key text)",
			"WHERE k.merchant_id = merchant AND k.id = key)", "WHERE k.id = key ORDER BY k.expires_at LIMIT 1)"}},
		fails: keyTests,
	},
	{
		name: "a token is valid by another merchant's key",
		sql: []edit{{"CREATE FUNCTION lumen_authenticate_token(signing_key text, merchant text, key text)",
			"AND k.merchant_id = merchant AND k.id = key", "AND k.id = key"}},
		fails: keyTests,
	},
	{
		name: "a token's key authenticates every merchant",
		sql: []edit{{"CREATE FUNCTION lumen_authenticate_token(signing_key text, merchant text, key text)",
			"ON m.id = k.merchant_id", "ON true"}},
		fails: keyTests,
	},
	{
		name: "a merchant's list of keys contains all merchants' keys",
		code: []replacement{{folder: "store/owner", name: "Keys.List", body: `
	keys := []Key{}
	err := k.db.NewSelect().Model(&keys).Order("created_at", "id").Scan(ctx)
	return keys, err`}},
		fails: keyTests,
	},
}

// exceptions are the declarations that contain a guard and that no mutation changes, with the
// reasons.
var exceptions = map[string]string{
	"store Open":                 "passes the scope to package wall, whose mutations are above",
	"store Store.Admit":          "checks the merchant's load and reads no rows",
	"store Rows.resolve":         "passes the merchant to cursorDigest",
	"store Rows.resolveHistory":  "passes the merchant to feedDigest",
	"store resolveFeed":          "passes the merchant to feedDigest",
	"store Rows.confirm":         "wakes the callers that wait for the merchant's changes",
	"store writer.insertText":    "contains insertedMerchant, which has a mutation",
	"store/owner Owner.Backdate": "an operation of the operator, for the sample data of dev",
}

// TestMutationsTakeOutEveryGuard searches the source and the migrations for guards. It fails if no
// mutation removes one of them, which is the case for each new guard.
func TestMutationsTakeOutEveryGuard(t *testing.T) {
	t.Parallel()
	s := readSource(t)
	replaced := map[string][]replacement{} // by declaration
	edited := map[string][]span{}          // by migration
	names := map[string]bool{}
	for _, m := range append(slices.Clone(mutations), unwalled(), withoutRoleCheck) {
		require.False(t, names[m.name], "two mutations have the name %q", m.name)
		names[m.name] = true
		for _, c := range s.changes(t, m) {
			if strings.HasSuffix(c.file, ".sql") {
				edited[c.file] = append(edited[c.file], c.span)
			}
		}
		for _, r := range m.code {
			name := r.folder + " " + r.name
			replaced[name] = append(replaced[name], r)
		}
	}
	for _, m := range mutations {
		require.NotEmpty(t, m.fails.pkg, m.name)
		requireTests(t, m.fails)
		requireTests(t, m.holds)
	}

	guards, excused := 0, map[string]string{}
	for _, d := range s.declarations {
		if unsearched[d.folder] != "" || len(d.guards) == 0 && !d.usesScope {
			continue
		}
		name := d.folder + " " + d.name
		if reason := exceptions[name]; reason != "" {
			excused[name] = reason
			continue
		}
		guards += len(d.guards)
		require.NotEmpty(t, replaced[name], "no mutation changes %s, which contains the guards %v", name, d.guards)
		for guard, n := range d.guards {
			takesOut := func(r replacement) bool { return r.body != "" && countGuards(t, r)[guard] < n }
			require.True(t, slices.ContainsFunc(replaced[name], takesOut), "no mutation removes %q from %s", guard, name)
		}
	}
	for file, text := range s.files {
		if !strings.HasSuffix(file, ".up.sql") {
			continue
		}
		for _, found := range merchantGuard.FindAllStringIndex(text, -1) {
			if s.isReplaced(t, file, found[0]) {
				continue
			}
			guards++
			isOut := slices.ContainsFunc(edited[file], func(s span) bool { return s.holds(found[0]) })
			require.True(t, isOut, "%s: no mutation removes %s", file, text[found[0]:found[1]])
		}
	}
	require.Equal(t, exceptions, excused, "an exception no longer matches a declaration")
	require.Greater(t, guards, 15)
}

// countGuards counts the guards in the text of a replacement.
func countGuards(t *testing.T, r replacement) map[string]int {
	t.Helper()
	var code ast.Node
	code, err := parser.ParseExpr("func() {" + r.body + "\n}")
	if value, valueErr := parser.ParseExpr(r.body); valueErr == nil { // the value of a constant
		code, err = value, nil
	}
	require.NoError(t, err, r.name)
	guards, _ := guardsIn(code)
	return guards
}

var testName = regexp.MustCompile(`\bTest\w+`)

// requireTests requires that the tests exist. Without it a renamed test would be noticed only in
// TestMutations, which does not run for every change.
func requireTests(t *testing.T, of tests) {
	t.Helper()
	if of.pkg == "" {
		return
	}
	files, err := filepath.Glob(filepath.Join(moduleRoot, of.pkg, "*_test.go"))
	require.NoError(t, err)
	declared := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			declared[found[1]] = true
		}
	}
	for _, name := range testName.FindAllString(of.run, -1) {
		require.True(t, declared[name], "%s has no %s", of.pkg, name)
	}
}

// withoutRoleCheck lets the service start on a database without row-level security.
var withoutRoleCheck = mutation{
	name: "no check of the role",
	code: []replacement{{folder: "store/schema", name: "checkRole", body: `
	return checkSchema(ctx, pool, func(bool) error {
		return pool.Use(ctx, func(bun.IDB) error { return nil })
	})`}},
}
