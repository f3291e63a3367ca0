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

// leak is a way in which one merchant's data can reach another, and the tests that would catch it,
// by folder and name.
type leak struct {
	number int
	how    string
	tests  []string
}

// leaks are all that are known, in the order of the study of services like this one that they were
// gathered in.
var leaks = []leak{
	{1, "a query that forgets the merchant", []string{"cmd/internal/e2e TestRepliesHoldNoOtherMerchantsData", "cmd/internal/e2e TestActors", "cmd/internal/e2e TestEveryOperationIsInTheMatrix", "store TestIsolation", "cmd/internal/e2e/mutations TestMutationsTakeOutEveryGuard", "cmd/internal/e2e/mutations TestMutations"}},
	{2, "refusals that differ for what is another's and what is not there", []string{"cmd/internal/e2e TestActors", "cmd/internal/e2e TestTokenActors", "cmd/internal/e2e TestBadIDs"}},
	{3, "the time that a refusal takes", []string{"cmd/internal/e2e TestForeignIDsTakeAsLongAsAbsentOnes", "store TestMerchantsDoNotWaitForEachOther"}},
	{4, "look-ups that several requests share", []string{"cmd/internal/e2e TestMerchantsInterleaved", "cmd/internal/e2e TestMerchantsInterleavedTenThousandTimes", "cmd/internal/e2e TestLookupsByIDAreOneStatement"}},
	{5, "caches that know no merchant", []string{"store/auth TestCredentialsAreNotMixedUp", "store/auth TestJunkIsNotCached", "cmd/internal/e2e TestRepliesAreNotCacheable", "cmd/internal/e2e TestMerchantsInterleaved", "cmd/internal/e2e TestDocumentCacheTiming", "graph TestDocumentsWithStringsAreNotKept"}},
	{6, "settings that stay on a connection", []string{"store/wall TestNothingIsLeft", "store/wall TestNoMerchant", "store/wall TestMerchantsTakeTurnsOnOneConnection", "store/wall TestMerchantsTakeAHundredThousandTurns", "store/wall TestPoolerNothingIsLeft"}},
	{7, "ways round row-level security", []string{"store/schema TestCatalogue", "store/schema TestPlainRole", "store/schema TestCheckRole", "cmd/internal/e2e TestServeRefusesAnUnsafeDatabase"}},
	{8, "rules of uniqueness that reach over merchants", []string{"cmd/internal/e2e TestUniquenessIsPerMerchant", "store/auth TestMerchantsWithTheSameKeyIDs", "store/schema TestCatalogue"}},
	{9, "what the database says of a broken rule", []string{"cmd/internal/e2e TestConstraintViolationsAreNotShown", "cmd/internal/e2e TestInternalErrors", "store/postgres TestViolates"}},
	{10, "cursors", []string{"store TestCursorOfAnotherListIsRefused", "store TestDamagedCursorIsRefused", "store TestMadeUpCursorIsRefused", "store FuzzCursor", "cmd/internal/e2e TestListParameters", "cmd/internal/e2e TestRepliesHoldNoOtherMerchantsData"}},
	{11, "counts and pages", []string{"cmd/internal/e2e TestOtherMerchantsRowsDoNotChangeCounts", "store TestIsolation"}},
	{12, "nodes, and the edges between them", []string{"cmd/internal/e2e TestEveryPathOfTheSchemaIsIsolated", "cmd/internal/e2e TestActors"}},
	{13, "a merchant that the request names", []string{"cmd/internal/e2e TestRequestsCannotChooseTheMerchant", "cmd/internal/e2e TestRules"}},
	{14, "events for others", []string{"cmd/internal/e2e TestSubscriptionsAreRefused", "cmd/internal/e2e TestEveryOperationIsInTheMatrix"}},
	{15, "keys: how they are kept, compared, ended and presented", []string{"store/auth TestOnlyDigestsAreStored", "store/auth TestAuthenticate", "store/auth TestTokensEnd", "store/auth TestNewSecrets", "cmd/internal/e2e TestRequestHeaders", "cmd/internal/e2e TestTamperedTokens", "cmd/internal/e2e TestActors"}},
	{16, "work without a merchant", []string{"store/wall TestNoMerchant", "store/schema TestPlainRole", "store TestAccess"}},
	{17, "the log, metrics and traces", []string{"cmd/internal/e2e/harness TestCanariesInTheLogAreFound", "cmd/internal/e2e TestOtherMerchantsDataIsDetected", "cmd/internal/e2e TestRepliesHoldNoOtherMerchantsData", "store/auth TestSecretIsNotShown"}},
	{18, "what is deleted", []string{"store TestCustomersBehaveLikeTheirModel", "store TestDeletedIsGone", "store/schema TestPlainRole"}},
	{19, "errors that name or suggest what is hidden", []string{"cmd/internal/e2e TestRefusedDocuments", "store TestTexts", "graph TestRefusalsRepeatNothing", "rest TestDocumentHasEveryErrorAndNoOther"}},
	{20, "documents that others registered", []string{"cmd/internal/e2e TestClientsCannotRegisterDocuments", "graph TestTrustedDocuments"}},
	{21, "ids that can be guessed", []string{"store TestNewIDs", "store TestAMillionIDs", "store/auth TestNewSecrets"}},
	{22, "keys of development, and keys in addresses", []string{"cmd/internal/e2e TestActors", "cmd/internal/e2e TestRequestHeaders", "store/auth TestAuthenticate"}},
	{23, "a neighbour that is loud", []string{"cmd/lumen-bench TestNoisyNeighbour"}},
}

// Each leak has tests, and they are there, and hold something.
func TestLeaks(t *testing.T) {
	t.Parallel()
	require.Len(t, leaks, 23)
	for i, l := range leaks {
		t.Run(fmt.Sprintf("%02d %s", l.number, l.how), func(t *testing.T) {
			require.Equal(t, i+1, l.number)
			require.NotEmpty(t, l.tests)
			for _, named := range l.tests {
				folder, name, _ := strings.Cut(named, " ")
				require.True(t, holdsSomething(t, folder, name), "%s has no test %s that fails for anything", folder, name)
				t.Log(named)
			}
		})
	}
}

// holdsSomething reports whether the folder has a test of this name, under whatever tag, that
// demands something, by itself or through a function of the folder that it calls, and is not
// skipped.
func holdsSomething(t *testing.T, folder, name string) bool {
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
	var demands func(name string, depth int) bool
	demands = func(name string, depth int) (found bool) {
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
				found = found || demands(called.Name, depth-1)
			}
			return !found
		})
		return found
	}
	return demands(name, 3)
}

func TestLeaksNameWhatIsThere(t *testing.T) {
	t.Parallel()
	require.True(t, holdsSomething(t, "store", "TestIsolation"))
	require.False(t, holdsSomething(t, "store", "TestNothingOfThisName"))
	require.False(t, holdsSomething(t, "store", "TestMain"), "which demands nothing")
}
