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

// A mutation takes one of the guards of I1 out of the source. TestMutations (tag mutations) makes each in
// turn and has tests run on what is left: they must turn red, and nothing foreign may come out as long as
// the other guard stands.
//
// A mutation names what it changes, and not its file or its text, so code can move and be reformatted.
type mutation struct {
	name string
	code []replacement
	sql  []edit
	more string // declarations for the end of the file of the first replacement
	// unwalled says that row-level security is off, too, when the tests are run that have to fail.
	unwalled bool
	fails    tests
	// holds must succeed with row-level security on; without a package there is no second guard.
	holds tests
}

// replacement changes a declaration in Go: a function, a method as "Type.Method", or a constant.
type replacement struct {
	folder, name string
	// body takes the place of all that the function does, or of the constant's value.
	body string
	// start goes ahead of what the function does, and leaves that as it is.
	start string
}

// edit changes the one statement in the migrations that begins with these words. old stands in it once; ""
// stands for all of it.
type edit struct{ statement, old, new string }

// tests are some of a package, by a pattern of their names.
type tests struct{ pkg, run string }

var (
	// A broken statement shows nothing foreign, so only the rows that come out reveal a mutation.
	foreignTests = tests{"./cmd/internal/e2e", "^TestRepliesHoldNoOtherMerchantsData$/^no_other"}
	actorTests   = tests{"./cmd/internal/e2e", "^TestActors$"}
	foreignHolds = foreignTests
	// As before, with one guard of the two.
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

// remembered gives what it was given first, for good.
const remembered = `var firstGiven string

func remembered(text string) string {
	if firstGiven == "" {
		firstGiven = text
	}
	return firstGiven
}
`

// mutations are all mutations. A guard that many statements share is taken out of all at once; that each
// statement needs it is what TestIsolation and TestBindingIsolation of package store show, which cut one
// predicate of one statement at a time out of the SQL.
var mutations = slices.Concat(
	merchantMutations, boundMutations, wallMutations, policyMutations(), otherMutations, keyMutations,
)

// The merchant in each statement on a noun's rows.
var merchantMutations = []mutation{
	{
		name: "no statement keeps to the merchant",
		code: []replacement{{folder: "store", name: "merchantPredicate",
			body: `return merchant + "::text IS NOT NULL"`}},
		unwalled: true, fails: foreignTests, holds: allHolds,
	},
	{
		name: "prepared statements forget the merchant",
		code: []replacement{{folder: "store", name: "noun.scoped", body: `
	bound := ownerless
	if n.owner != "" {
		bound = boundPredicate(alias+"."+n.owner, "$2")
	}
	return "$1::text IS NOT NULL AND " + bound`}},
		unwalled: true, fails: foreignTests, holds: allHolds,
	},
	{
		name: "lists, counts and their parts forget the merchant",
		code: []replacement{{folder: "store", name: "noun.restrict", body: `
	merchant, customer := scopeFrom(ctx)
	q.Where("?::text IS NOT NULL", q.value(merchant))
	if customer != "" && n.owner != "" {
		q.Where("c."+n.owner+" = ?", q.value(customer))
	}`}},
		unwalled: true, fails: foreignTests, holds: allHolds,
	},
	{
		name: "the holders of an address are everybody's",
		code: []replacement{{folder: "store", name: "writer.others", body: `
	return w.db.NewSelect().TableExpr(w.table + " AS " + alias).ColumnExpr("1").
		Where("$1::text IS NOT NULL AND $2::text IS NOT NULL").Where(alias + ".deleted_at IS NULL")`}},
		unwalled: true, fails: foreignTests, holds: allHolds,
	},
	{
		name: "a new row is another merchant's",
		code: []replacement{{folder: "store", name: "insertedMerchant",
			body: `"(SELECT max(m.merchant_id) || left($1, 0) FROM public.customers AS m) AS merchant_id"`}},
		unwalled: true, fails: foreignTests, holds: foreignHolds,
	},
	{
		name: "a statement gets the merchant of an earlier one",
		code: []replacement{{folder: "store", name: "scopedArgs", body: `
	merchant, customer := scopeFrom(ctx)
	return append([]any{remembered(merchant), customer}, args...)`}},
		more:     remembered,
		unwalled: true, fails: foreignTests, holds: foreignHolds,
	},
	{
		name:  "computed keys are of any row with the id",
		code:  []replacement{{folder: "store/schema", name: "isFresh", body: `"c.id = fresh.id"`}},
		fails: tests{"./store/schema", "^TestKeysOfRowsThatAreThere$"},
	},
	{
		name: "the scope works for nobody in particular",
		code: []replacement{{folder: "store", name: "requireMerchant", body: `
	merchant, _ := scopeFrom(ctx)
	return merchant, nil`}},
		unwalled: true, fails: accessTests, holds: foreignHolds,
	},
}

// The customer that a token is bound to.
var boundMutations = []mutation{
	{
		name: "no statement keeps to the bound customer",
		code: []replacement{{folder: "store", name: "boundPredicate",
			body: `return "(" + owner + "::text IS NOT NULL AND " + column + "::text IS NOT NULL)"`}},
		unwalled: true, fails: tokenTests, holds: tokenTests,
	},
	{
		name: "prepared statements forget the bound customer",
		code: []replacement{{folder: "store", name: "noun.scoped",
			body: `return merchantPredicate(alias, "$1") + " AND " + ownerless`}},
		unwalled: true, fails: tokenTests, holds: tokenTests,
	},
	{
		name:  "inserts forget the bound customer",
		code:  []replacement{{folder: "store", name: "writer.boundInsert", body: `return ownerless`}},
		fails: bindingTests, holds: tokenTests,
	},
	{
		name: "lists forget the bound customer",
		code: []replacement{{folder: "store", name: "noun.restrict", body: `
	merchant, _ := scopeFrom(ctx)
	q.Where(merchantPredicate("c", "?"), q.value(merchant))`}},
		fails: bindingTests, holds: tokenTests,
	},
	{
		name:  "a bound caller may ask for every operation",
		code:  []replacement{{folder: "store", name: "noun.BoundMay", body: `return true`}},
		fails: tokenTests, holds: foreignHolds,
	},
	{
		name:  "a bound caller may try addresses",
		code:  []replacement{{folder: "store", name: "authorizeEmail", body: `return nil`}},
		fails: tokenTests, holds: foreignHolds,
	},
}

// The wall.
var wallMutations = []mutation{
	{
		name: "the wall needs no merchant",
		code: []replacement{{folder: "store/wall", name: "conn.scopeArgs", body: `
	merchant, customer := c.scope(ctx)
	return [][]byte{[]byte(merchant), []byte(customer)}, nil`}},
		fails: wallTests, holds: foreignHolds,
	},
	{
		name: "the merchant stays on the connection",
		code: []replacement{{folder: "store/wall", name: "setScope", body: "`SELECT pg_catalog.set_config(" +
			"'lumen.merchant_id', $1, false), pg_catalog.set_config('lumen.customer_id', $2, true)`"}},
		fails: wallTests, holds: foreignHolds,
	},
	{
		name: "the bound customer stays on the connection",
		code: []replacement{{folder: "store/wall", name: "setScope", body: "`SELECT pg_catalog.set_config(" +
			"'lumen.merchant_id', $1, true), pg_catalog.set_config('lumen.customer_id', $2, false)`"}},
		fails: wallTests, holds: foreignHolds,
	},
	{
		name: "the wall is told the merchant of an earlier statement",
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
		name: "the wall is told no customer",
		code: []replacement{{folder: "store/wall", name: "conn.scopeArgs", body: `
	merchant, _ := c.scope(ctx)
	if merchant == "" {
		return nil, ErrNoMerchant
	}
	return [][]byte{[]byte(merchant), {}}, nil`}},
		fails: wallTests, holds: tokenTests,
	},
}

// unwalled takes row-level security off every noun's table.
func unwalled() mutation {
	m := mutation{name: "no row-level security"}
	for _, noun := range store.Nouns() {
		m.sql = append(m.sql, edit{statement: walled(noun, "ENABLE")}, edit{statement: walled(noun, "FORCE")})
	}
	return m
}

// walled is the statement that enables or forces row-level security on a noun's table.
func walled(noun store.Noun, verb string) string {
	return "ALTER TABLE " + noun.Table() + " " + verb + " ROW LEVEL SECURITY"
}

// policyMutations are those of the policies of every noun's table, whose names end in _wall and _bound. A
// noun whose table lacks one turns TestMutationsTakeOutEveryGuard red.
func policyMutations() []mutation {
	const merchant = "(merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''))"
	var all []mutation
	for _, noun := range store.Nouns() {
		table := noun.Table()
		policy := func(kind string) string { return "CREATE POLICY " + table + "_" + kind + " ON " + table }
		add := func(name string, holds tests, fails tests, e edit) {
			all = append(all, mutation{name: table + ": " + name, sql: []edit{e}, fails: fails, holds: holds})
		}
		add("row-level security is not enabled", allHolds, ruleTests, edit{statement: walled(noun, "ENABLE")})
		add("row-level security is not forced", allHolds, ruleTests, edit{statement: walled(noun, "FORCE")})
		add("the policy shows every merchant's rows", allHolds, ruleTests,
			edit{policy("wall"), "USING " + merchant, "USING (true)"})
		add("the policy lets rows be written for every merchant", allHolds, ruleTests,
			edit{policy("wall"), "WITH CHECK " + merchant, "WITH CHECK (true)"})
		if noun.OwnerColumn() != "" {
			add("the policy shows a bound caller every row", tokenTests, bindingTests,
				edit{policy("bound"), "COALESCE(current_setting('lumen.customer_id', true), '')", "''::text"})
		}
	}
	return all
}

// What tells merchants apart besides.
var otherMutations = []mutation{
	{
		name:  "a cursor is anybody's",
		code:  []replacement{{folder: "store", name: "cursorDigest", start: `merchant = ""`}},
		fails: cursorTests, holds: foreignHolds,
	},
	{
		name: "a cursor is one of any noun's list",
		code: []replacement{{folder: "store", name: "noun.decodeCursor",
			body: `return decodeCursor(merchant, sort, cursor)`}},
		fails: cursorTests, holds: foreignHolds,
	},
	{
		name: "merchants wait for each other's addresses",
		code: []replacement{{folder: "store", name: "lockAddress", body: `
	email := v.text("email")
	if email == nil {
		return ctx
	}
	return wall.WithLock(ctx, address.MustKey(*email))`}},
		fails: lockTests, holds: foreignHolds,
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
		name:  "every merchant's id is one's own",
		code:  []replacement{{folder: "graph", name: "isSelf", body: `return store.IsMerchantID(id)`}},
		fails: actorTests, holds: foreignHolds,
	},
}

// Keys and tokens.
var keyMutations = []mutation{
	{
		name: "the cache gives one credential to everybody",
		code: []replacement{
			{folder: "store/auth", name: "cache.cached", start: `digest = Digest{}`},
			{folder: "store/auth", name: "cache.fetchOnce", start: `digest = Digest{}`},
		},
		fails: cacheTests,
	},
	{
		name:  "everybody waits for one look-up",
		code:  []replacement{{folder: "store/auth", name: "cache.fetchShared", start: `digest = Digest{}`}},
		fails: cacheTests,
	},
	{
		name: "a key is any merchant's",
		sql: []edit{{"CREATE FUNCTION lumen_authenticate(presented bytea)",
			"ON m.id = k.merchant_id", "ON true"}},
		fails: keyTests,
	},
	{
		name: "the use of a key is noted at every merchant's",
		sql: []edit{{"CREATE FUNCTION lumen_key_used(merchant text, key text)",
			"WHERE merchant_id = merchant AND id = key", "WHERE id = key"}},
		fails: keyTests,
	},
	{
		name: "a token ends with any merchant's key",
		sql: []edit{{"CREATE FUNCTION lumen_token_signer(merchant text, key text)",
			"WHERE k.merchant_id = merchant AND k.id = key)", "WHERE k.id = key ORDER BY k.expires_at LIMIT 1)"}},
		fails: keyTests,
	},
	{
		name: "a token lives by any merchant's key",
		sql: []edit{{"CREATE FUNCTION lumen_authenticate_token(signing_key text, merchant text, key text)",
			"AND k.merchant_id = merchant AND k.id = key", "AND k.id = key"}},
		fails: keyTests,
	},
	{
		name: "a token's key has any merchant",
		sql: []edit{{"CREATE FUNCTION lumen_authenticate_token(signing_key text, merchant text, key text)",
			"ON m.id = k.merchant_id", "ON true"}},
		fails: keyTests,
	},
	{
		name: "a merchant's list of keys has everybody's",
		code: []replacement{{folder: "store/owner", name: "Keys.List", body: `
	keys := []Key{}
	err := k.db.NewSelect().Model(&keys).Order("created_at", "id").Scan(ctx)
	return keys, err`}},
		fails: keyTests,
	},
}

// unmutated are the declarations that say whose rows they mean and that no mutation changes, with the
// reasons.
var unmutated = map[string]string{
	"store Open":                 "hands the scope to the wall, whose mutations are above",
	"store Store.Admit":          "asks how busy the merchant is, and reads no rows",
	"store Rows.resolve":         "names the merchant to cursorDigest",
	"store writer.insertText":    "writes insertedMerchant",
	"store/owner Owner.Backdate": "the operator's, for dev's samples",
}

// A guard that is new is taken out by no mutation yet. This test tells.
func TestMutationsTakeOutEveryGuard(t *testing.T) {
	t.Parallel()
	s := readSource(t)
	replaced := map[string][]replacement{} // by declaration
	edited := map[string][]span{}          // by migration
	names := map[string]bool{}
	for _, m := range append(slices.Clone(mutations), unwalled(), unchecked) {
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
		if aside[d.folder] != "" || len(d.guards) == 0 && !d.usesScope {
			continue
		}
		name := d.folder + " " + d.name
		if reason := unmutated[name]; reason != "" {
			excused[name] = reason
			continue
		}
		guards += len(d.guards)
		require.NotEmpty(t, replaced[name], "no mutation changes %s, which says whose rows it means: %v", name, d.guards)
		for guard, n := range d.guards {
			takesOut := func(r replacement) bool { return r.body != "" && guardsLeft(t, r)[guard] < n }
			require.True(t, slices.ContainsFunc(replaced[name], takesOut), "no mutation takes %q out of %s", guard, name)
		}
	}
	for file, text := range s.files {
		if !strings.HasSuffix(file, ".sql") {
			continue
		}
		for _, found := range merchantGuard.FindAllStringIndex(text, -1) {
			guards++
			isOut := slices.ContainsFunc(edited[file], func(s span) bool { return s.holds(found[0]) })
			require.True(t, isOut, "%s: no mutation takes out %s", file, text[found[0]:found[1]])
		}
	}
	require.Equal(t, unmutated, excused, "an exception is of no use any more")
	require.Greater(t, guards, 15)
}

// guardsLeft counts the guards in what a replacement puts in, by their texts.
func guardsLeft(t *testing.T, r replacement) map[string]int {
	t.Helper()
	var code ast.Node
	code, err := parser.ParseExpr("func() {" + r.body + "\n}")
	if value, valueErr := parser.ParseExpr(r.body); valueErr == nil { // a constant's
		code, err = value, nil
	}
	require.NoError(t, err, r.name)
	guards, _ := guardsIn(code)
	return guards
}

var testName = regexp.MustCompile(`\bTest\w+`)

// requireTests fails unless the tests exist. Without it a test that gets another name would show only where
// the mutations are made.
func requireTests(t *testing.T, of tests) {
	t.Helper()
	if of.pkg == "" {
		return
	}
	files, err := filepath.Glob(filepath.Join(top, of.pkg, "*_test.go"))
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

// unchecked lets the service start on a database without row-level security.
var unchecked = mutation{
	name: "no check of the role",
	code: []replacement{{folder: "store/schema", name: "checkRole", body: `
	return checkSchema(ctx, pool, func(bool) error {
		return pool.Use(ctx, func(bun.IDB) error { return nil })
	})`}},
}
