package mutations

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A mutation takes one of the guards of I1 out of the source. TestMutations (tag mutations) makes each in turn and has tests
// run on what is left: they must turn red, and nothing foreign may come out as long as the other guard stands.
type mutation struct {
	name  string
	file  string      // below the top folder
	edits [][2]string // what stands there, once, and what is to stand in its place
	more  string      // goes to the end of the file
	// without says that row-level security is off, too, when the tests are run that have to fail.
	without bool
	fails   tests
	// holds must succeed with row-level security on; without a package there is no second guard.
	holds tests
}

// tests are some of a package, by a pattern of their names.
type tests struct{ pkg, run string }

var (
	// What a broken statement answers is not foreign: a mutation is noticed by what comes out.
	foreignTests = tests{"./cmd/internal/e2e", "^TestNothingForeignComesOut$/^nothing"}
	actorTests   = tests{"./cmd/internal/e2e", "^TestActors$"}
	foreignHolds = foreignTests
	// As before, with one guard of the two.
	allHolds     = tests{"./cmd/internal/e2e", "^TestNothingForeignComesOut$"}
	tokenTests   = tests{"./cmd/internal/e2e", "^TestTokenActors$"}
	bindingTests = tests{"./store", "^(TestBindingIsolation|TestSelectingIsBound|TestBindingReachesBothGuards)$"}
	ruleTests    = tests{"./store/schema", "^TestCatalogue$/^has_no_fault$"}
	wallTests    = tests{"./store/wall", "^(TestNoMerchant|TestNothingIsLeft|TestBoundToOneCustomer)$"}
	cursorTests  = tests{"./store", "^TestCursor"}
	cacheTests   = tests{"./store/auth", "^(TestCredentialsAreNotMixedUp|TestCredentialCache)$"}
	keyTests     = tests{"./store/auth", "^(TestAuthenticate|TestMerchantsWithTheSameKeyIDs)$"}
)

const (
	customersSQL = "store/schema/migrations/0002_customers.tx.up.sql"
	keysSQL      = "store/schema/migrations/0001_merchants.tx.up.sql"
	tokensSQL    = "store/schema/migrations/0003_access_tokens.tx.up.sql"
	// remembered gives what it was given first, for good.
	remembered = "\nvar firstGiven string\n\nfunc remembered(text string) string {\n\tif firstGiven == \"\" {\n\t\tfirstGiven = text\n\t}\n\treturn firstGiven\n}\n"
)

var mutations = []mutation{
	// The merchant in each statement on customers.
	{"get and get many forget the merchant", "store/statements.go", [][2]string{{`Where("c.merchant_id = $1")`, `Where("$1::text IS NOT NULL")`}}, "", true, foreignTests, allHolds},
	{"update and delete forget the merchant", "store/statements.go", [][2]string{{`"merchant_id = $1 AND deleted_at IS NULL"`, `"$1::text IS NOT NULL AND deleted_at IS NULL"`}}, "", true, foreignTests, allHolds},
	{"get forgets the merchant", "store/statements.go", [][2]string{{`selecting().Where("c.id = $3").String()`, `strings.Replace(selecting().Where("c.id = $3").String(), "c.merchant_id = $1", "$1::text IS NOT NULL", 1)`}}, "", true, foreignTests, allHolds},
	{"get many forgets the merchant", "store/statements.go", [][2]string{{`selecting().Where("c.id = ANY($3)").String()`, `strings.Replace(selecting().Where("c.id = ANY($3)").String(), "c.merchant_id = $1", "$1::text IS NOT NULL", 1)`}}, "", true, foreignTests, allHolds},
	{"update forgets the merchant", "store/writes.go", [][2]string{{`Where(liveOnes).Where(bound("c.id"))`, `Where("$1::text IS NOT NULL AND deleted_at IS NULL").Where(bound("c.id"))`}}, "", true, foreignTests, allHolds},
	{"delete forgets the merchant", "store/statements.go", [][2]string{{`Where(liveOnes).Where(bound("c.id"))`, `Where("$1::text IS NOT NULL AND deleted_at IS NULL").Where(bound("c.id"))`}}, "", true, foreignTests, allHolds},
	{"the holders of an address are everybody's", "store/writes.go", [][2]string{{`Where("holder.merchant_id = $1")`, `Where("$1::text IS NOT NULL")`}}, "", true, foreignTests, allHolds},
	{"a new customer is another merchant's", "store/writes.go", [][2]string{{`ColumnExpr("$1 AS merchant_id")`, `ColumnExpr("(SELECT max(m.merchant_id) || left($1, 0) FROM public.customers AS m) AS merchant_id")`}}, "", true, foreignTests, foreignHolds},
	{"lists, counts and their parts forget the merchant", "store/scope.go", [][2]string{{`Where("c.merchant_id = ?", q.value(merchant))`, `Where("?::text IS NOT NULL", q.value(merchant))`}}, "", true, foreignTests, allHolds},
	{"a statement gets the merchant of an earlier one", "store/scope.go", [][2]string{{`append([]any{merchant, customer}, args...)`, `append([]any{remembered(merchant), customer}, args...)`}}, remembered, true, foreignTests, foreignHolds},
	{"the scope works for nobody in particular", "store/scope.go", [][2]string{{"merchant, _ := scopeFrom(ctx)\n\tif merchant == \"\" {\n\t\treturn NewError", "merchant, _ := scopeFrom(ctx)\n\tif merchant == \"\\x00\" {\n\t\treturn NewError"}}, "", true, tests{"./store", "^TestAccess$"}, foreignHolds},

	// The customer that a token is bound to.
	{"get and get many forget the binding", "store/statements.go", [][2]string{{`Where(bound("c.id")).Where("c.deleted_at IS NULL")`, `Where("$2::text IS NOT NULL").Where("c.deleted_at IS NULL")`}}, "", true, tokenTests, tokenTests},
	{"delete forgets the binding", "store/statements.go", [][2]string{{`Where(liveOnes).Where(bound("c.id"))`, `Where(liveOnes).Where("$2::text IS NOT NULL")`}}, "", false, bindingTests, tokenTests},
	{"update forgets the binding", "store/writes.go", [][2]string{{`Where(liveOnes).Where(bound("c.id"))`, `Where(liveOnes).Where("$2::text IS NOT NULL")`}}, "", true, tokenTests, tokenTests},
	{"create forgets the binding", "store/writes.go", [][2]string{{`Where(bound("$3"))`, `Where("$2::text IS NOT NULL")`}}, "", false, bindingTests, tokenTests},
	{"the holders of an address forget the binding", "store/writes.go", [][2]string{{`Where(bound("holder.id"))`, `Where("$2::text IS NOT NULL")`}}, "", false, bindingTests, tokenTests},
	{"lists forget the binding", "store/scope.go", [][2]string{{`if customer != "" {`, `if customer == "\x00" {`}}, "", false, bindingTests, tokenTests},
	{"nothing keeps the bound", "store/statements.go", [][2]string{{`return "($2::text = '' OR " + id + " = $2::text)"`, `return "($2::text IS NOT NULL AND " + id + "::text IS NOT NULL)"`}}, "", true, tokenTests, tokenTests},

	// The wall.
	{"the wall needs no merchant", "store/wall/wall.go", [][2]string{{"if merchant == \"\" {\n\t\treturn nil, nil, ErrNoMerchant", "if merchant == \"\\x00\" {\n\t\treturn nil, nil, ErrNoMerchant"}}, "", false, wallTests, foreignHolds},
	{"the merchant stays on the connection", "store/wall/wall.go", [][2]string{{`set_config('lumen.merchant_id', $1, true)`, `set_config('lumen.merchant_id', $1, false)`}}, "", false, wallTests, foreignHolds},
	{"the bound customer stays on the connection", "store/wall/wall.go", [][2]string{{`set_config('lumen.customer_id', $2, true)`, `set_config('lumen.customer_id', $2, false)`}}, "", false, wallTests, foreignHolds},
	{"the wall is told the merchant of an earlier statement", "store/wall/wall.go", [][2]string{{"[][]byte{[]byte(merchant), []byte(customer)}", "[][]byte{[]byte(remembered(merchant)), []byte(customer)}"}}, remembered, false, wallTests, foreignHolds},
	{"the wall is told no customer", "store/wall/wall.go", [][2]string{{"[][]byte{[]byte(merchant), []byte(customer)}", "[][]byte{[]byte(merchant), []byte(customer[:0])}"}}, "", false, wallTests, tokenTests},

	// The policies.
	{"row-level security is not enabled", customersSQL, [][2]string{{"ALTER TABLE customers ENABLE ROW LEVEL SECURITY;", ""}}, "", false, ruleTests, allHolds},
	{"row-level security is not forced", customersSQL, [][2]string{{"ALTER TABLE customers FORCE ROW LEVEL SECURITY;", ""}}, "", false, ruleTests, allHolds},
	{"the policy shows every merchant's rows", customersSQL, [][2]string{{"    USING (merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''))", "    USING (true)"}}, "", false, ruleTests, allHolds},
	{"the policy lets rows be written for every merchant", customersSQL, [][2]string{{"    WITH CHECK (merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''))", "    WITH CHECK (true)"}}, "", false, ruleTests, allHolds},
	{"the policy shows the bound every customer", tokensSQL, [][2]string{{"COALESCE(current_setting('lumen.customer_id', true), '')", "''::text"}}, "", false, bindingTests, tokenTests},

	// What tells merchants apart besides.
	{"a cursor is anybody's", "store/cursor.go", [][2]string{{"sum.Write([]byte(merchant))", "sum.Write([]byte(merchant[:0]))"}}, "", false, cursorTests, foreignHolds},
	{"the cache gives one credential to everybody", "store/auth/credential_cache.go", [][2]string{{"kept, ok := c.kept.Get(presented)\n\tnow :=", "kept, ok := c.kept.Get(Digest{})\n\tnow :="}, {"c.kept.Add(presented, found)", "c.kept.Add(Digest{}, found)"}}, "", false, cacheTests, tests{}},
	{"everybody waits for one look-up", "store/auth/credential_cache.go", [][2]string{{"string(presented[:])", "string(presented[:0])"}}, "", false, cacheTests, tests{}},
	{"those who are looked up together are taken for each other", "store/auth/gather.go", [][2]string{{"i := row.question() - 1", "i := len(all.questions) - row.question()"}}, "", false, tests{"./store/auth", "^TestLookUpsAreGathered$"}, tests{}},
	{"requests share their look-up of customers", "graph/lookup.go", [][2]string{{"context.WithValue(ctx, lookupKey{}, &lookup{customers: r.customers})", "context.WithValue(ctx, lookupKey{}, shared(r))"}},
		"\nvar theOne lookup\n\nfunc shared(r *Resolver) *lookup { theOne.customers = r.customers; return &theOne }\n", false, foreignTests, tests{}},
	{"every id of a merchant is one's own", "graph/lookup.go", [][2]string{{"else if id == self.ID {", "else if store.IsMerchantID(id) {"}}, "", false, actorTests, foreignHolds},
	{"merchants wait for each other's addresses", "store/customers.go", [][2]string{{`wall.WithLock(ctx, merchant+" "+address.MustKey(*email))`, `wall.WithLock(ctx, merchant[:0]+" "+address.MustKey(*email))`}}, "", false, tests{"./store", "^TestMerchantsDoNotWaitForEachOther$"}, foreignHolds},

	// Keys and tokens.
	{"a key is any merchant's", keysSQL, [][2]string{{"ON m.id = k.merchant_id\n    WHERE k.digest", "ON true\n    WHERE k.digest"}}, "", false, keyTests, tests{}},
	{"the use of a key is noted at every merchant's", keysSQL, [][2]string{{"WHERE merchant_id = merchant AND id = key", "WHERE id = key"}}, "", false, keyTests, tests{}},
	{"a token ends with any merchant's key", tokensSQL, [][2]string{{"WHERE k.merchant_id = merchant AND k.id = key)", "WHERE k.id = key ORDER BY k.expires_at LIMIT 1)"}}, "", false, keyTests, tests{}},
	{"a token lives by any merchant's key", tokensSQL, [][2]string{{"      AND k.merchant_id = merchant AND k.id = key\n", "      AND k.id = key\n"}}, "", false, keyTests, tests{}},
	{"a token's key has any merchant", tokensSQL, [][2]string{{"JOIN public.merchants AS m ON m.id = k.merchant_id\n    WHERE t.key_id", "JOIN public.merchants AS m ON true\n    WHERE t.key_id"}}, "", false, keyTests, tests{}},
	{"keys are listed whose ever they are", "store/owner/keys.go", [][2]string{{`Where("merchant_id = ?", merchantID).Order(`, `Where("?::text IS NOT NULL", merchantID).Order(`}}, "", false, keyTests, tests{}},
}

// mutated returns the file with the mutation, and fails when it does not find its place.
func (m mutation) mutated(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../..", m.file))
	require.NoError(t, err)
	source := string(text)
	for _, edit := range m.edits {
		require.Equal(t, 1, strings.Count(source, edit[0]), "%s: %q has to stand once in %s", m.name, edit[0], m.file)
		source = strings.Replace(source, edit[0], edit[1], 1)
	}
	return source + m.more
}

// unmutated are the places that name the merchant, or bind to a customer, and guard nothing.
var unmutated = map[string]string{
	"store/demo.go: \n\t\tWHERE merchant_id = ? AND id = ?": "the owner's, for dev's samples",
	"store/schema/role.go: a.attname = 'merchant_id'":       "asks the catalogue",
	"store/catalogue_sql.go: lumen.merchant":                "asks the catalogue",
}

// merchantGuard is how the source says whose rows it means.
var merchantGuard = regexp.MustCompile(`(\w+\.)?merchant_id = \S+|AS merchant_id\b|= k\.merchant_id|\blumen\.(merchant|customer)_id'`)

// guarded is each use of what binds a statement to its merchant, or to a customer.
var guarded = regexp.MustCompile(`Where\(bound\("[^"]+"\)\)|Where\(liveOnes\)|selecting\(\)\.`)

// A predicate on the merchant that is new is taken out by no mutation yet; this tells.
func TestMutationsTakeOutEveryGuard(t *testing.T) {
	t.Parallel()
	type span struct{ from, to int }
	covered := map[string][]span{} // by file: what mutations replace
	for _, m := range mutations {
		m.mutated(t)
		text, err := os.ReadFile(filepath.Join("../../../..", m.file))
		require.NoError(t, err)
		for _, edit := range m.edits {
			at := strings.Index(string(text), edit[0])
			covered[m.file] = append(covered[m.file], span{at, at + len(edit[0])})
		}
		require.NotEmpty(t, m.fails.pkg)
	}
	guards := 0
	check := func(file string, at int, text string, what *regexp.Regexp) {
		file = strings.TrimPrefix(filepath.ToSlash(file), "../../../../")
		for place := range unmutated {
			of, words, _ := strings.Cut(place, ": ")
			if of == file && strings.Contains(text, words) {
				return
			}
		}
		for _, found := range what.FindAllStringIndex(text, -1) {
			guards++
			require.True(t, slices.ContainsFunc(covered[file], func(s span) bool { return s.from <= at+found[0] && at+found[0] < s.to }),
				"%s: no mutation takes out %s", file, text[found[0]:found[1]])
		}
	}
	for _, pattern := range []string{"store/*.go", "store/*/*.go", "graph/*.go", "graph/*/*.go", "rest/*.go", "cmd/lumen/*.go", "cmd/internal/*/*.go"} {
		files, err := filepath.Glob(filepath.Join("../../../..", pattern))
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			places := token.NewFileSet()
			parsed, err := parser.ParseFile(places, file, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(parsed, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					check(file, places.Position(literal.Pos()).Offset, literal.Value, merchantGuard)
				}
				return true
			})
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			check(file, 0, string(text), guarded)
		}
	}
	migrations, err := filepath.Glob("../../../../store/schema/migrations/*.up.sql")
	require.NoError(t, err)
	for _, file := range migrations {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		check(file, 0, string(text), merchantGuard)
	}
	require.Greater(t, guards, 20)
}
