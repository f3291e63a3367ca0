package mutations

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// moduleRoot is the folder of the module, relative to this one.
const moduleRoot = "../../../.."

// unsearched are the folders whose Go code is not searched for guards, with the reasons.
var unsearched = map[string]string{
	"cmd/lumen-bench": "measures a database that it fills itself",
	"graph/generated": "generated code, which only calls the resolvers",
	"store/storetest": "prepares databases for tests, as the superuser",
}

// source is the program: its declarations in Go and its migrations.
type source struct {
	declarations []declaration
	files        map[string]string // texts of Go files and migrations, by their paths relative to moduleRoot
	folders      []string          // folders with Go code, including unsearched ones
}

// declaration is a function, a method, a constant, a variable or a type of a package.
type declaration struct {
	folder, name, file string
	body               span // of a function without its braces, or the value of a constant or a variable
	guards             map[string]int
	usesScope          bool // it reads the caller's merchant from the context
}

// span is a part of a file, in bytes.
type span struct{ from, to int }

func (s span) holds(at int) bool { return s.from <= at && at < s.to }

// readSource reads the program's code without its tests. It fails unless it finds every package.
func readSource(t *testing.T) source {
	t.Helper()
	s := source{files: map[string]string{}}
	require.NoError(t, filepath.WalkDir(moduleRoot, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(moduleRoot, file)
		require.NoError(t, err)
		below = filepath.ToSlash(below)
		if entry.IsDir() {
			_, err := os.Stat(filepath.Join(file, "go.mod"))
			if below != "." && (err == nil || strings.HasPrefix(entry.Name(), ".")) {
				return fs.SkipDir // another module, or a folder without code
			}
			return nil
		}
		isGo := strings.HasSuffix(below, ".go") && !strings.HasSuffix(below, "_test.go")
		if !isGo && !strings.HasSuffix(below, ".up.sql") {
			return nil
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		s.files[below] = string(text)
		if isGo {
			s.declare(t, below)
		}
		return nil
	}))
	slices.Sort(s.folders)
	s.folders = slices.Compact(s.folders)

	list := exec.Command("go", "list", "-f", "{{if .GoFiles}}{{.ImportPath}}{{end}}", "./...")
	list.Dir = moduleRoot
	out, err := list.Output()
	require.NoError(t, err)
	var packages []string
	for _, name := range strings.Fields(string(out)) {
		packages = append(packages, strings.TrimPrefix(name, "lumen/"))
	}
	require.Subset(t, s.folders, packages, "readSource must find every package")
	require.Subset(t, packages, []string{"graph", "rest", "store", "cmd/lumen"})
	for folder := range unsearched {
		require.Contains(t, packages, folder, "an unsearched package must exist")
	}
	return s
}

// declare adds the declarations of a Go file.
func (s *source) declare(t *testing.T, file string) {
	t.Helper()
	folder := path.Dir(file)
	s.folders = append(s.folders, folder)
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, file, s.files[file], parser.SkipObjectResolution)
	require.NoError(t, err)
	add := func(name string, body ast.Node, from, to token.Pos) {
		d := declaration{folder: folder, name: name, file: file}
		d.body = span{positions.Position(from).Offset, positions.Position(to).Offset}
		d.guards, d.usesScope = guardsIn(body)
		s.declarations = append(s.declarations, d)
	}
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body != nil {
				add(functionName(d), d.Body, d.Body.Lbrace+1, d.Body.Rbrace)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name.Name, spec, spec.Pos(), spec.End())
				case *ast.ValueSpec:
					for i, value := range spec.Values {
						add(spec.Names[i].Name, value, value.Pos(), value.End())
					}
				}
			}
		}
	}
}

// functionName returns the name of a function, or the type and the name of a method, as in
// "Rows.Get".
func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	receiver, _, _ := strings.Cut(strings.TrimPrefix(types.ExprString(f.Recv.List[0].Type), "*"), "[")
	return receiver + "." + f.Name.Name
}

// merchantGuard matches the parts of SQL that restrict rows to a merchant or a customer.
var merchantGuard = regexp.MustCompile(
	`(\w*\.)?merchant_id = \S+|= \w+\.merchant_id|\S+ AS merchant_id\b|` +
		`::text = '' OR|lumen\.(merchant|customer)_id'[^)]*\)`)

// guardsIn counts the guards in code by their texts: SQL that names the merchant, and uses of the
// functions that build such SQL. usesScope reports whether the code reads the caller's merchant
// from the context.
func guardsIn(code ast.Node) (guards map[string]int, usesScope bool) {
	guards = map[string]int{}
	ast.Inspect(code, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				for _, found := range merchantGuard.FindAllString(n.Value, -1) {
					guards[found]++
				}
			}
		case *ast.Ident:
			switch n.Name {
			case "merchantPredicate", "boundPredicate", "insertedMerchant":
				guards[n.Name]++
			case "scopeFrom":
				usesScope = true
			}
		}
		return true
	})
	return guards, usesScope
}

// find returns the declaration with this name in a folder. It fails unless there is exactly one.
func (s source) find(t *testing.T, folder, name string) declaration {
	t.Helper()
	var found []declaration
	for _, d := range s.declarations {
		if d.folder == folder && d.name == name {
			found = append(found, d)
		}
	}
	require.Len(t, found, 1, "%s must declare %s once", folder, name)
	return found[0]
}

// statement returns the last migration up that contains a statement beginning with these words, and
// the position of the statement. It fails unless there is exactly one in it. Earlier ones may have
// created a function that a later one creates again.
func (s source) statement(t *testing.T, head string) (file string, at span) {
	t.Helper()
	begin := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(head) + `(\W|$)`)
	for name, text := range s.files {
		if strings.HasSuffix(name, ".up.sql") && begin.MatchString(text) {
			file = max(file, name)
		}
	}
	text := s.files[file]
	places := begin.FindAllStringIndex(text, -1)
	require.Len(t, places, 1, "exactly one statement of the last migration that has it must begin with %q", head)
	at = span{places[0][0], len(text)}
	end := ";\n"
	if strings.HasPrefix(head, "CREATE FUNCTION") {
		end = "$$;\n"
	}
	if length := strings.Index(text[at.from:], end); length >= 0 {
		at.to = at.from + length + len(end) - 1
	}
	return file, at
}

// isReplaced reports whether a place in a migration is in a function that a later one creates again.
func (s source) isReplaced(t *testing.T, file string, place int) bool {
	t.Helper()
	heads := regexp.MustCompile(`(?m)^CREATE FUNCTION [^)]*\)`).FindAllString(s.files[file][:place], -1)
	if len(heads) == 0 {
		return false
	}
	head := heads[len(heads)-1]
	begin := strings.LastIndex(s.files[file][:place], head)
	if end := strings.Index(s.files[file][begin:], "$$;\n"); begin+end < place {
		return false
	}
	last, _ := s.statement(t, head)
	return last != file
}

// change is a part of a file that a mutation replaces with another text.
type change struct {
	file string
	span
	text string
}

// changes returns the mutation's changes. It fails if it does not find a place that the mutation
// names.
func (s source) changes(t *testing.T, m mutation) []change {
	t.Helper()
	var all []change
	for i, r := range m.code {
		d := s.find(t, r.folder, r.name)
		c := change{d.file, d.body, r.body}
		if r.start != "" {
			require.Empty(t, r.body, m.name)
			c.to, c.text = c.from, "\n"+r.start+"\n"
		}
		all = append(all, c)
		if i == 0 && m.more != "" {
			end := len(s.files[d.file])
			all = append(all, change{d.file, span{end, end}, "\n" + m.more})
		}
	}
	for _, e := range m.sql {
		file, at := s.statement(t, e.statement)
		text, old := s.files[file][at.from:at.to], cmp.Or(e.old, s.files[file][at.from:at.to])
		require.Equal(t, 1, strings.Count(text, old), "%s: %q must occur once in %s", m.name, old, e.statement)
		from := at.from + strings.Index(text, old)
		all = append(all, change{file, span{from, from + len(old)}, e.new})
	}
	require.NotEmpty(t, all, m.name)
	return all
}

// mutated returns the changed files, with the changes of all given mutations.
func (s source) mutated(t *testing.T, mutations ...mutation) map[string]string {
	t.Helper()
	var all []change
	for _, m := range mutations {
		all = append(all, s.changes(t, m)...)
	}
	slices.SortStableFunc(all, func(a, b change) int { return b.from - a.from }) // last first, so that the other offsets stay valid
	files := map[string]string{}
	for i, c := range all {
		overlaps := func(later change) bool { return later.file == c.file && later.from < c.to }
		require.False(t, slices.ContainsFunc(all[:i], overlaps), "two changes overlap in %s", c.file)
		text := cmp.Or(files[c.file], s.files[c.file])
		files[c.file] = text[:c.from] + c.text + text[c.to:]
	}
	return files
}
