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

// mutant is the source with some changed files. The working tree is not changed: the go command
// reads the changed files instead of the originals through an overlay.
type mutant struct {
	overlay  string
	database string
}

func newMutant(t *testing.T, database string, replaced map[string]string) mutant {
	t.Helper()
	folder := t.TempDir()
	replace := map[string]string{}
	for i, file := range slices.Sorted(maps.Keys(replaced)) {
		at, err := filepath.Abs(filepath.Join(moduleRoot, file))
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

// run runs the tests on the mutant and returns the names of those that failed.
func (m mutant) run(t *testing.T, these tests) (failed []string) {
	t.Helper()
	cmd := exec.Command("go", "test", "-overlay", m.overlay, "-vet=off", "-ldflags=-s -w",
		"-count=1", "-failfast", "-timeout", "300s", "-v", "-run", these.run, these.pkg)
	cmd.Dir = moduleRoot
	cmd.Env = append(os.Environ(), "LUMEN_TEST_DATABASE_URL="+m.database)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	for _, found := range failedTest.FindAllStringSubmatch(out.String(), -1) {
		failed = append(failed, found[1])
	}
	ran := len(failed) > 0 || passedTest.MatchString(out.String())
	require.True(t, ran && (err == nil) == (len(failed) == 0), "the tests did not run to the end: %v\n%s", err, out.String())
	return failed
}

// TestMutations applies each mutation and requires that its tests fail. If no test fails, the guard
// could be removed without being noticed.
func TestMutations(t *testing.T) {
	db := storetest.New(t)
	s := readSource(t)
	only := regexp.MustCompile(os.Getenv("LUMEN_TEST_MUTATIONS"))
	t.Run("without a mutation, and without row-level security, nothing fails", func(t *testing.T) {
		m := newMutant(t, db.SuperuserURL(), s.mutated(t, unwalled(), withoutRoleCheck))
		needed := map[tests]bool{}
		for _, mutation := range mutations {
			if mutation.unwalled && only.MatchString(mutation.name) {
				needed[mutation.fails] = true
			}
		}
		for these := range needed {
			require.Empty(t, m.run(t, these), these)
		}
	})
	start, done := time.Now(), 0
	for _, m := range mutations {
		if !only.MatchString(m.name) {
			continue
		}
		done++
		t.Run(m.name, func(t *testing.T) {
			held, broken := []mutation{m}, []mutation{m}
			if len(m.sql) > 0 {
				held, broken = append(held, withoutRoleCheck), append(broken, withoutRoleCheck)
			}
			if m.unwalled {
				broken = append(broken, unwalled(), withoutRoleCheck)
			}
			if m.holds.pkg != "" {
				require.Empty(t, newMutant(t, db.SuperuserURL(), s.mutated(t, held...)).run(t, m.holds),
					"with the other guard in place no reply may contain another merchant's data")
			}
			failed := newMutant(t, db.SuperuserURL(), s.mutated(t, broken...)).run(t, m.fails)
			require.NotEmpty(t, failed, "no test fails without the guard")
			if strings.Contains(m.fails.run, "/") {
				require.Contains(t, strings.Join(failed, " "), "/", "only the subtest may fail that checks the replies")
			}
			whole := slices.DeleteFunc(failed, func(name string) bool { return strings.Contains(name, "/") })
			t.Logf("noticed by %s: %s", m.fails.pkg, strings.Join(whole, ", "))
		})
	}
	t.Logf("%d mutations in %v", done, time.Since(start).Round(time.Second))
}
