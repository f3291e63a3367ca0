//go:build unix

package embedded

import (
	"bytes"
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
	"syscall"
	"time"
)

// oldest is the oldest major version of Postgres that is supported.
const oldest = 14

// finder looks for the programs of a Postgres.
type finder struct {
	account *account
	bin     string   // LUMEN_POSTGRES_BIN; when set, it is the only folder considered
	named   []string // folders that pg_config and PATH name; they need not hold a server
	usual   []string // patterns of the folders that packages install to
	fetcher *fetcher
}

func newFinder(cfg Config, acct *account, p *progress) *finder {
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
		fetcher: newFetcher(cfg, acct, p),
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		f.named = append(f.named, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		f.named = append(f.named, filepath.Dir(path))
	}
	return f
}

// find returns the bin folder of the first suitable Postgres on the machine, or of one that it
// fetches. A cluster only runs under the major version that made it; 0 asks for any supported one.
func (f *finder) find(ctx context.Context, major int) (string, error) {
	if f.bin != "" {
		found, err := serverVersion(ctx, f.account, f.bin)
		if err == nil {
			err = suits(found, major)
		}
		if err != nil {
			return "", fmt.Errorf("LUMEN_POSTGRES_BIN=%s: %w", f.bin, err)
		}
		return filepath.Abs(f.bin)
	}
	var unsuitable []error
	for _, bin := range f.candidates() {
		found, err := serverVersion(ctx, f.account, bin)
		if err == nil {
			err = suits(found, major)
		}
		if err == nil {
			return bin, nil
		}
		if !errors.Is(err, errNoServer) {
			unsuitable = append(unsuitable, fmt.Errorf("%s: %w", bin, err))
		}
	}
	bin, err := f.fetcher.fetch(ctx, major)
	if err == nil {
		return bin, nil
	}
	if ctx.Err() != nil { // the caller ended the search
		return "", fmt.Errorf("find or fetch a Postgres: %w", context.Cause(ctx))
	}
	return "", noPostgres(major, errors.Join(append(unsuitable, err)...))
}

// noPostgres returns the error that tells a person how to get a Postgres. reasons has a line for
// each folder and each source that was tried.
func noPostgres(major int, reasons error) error {
	wanted := fmt.Sprintf("Postgres %d or newer", oldest)
	if major != 0 {
		wanted = fmt.Sprintf("Postgres %d, which made this data,", major)
	}
	commands := installCommands(major, os.Geteuid() == 0, func(program string) bool {
		_, err := exec.LookPath(program)
		return err == nil
	})
	const indent = "\n  "
	return fmt.Errorf("no %s is on this machine, and none could be fetched:%s\n"+
		"install it:%s\nor set LUMEN_POSTGRES_BIN to the folder of its programs",
		wanted, indent+strings.ReplaceAll(reasons.Error(), "\n", indent), indent+strings.Join(commands, indent))
}

// suits returns an error if a major version is not the wanted one, or is too old where any is
// wanted.
func suits(found, wanted int) error {
	if wanted != 0 && found != wanted {
		return fmt.Errorf("it is Postgres %d, and the data was made by %d", found, wanted)
	}
	if found < oldest {
		return fmt.Errorf("it is Postgres %d, which is too old", found)
	}
	return nil
}

// candidates lists folders in the order in which find tries them, without repeats.
func (f *finder) candidates() []string {
	all := slices.Clone(f.named)
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

// versionInPath returns the last number in path, which is the version in the usual folders.
func versionInPath(path string) int {
	all := digits.FindAllString(path, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(all[len(all)-1])
	return n
}

// errNoServer reports a folder without a server. pg_config and psql are often installed without
// one.
var errNoServer = errors.New("it does not hold both initdb and postgres")

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// serverVersion returns the major version of the server in bin. It runs the server as the account,
// and returns what the system's loader says of a server that it cannot load.
func serverVersion(ctx context.Context, acct *account, bin string) (int, error) {
	if !complete(bin) {
		return 0, errNoServer
	}
	var stdout, stderr bytes.Buffer
	run := func() error {
		stdout.Reset()
		stderr.Reset()
		cmd := acct.command(ctx, filepath.Join(bin, "postgres"), "--version")
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		return cmd.Run()
	}
	err := run()
	// A child that another goroutine forks has the files of the download open until its exec.
	for range 50 {
		if !errors.Is(err, syscall.ETXTBSY) || pause(ctx, 20*time.Millisecond) != nil {
			break
		}
		err = run()
	}
	if err != nil {
		return 0, fmt.Errorf("it does not run: %w %s", err, strings.Join(strings.Fields(stderr.String()), " "))
	}
	match := versionLine.FindSubmatch(stdout.Bytes())
	if match == nil {
		return 0, fmt.Errorf("it calls itself %q", strings.TrimSpace(stdout.String()))
	}
	return strconv.Atoi(string(match[1]))
}
