package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// leak is a way in which one merchant's data can reach another, and the tests that catch it, each
// as folder and name.
type leak struct {
	number int
	how    string
	tests  []string
}

// leaks are all known leaks, in the order of the study of similar services from which they were
// gathered.
var leaks = []leak{
	{1, "a query without the merchant", []string{"cmd/internal/e2e TestRepliesHoldNoOtherMerchantsData", "cmd/internal/e2e TestActors", "cmd/internal/e2e TestEveryOperationIsInTheMatrix", "store TestIsolation", "cmd/internal/e2e/mutations TestMutationsTakeOutEveryGuard", "cmd/internal/e2e/mutations TestMutations"}},
	{2, "refusals that differ for foreign and absent ids", []string{"cmd/internal/e2e TestActors", "cmd/internal/e2e TestTokenActors", "cmd/internal/e2e TestBadIDs"}},
	{3, "the time that a refusal takes", []string{"cmd/internal/e2e TestForeignIDsTakeAsLongAsAbsentOnes", "store TestMerchantsDoNotWaitForEachOther"}},
	{4, "lookups that several requests share", []string{"cmd/internal/e2e TestMerchantsInterleaved", "cmd/internal/e2e TestMerchantsInterleavedTenThousandTimes", "cmd/internal/e2e TestLookupsByIDAreOneStatement"}},
	{5, "caches without the merchant in their key", []string{"store/auth TestCredentialsAreNotMixedUp", "store/auth TestJunkIsNotCached", "cmd/internal/e2e TestRepliesAreNotCacheable", "cmd/internal/e2e TestMerchantsInterleaved", "cmd/internal/e2e TestDocumentCacheTiming", "graph TestDocumentsWithStringsAreNotCached"}},
	{6, "settings that remain on a connection", []string{"store/wall TestNothingIsLeft", "store/wall TestNoMerchant", "store/wall TestMerchantsTakeTurnsOnOneConnection", "store/wall TestMerchantsTakeAHundredThousandTurns", "store/wall TestPoolerNothingIsLeft"}},
	{7, "ways around row-level security", []string{"store/schema TestCatalogue", "store/schema TestPlainRole", "store/schema TestCheckRole", "cmd/internal/e2e TestServeRefusesAnUnsafeDatabase"}},
	{8, "uniqueness across merchants", []string{"cmd/internal/e2e TestUniquenessIsPerMerchant", "store/auth TestMerchantsWithTheSameKeyIDs", "store/schema TestCatalogue"}},
	{9, "messages about violated constraints", []string{"cmd/internal/e2e TestConstraintViolationsAreNotShown", "cmd/internal/e2e TestInternalErrors", "store/postgres TestViolates"}},
	{10, "cursors", []string{"store TestCursorOfAnotherListIsRefused", "store TestDamagedCursorIsRefused", "store TestMadeUpCursorIsRefused", "store FuzzCursor", "cmd/internal/e2e TestListParameters", "cmd/internal/e2e TestRepliesHoldNoOtherMerchantsData"}},
	{11, "counts and pages", []string{"cmd/internal/e2e TestOtherMerchantsRowsDoNotChangeCounts", "store TestIsolation"}},
	{12, "nodes, and the edges between them", []string{"cmd/internal/e2e TestEveryPathOfTheSchemaIsIsolated", "cmd/internal/e2e TestActors"}},
	{13, "a merchant chosen by the request", []string{"cmd/internal/e2e TestRequestsCannotChooseTheMerchant", "cmd/internal/e2e TestRules"}},
	{14, "events of other merchants", []string{"cmd/internal/e2e TestSubscriptionsAreRefused", "cmd/internal/e2e TestEveryOperationIsInTheMatrix"}},
	{15, "keys: storage, comparison, end and transport", []string{"store/auth TestOnlyDigestsAreStored", "store/auth TestAuthenticate", "store/auth TestTokensEnd", "store/auth TestNewSecrets", "cmd/internal/e2e TestRequestHeaders", "cmd/internal/e2e TestTamperedTokens", "cmd/internal/e2e TestActors"}},
	{16, "work without a merchant", []string{"store/wall TestNoMerchant", "store/schema TestPlainRole", "store TestAccess"}},
	{17, "the log, metrics and traces", []string{"cmd/internal/e2e/harness TestCanariesInTheLogAreFound", "cmd/internal/e2e TestOtherMerchantsDataIsDetected", "cmd/internal/e2e TestRepliesHoldNoOtherMerchantsData", "store/auth TestSecretIsNotShown"}},
	{18, "deleted data", []string{"store TestCustomersMatchModel", "store TestDeletedCustomerIsNotFound", "store/schema TestPlainRole"}},
	{19, "errors that name or suggest what is hidden", []string{"cmd/internal/e2e TestRefusedDocuments", "store TestMessages", "graph TestRefusalsRepeatNoValues", "rest TestDocumentHasExactlyTheErrors"}},
	{20, "documents that other merchants registered", []string{"cmd/internal/e2e TestClientsCannotRegisterDocuments", "graph TestTrustedDocuments"}},
	{21, "ids that can be guessed", []string{"store TestNewIDs", "store TestAMillionIDs", "store/auth TestNewSecrets"}},
	{22, "development keys, and keys in URLs", []string{"cmd/internal/e2e TestActors", "cmd/internal/e2e TestRequestHeaders", "store/auth TestAuthenticate"}},
	{23, "a noisy neighbor", []string{"cmd/lumen-bench TestNoisyNeighbour"}},
}

// TestLeaks checks that each leak has tests, that these exist, and that they can fail. It fails if
// such a test is removed or renamed.
func TestLeaks(t *testing.T) {
	t.Parallel()
	require.Len(t, leaks, 23)
	for i, l := range leaks {
		t.Run(fmt.Sprintf("%02d %s", l.number, l.how), func(t *testing.T) {
			require.Equal(t, i+1, l.number)
			require.NotEmpty(t, l.tests)
			for _, named := range l.tests {
				folder, name, _ := strings.Cut(named, " ")
				require.True(t, hasAssertion(t, folder, name), "%s has no test %s with an assertion", folder, name)
				t.Log(named)
			}
		})
	}
}

// hasAssertion reports whether the folder has a test of this name, under any build tag, that asserts
// something, itself or in a function of the same package that it calls. It fails if the test skips.
func hasAssertion(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../../..", folder, "*_test.go"))
	require.NoError(t, err)
	functions := map[string]*ast.FuncDecl{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, declaration := range parsed.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok {
				functions[function.Name.Name] = function
			}
		}
	}
	var asserts func(name string, depth int) bool
	asserts = func(name string, depth int) (found bool) {
		function := functions[name]
		if function == nil || depth == 0 {
			return false
		}
		ast.Inspect(function.Body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return !found
			}
			switch called := call.Fun.(type) {
			case *ast.SelectorExpr:
				on, _ := called.X.(*ast.Ident)
				require.NotContains(t, []string{"Skip", "Skipf", "SkipNow"}, called.Sel.Name, name)
				if on != nil && (on.Name == "require" || on.Name == "t" && strings.HasPrefix(called.Sel.Name, "Error") || on.Name == "t" && strings.HasPrefix(called.Sel.Name, "Fatal")) {
					found = true
				}
			case *ast.Ident:
				found = found || asserts(called.Name, depth-1)
			}
			return !found
		})
		return found
	}
	return asserts(name, 3)
}

// TestLeaksFindsAssertions checks that the search of TestLeaks finds a real test, and neither an
// unknown one nor one without an assertion.
func TestLeaksFindsAssertions(t *testing.T) {
	t.Parallel()
	require.True(t, hasAssertion(t, "store", "TestIsolation"))
	require.False(t, hasAssertion(t, "store", "TestNothingOfThisName"))
	require.False(t, hasAssertion(t, "store", "TestMain"), "it has no assertion")
}
