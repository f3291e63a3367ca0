//go:build mutations

package mutations

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// mutant is the source with one file exchanged, and perhaps without row-level security. The tree itself is not touched: the
// go command reads the other files in the places of these.
type mutant struct {
	overlay  string
	database string
}

func newMutant(t *testing.T, database string, replaced map[string]string) mutant {
	t.Helper()
	folder := t.TempDir()
	replace := map[string]string{}
	for i, file := range slices.Sorted(maps.Keys(replaced)) {
		at, err := filepath.Abs(filepath.Join("../../../..", file))
		require.NoError(t, err)
		replace[at] = filepath.Join(folder, fmt.Sprintf("%d%s", i, filepath.Ext(file)))
		require.NoError(t, os.WriteFile(replace[at], []byte(replaced[file]), 0o600))
	}
	m := mutant{filepath.Join(folder, "overlay.json"), database}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(m.overlay, text, 0o600))
	return m
}

var (
	failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	passedTest = regexp.MustCompile(`(?m)^\s*--- PASS: (\S+)`)
)

// run returns the tests that failed, of those that ran.
func (m mutant) run(t *testing.T, these tests) (failed []string) {
	t.Helper()
	cmd := exec.Command("go", "test", "-overlay", m.overlay, "-vet=off", "-ldflags=-s -w", "-count=1", "-failfast", "-timeout", "300s", "-v", "-run", these.run, these.pkg)
	cmd.Dir = "../../../.."
	cmd.Env = append(os.Environ(), "LUMEN_TEST_DATABASE_URL="+m.database)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	for _, found := range failedTest.FindAllStringSubmatch(out.String(), -1) {
		failed = append(failed, found[1])
	}
	ran := len(failed) > 0 || passedTest.MatchString(out.String())
	require.True(t, ran && (err == nil) == (len(failed) == 0), "the tests did not run to their end: %v\n%s", err, out.String())
	return failed
}

// Each guard is taken out of the source. A mutation that no test notices is a guard that nobody would miss.
func TestMutations(t *testing.T) {
	db := storetest.New(t)
	const role = "store/schema/role.go"
	unwalled := mutation{name: "no row-level security", file: customersSQL, edits: [][2]string{
		{"ALTER TABLE customers ENABLE ROW LEVEL SECURITY;", ""}, {"ALTER TABLE customers FORCE ROW LEVEL SECURITY;", ""},
	}}.mutated(t)
	// Serve would refuse to work without it.
	unchecked := mutation{name: "no check", file: role, edits: [][2]string{
		{"for _, f := range facts {", "for _, f := range facts[:0] {"},
		{"return checkCatalogue(ctx, db, newer)", "return nil"},
	}}.mutated(t)

	only := regexp.MustCompile(os.Getenv("LUMEN_TEST_MUTATIONS"))
	t.Run("without a mutation, and without row-level security, nothing fails", func(t *testing.T) {
		m := newMutant(t, db.SuperuserURL(), map[string]string{customersSQL: unwalled, role: unchecked})
		needed := map[tests]bool{}
		for _, mutation := range mutations {
			if mutation.without && only.MatchString(mutation.name) {
				needed[mutation.fails] = true
			}
		}
		for these := range needed {
			require.Empty(t, m.run(t, these), these)
		}
	})
	start, done := time.Now(), 0
	for _, mutation := range mutations {
		if !only.MatchString(mutation.name) {
			continue
		}
		done++
		t.Run(mutation.name, func(t *testing.T) {
			replaced := map[string]string{mutation.file: mutation.mutated(t)}
			if strings.HasSuffix(mutation.file, ".sql") {
				replaced[role] = unchecked
			}
			if mutation.holds.pkg != "" {
				require.Empty(t, newMutant(t, db.SuperuserURL(), replaced).run(t, mutation.holds), "with row-level security, or the predicates, in place nothing foreign comes out")
			}
			if mutation.without {
				replaced[customersSQL], replaced[role] = unwalled, unchecked
			}
			failed := newMutant(t, db.SuperuserURL(), replaced).run(t, mutation.fails)
			require.NotEmpty(t, failed, "no test notices")
			if strings.Contains(mutation.fails.run, "/") {
				require.Contains(t, strings.Join(failed, " "), "/", "what came out is not what failed")
			}
			t.Logf("%s: %s", mutation.file, strings.Join(failed, ", "))
		})
	}
	t.Logf("%d mutations in %v", done, time.Since(start).Round(time.Second))
}
