package program

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// listedPackage is a package in the output of `go list`.
type listedPackage struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// modulePackages returns this module's packages by import path.
func modulePackages(t *testing.T) map[string]listedPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports,Deps", "lumen/...")
	out, err := cmd.Output()
	require.NoError(t, err)
	packages := map[string]listedPackage{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		err := decoder.Decode(&p)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		packages[p.ImportPath] = p
	}
	for _, name := range []string{"lumen/cmd/lumen", "lumen/cmd/internal/program", "lumen/cmd/internal/e2e/harness", "lumen/graph", "lumen/rest", "lumen/store", "lumen/store/wall", "lumen/store/storetest", "lumen/store/embedded"} {
		require.Contains(t, packages, name)
	}
	return packages
}

// within reports whether a package is the named one or below it.
func within(name, parent string) bool { return name == parent || strings.HasPrefix(name, parent+"/") }

// isHarness reports whether a package is part of the tests although it does not end in _test.
func isHarness(name string) bool {
	return within(name, "lumen/store/storetest") || within(name, "lumen/cmd/internal/e2e")
}

// storeRank orders the packages of the store: each imports only packages with a lower rank. Other
// packages have rank 0.
var storeRank = map[string]int{
	"lumen/store/address": 1, "lumen/store/postgres": 1, "lumen/store/wall": 2, "lumen/store": 3, "lumen/store/auth": 4, "lumen/store/owner": 5,
	"lumen/store/schema/migrations": 5, "lumen/store/schema": 6,
}

// forbidden returns why one package must not depend on the other, directly or not, or "" when it
// may. Both are import paths.
func forbidden(from, to string) string {
	switch {
	case within(to, "lumen/cmd") && !within(from, "lumen/cmd"):
		return "nothing imports the programs"
	case isHarness(to) && !isHarness(from):
		return "only tests import the harness"
	case isHarness(from):
		// The harness may import whatever tests may.
	case within(to, "lumen/cmd/internal/program") && !within(from, "lumen/cmd/internal/program") && from != "lumen/cmd/lumen":
		return "only main runs the commands"
	case within(from, "lumen/graph") && within(to, "lumen/rest"), within(from, "lumen/rest") && within(to, "lumen/graph"):
		return "the APIs never import each other"
	case within(from, "lumen/store") && (within(to, "lumen/graph") || within(to, "lumen/rest")):
		return "the store knows no API"
	case within(from, "lumen/store") && within(to, "lumen/store") && storeRank[from] <= storeRank[to] && from != to:
		return "the packages of the store import those before them alone"
	case (within(from, "lumen/graph") || within(from, "lumen/rest")) && storeRank[to] > storeRank["lumen/store/auth"]:
		return "the APIs know the store and who calls"
	case within(to, "github.com/testcontainers"), within(to, "github.com/stretchr/testify"), to == "testing":
		return "only tests test"
	case within(from, "lumen/store") && (within(to, "github.com/99designs/gqlgen") || within(to, "github.com/vektah/gqlparser")):
		return "the store does not know GraphQL"
	case within(from, "lumen/store") && !within(from, "lumen/store/embedded") && within(to, "net/http"):
		return "the store does not know HTTP"
	}
	return ""
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	packages := modulePackages(t)
	for _, p := range packages {
		for _, dependency := range p.Deps {
			if why := forbidden(p.ImportPath, dependency); why != "" {
				t.Errorf("%s needs %s: %s", p.ImportPath, dependency, why)
			}
		}
		// Tests may use the harness, and the tests of programs may use everything. Tests of the
		// APIs and of the store import in the same direction as their packages.
		for _, name := range slices.Concat(p.TestImports, p.XTestImports) {
			usesHarness := within(name, "lumen/store/storetest") || isHarness(name) && within(p.ImportPath, "lumen/cmd") ||
				within(name, "lumen/store") && within(p.ImportPath, "lumen/store")
			if strings.HasPrefix(name, "lumen/") && !usesHarness {
				require.Empty(t, forbidden(p.ImportPath, name), "the tests of %s import %s", p.ImportPath, name)
			}
		}
		if within(p.ImportPath, "lumen/store") {
			for _, name := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
				require.False(t, within(name, "github.com/testcontainers") && !within(p.ImportPath, "lumen/store/storetest"),
					"%s imports %s: the harness alone knows containers", p.ImportPath, name)
			}
		}
	}

	t.Run("main only passes its version to the commands", func(t *testing.T) {
		t.Parallel()
		main := packages["lumen/cmd/lumen"]
		require.Equal(t, []string{"main.go"}, slices.Concat(main.GoFiles, main.TestGoFiles, main.XTestGoFiles))
		require.Equal(t, []string{"lumen/cmd/internal/program", "os"}, main.Imports)
	})

	t.Run("the rules find violations", func(t *testing.T) {
		t.Parallel()
		for _, pair := range [][2]string{
			{"lumen/graph", "lumen/rest"}, {"lumen/rest", "lumen/graph/model"}, {"lumen/store", "lumen/rest"}, {"lumen/store/wall", "lumen/graph"},
			{"lumen/rest", "lumen/cmd/internal/server"}, {"lumen/store", "net/http"}, {"lumen/store/wall", "net/http/httptest"},
			{"lumen/store", "github.com/99designs/gqlgen/graphql"}, {"lumen/cmd/lumen", "lumen/store/storetest"}, {"lumen/store/embedded", "lumen/store/storetest"},
			{"lumen/cmd/lumen", "lumen/cmd/internal/e2e/harness"}, {"lumen/cmd/internal/program", "lumen/cmd/internal/e2e/harness"}, {"lumen/store/storetest", "lumen/cmd/internal/e2e/harness"},
			{"lumen/cmd/internal/server", "lumen/cmd/internal/program"}, {"lumen/cmd/lumen-bench", "lumen/cmd/internal/program"},
			{"lumen/store", "lumen/store/auth"}, {"lumen/store/wall", "lumen/store"}, {"lumen/store/gate", "lumen/store"}, {"lumen/store/auth", "lumen/store/owner"},
			{"lumen/graph", "lumen/store/owner"}, {"lumen/rest", "lumen/store/schema"}, {"lumen/graph", "testing"}, {"lumen/store/embedded", "github.com/testcontainers/testcontainers-go"},
		} {
			require.NotEmpty(t, forbidden(pair[0], pair[1]), pair)
		}
		for _, pair := range [][2]string{
			{"lumen/cmd/lumen", "lumen/graph"}, {"lumen/graph", "lumen/store"}, {"lumen/rest", "net/http"}, {"lumen/store/embedded", "net/http"},
			{"lumen/store", "lumen/store/gate"}, {"lumen/store/owner", "lumen/store/auth"}, {"lumen/rest", "lumen/store/auth"}, {"lumen/graph", "lumen/graph/model"}, {"lumen/store/storetest", "github.com/testcontainers/testcontainers-go"}, {"lumen/cmd/lumen", "lumen/cmd/internal/server"},
			{"lumen/cmd/lumen", "lumen/cmd/internal/program"}, {"lumen/cmd/internal/program", "lumen/cmd/internal/server"}, {"lumen/cmd/internal/e2e/harness", "lumen/cmd/internal/program"},
		} {
			require.Empty(t, forbidden(pair[0], pair[1]), pair)
		}
	})
}

// unsafeSQL returns the calls and tags in a file of the store that could put a value into the text
// of a statement or hide a condition.
func unsafeSQL(t *testing.T, file string, source any) []string {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, parser.SkipObjectResolution)
	require.NoError(t, err)
	var found []string
	note := func(n ast.Node, what string) {
		found = append(found, filepath.Base(file)+":"+strconv.Itoa(files.Position(n.Pos()).Line)+": "+what)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			selector, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			owner, _ := selector.X.(*ast.Ident)
			switch name := selector.Sel.Name; {
			case name == "WhereOr" || name == "WhereGroup":
				note(n, name)
			case owner != nil && owner.Name == "bun" && name == "Safe":
				note(n, "bun.Safe")
			case owner != nil && owner.Name == "fmt" && strings.HasPrefix(name, "Sprint"), owner != nil && owner.Name == "fmt" && strings.HasPrefix(name, "Append"):
				for _, argument := range n.Args {
					if literal, ok := argument.(*ast.BasicLit); ok && looksLikeSQL(literal.Value) {
						note(n, "fmt."+name+" builds SQL")
					}
				}
			}
		case *ast.Field:
			if n.Tag != nil && strings.Contains(n.Tag.Value, "soft_delete") {
				note(n, "soft_delete")
			}
		}
		return true
	})
	return found
}

// looksLikeSQL reports whether a text has any keyword of SQL in capitals. It may report text that
// is not SQL.
func looksLikeSQL(text string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool { return (r < 'A' || r > 'Z') && r != '_' })
	return slices.ContainsFunc(words, func(word string) bool {
		return slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "WHERE", "FROM", "ORDER", "VALUES", "SET", "AND", "OR", "ALTER", "CREATE", "DROP", "GRANT", "REVOKE"}, word)
	})
}

func TestStoreBuildsSQLSafely(t *testing.T) {
	t.Parallel()
	read := 0
	for name, p := range modulePackages(t) {
		if !within(name, "lumen/store") || within(name, "lumen/store/storetest") {
			continue
		}
		for _, file := range p.GoFiles {
			read++
			require.Empty(t, unsafeSQL(t, filepath.Join(p.Dir, file), nil))
		}
	}
	require.Greater(t, read, 20)

	t.Run("the rules find violations", func(t *testing.T) {
		t.Parallel()
		for what, code := range map[string]string{
			"bun.Safe":               "q.Where(bun.Safe(text))",
			"WhereOr":                `q.WhereOr("a")`,
			"fmt.Sprintf builds SQL": `q.Where(fmt.Sprintf("a = %s AND b", text))`,
			"soft_delete":            "type row struct { At int `bun:\",soft_delete\"` }",
		} {
			require.Equal(t, []string{"a.go:4: " + what}, unsafeSQL(t, "a.go", "package a\n\nfunc f() {\n"+code+"\n}\n"))
		}
	})
}

// Only the server, which has authenticated the credential, puts a merchant into a context (I1).
func TestCredentialsEnterInOnePlace(t *testing.T) {
	t.Parallel()
	callers := map[string]bool{}
	for _, p := range modulePackages(t) {
		for _, file := range p.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(parsed, func(n ast.Node) bool {
				if selector, ok := n.(*ast.SelectorExpr); ok && selector.Sel.Name == "WithCredential" && !isHarness(p.ImportPath) {
					callers[p.ImportPath] = true
				}
				return true
			})
		}
	}
	require.Equal(t, map[string]bool{"lumen/cmd/internal/server": true}, callers)
}
