//go:build unix

package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldest is the oldest major version of Postgres that serves.
const oldest = 14

// finder looks for the programs of a Postgres.
type finder struct {
	account *account
	bin     string   // LUMEN_POSTGRES_BIN; when set, nothing else is looked at
	nearby  []string // folders that pg_config and PATH name, which need not hold a server
	usual   []string // patterns of the folders that packages install to
	fetcher *fetcher
}

func newFinder(cfg Config, acct *account, notice noticeFunc) *finder {
	f := &finder{
		account: acct,
		bin:     cmp.Or(cfg.BinDir, os.Getenv("LUMEN_POSTGRES_BIN")),
		usual: []string{
			"/usr/lib/postgresql/*/bin", // Debian
			"/usr/pgsql-*/bin",          // the PGDG's RPMs
			"/usr/libexec/postgresql*",  // Alpine
			"/usr/local/pgsql/bin",      // from source
			"/opt/homebrew/opt/postgresql*/bin",
			"/usr/local/opt/postgresql*/bin",
			"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin",
		},
		fetcher: newFetcher(cfg, acct, notice),
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		f.nearby = append(f.nearby, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		f.nearby = append(f.nearby, filepath.Dir(path))
	}
	return f
}

// find returns the folder with initdb and postgres of the first fitting Postgres, fetching one if the machine has none.
// A cluster only runs under the major version that made it; 0 asks for any from 14 on.
func (f *finder) find(ctx context.Context, major int) (string, error) {
	if f.bin != "" {
		found, err := f.version(ctx, f.bin)
		if err == nil {
			err = fits(found, major)
		}
		if err != nil {
			return "", fmt.Errorf("LUMEN_POSTGRES_BIN=%s: %w", f.bin, err)
		}
		return filepath.Abs(f.bin)
	}
	var unfit []string
	for _, bin := range f.candidates() {
		found, err := f.version(ctx, bin)
		if err == nil {
			err = fits(found, major)
		}
		if err == nil {
			return bin, nil
		}
		if !errors.Is(err, errNoServer) {
			unfit = append(unfit, fmt.Sprintf("%s: %v", bin, err))
		}
	}
	bin, err := f.fetcher.fetch(ctx, major)
	if err == nil {
		return bin, nil
	}
	if ctx.Err() != nil { // not a fault of this machine's
		return "", fmt.Errorf("find or fetch a Postgres: %w", context.Cause(ctx))
	}
	wanted := fmt.Sprintf("Postgres %d or newer", oldest)
	if major != 0 {
		wanted = fmt.Sprintf("Postgres %d, which made this data,", major)
	}
	reasons := append(unfit, err.Error())
	return "", fmt.Errorf("no %s was found on this machine and none could be fetched (%s): install it, or set LUMEN_POSTGRES_BIN to its bin folder",
		wanted, strings.Join(reasons, "; "))
}

func fits(found, wanted int) error {
	if wanted != 0 && found != wanted {
		return fmt.Errorf("it is Postgres %d and the data was made by %d", found, wanted)
	}
	if found < oldest {
		return fmt.Errorf("it is Postgres %d, which is too old", found)
	}
	return nil
}

// candidates lists folders in the order they are tried, without repeats.
func (f *finder) candidates() []string {
	all := slices.Clone(f.nearby)
	for _, pattern := range f.usual {
		found, _ := filepath.Glob(pattern)
		slices.SortStableFunc(found, func(a, b string) int { return versionInPath(b) - versionInPath(a) })
		all = append(all, found...)
	}
	var list []string
	for _, bin := range all {
		if !slices.Contains(list, bin) {
			list = append(list, bin)
		}
	}
	return list
}

var digits = regexp.MustCompile(`\d+`)

// versionInPath returns the last number in path, which in the usual locations is the version.
func versionInPath(path string) int {
	all := digits.FindAllString(path, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(all[len(all)-1])
	return n
}

// errNoServer says of a folder that it holds no server: pg_config and psql are often installed without one.
var errNoServer = errors.New("it does not hold both initdb and postgres")

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// version returns the major version of the server in bin, asked as the account, which must be able to run it.
func (f *finder) version(ctx context.Context, bin string) (int, error) {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(bin, name)); err != nil || info.IsDir() {
			return 0, errNoServer
		}
	}
	out, err := f.account.command(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("it can't be run: %w", err)
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("it calls itself %q", strings.TrimSpace(string(out)))
	}
	return strconv.Atoi(string(match[1]))
}
