//go:build unix

package embedded

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// newest is the version fetched for new data, and editions are those for data that an older one made: the builds that
// zonky publishes as io.zonky.test.postgres:embedded-postgres-binaries-*.
const newest = 18

var editions = map[int]string{18: "18.3.0", 17: "17.5.0", 16: "16.9.0", 15: "15.13.0", 14: "14.18.0"}

// machineCache holds the downloads of a root whose own cache the server's account can't reach. A variable for the tests.
var machineCache = "/var/cache/lumen"

// fetcher downloads a Postgres once and keeps it.
//
// fergusstrange/embedded-postgres fetches the same archives, but only as a part of starting them, which it refuses to do as
// root, and takes one without a checksum.
type fetcher struct {
	account    *account
	notice     noticeFunc
	repository string // a Maven repository, LUMEN_POSTGRES_REPOSITORY
	cache      string // empty: the user's cache folder
}

func newFetcher(cfg Config, acct *account, notice noticeFunc) *fetcher {
	repository := cmp.Or(cfg.Repository, os.Getenv("LUMEN_POSTGRES_REPOSITORY"), "https://repo1.maven.org/maven2")
	return &fetcher{account: acct, notice: notice, repository: strings.TrimSuffix(repository, "/")}
}

// fetch returns the bin folder of a Postgres of this major version (0: the newest known), downloaded now or earlier.
func (f *fetcher) fetch(ctx context.Context, major int) (string, error) {
	if major == 0 {
		major = newest
	}
	edition, ok := editions[major]
	if !ok {
		return "", fmt.Errorf("there is no download of Postgres %d", major)
	}
	cache, err := f.openCache(ctx)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("embedded-postgres-binaries-%s-%s", platform(), edition)
	place := filepath.Join(cache, name)
	bin := filepath.Join(place, "bin")

	// Programs that start at once download once.
	held, err := waitLock(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return "", fmt.Errorf("lock %s: %w", cache, err)
	}
	defer held.release()
	if complete(bin) {
		return bin, nil
	}
	for _, pattern := range []string{"download-*", "unpack-*"} { // of a program that was killed
		left, _ := filepath.Glob(filepath.Join(cache, pattern))
		for _, path := range left {
			_ = os.RemoveAll(path)
		}
	}

	address := fmt.Sprintf("%s/io/zonky/test/postgres/embedded-postgres-binaries-%s/%s/%s.jar", f.repository, platform(), edition, name)
	f.notice("no fitting Postgres on this machine: fetching %s, once", redacted(address))
	jar, err := f.download(ctx, address, cache)
	if err != nil {
		return "", err
	}
	defer os.Remove(jar)

	work, err := os.MkdirTemp(cache, "unpack-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := unpackJar(jar, work); err != nil {
		return "", fmt.Errorf("unpack %s: %w", redacted(address), err)
	}
	if !complete(filepath.Join(work, "bin")) {
		return "", fmt.Errorf("unpack %s: %w", redacted(address), errNoServer)
	}
	if err := os.Rename(work, place); err != nil {
		return "", err
	}
	f.notice("Postgres %s is kept in %s", edition, place)
	return bin, nil
}

// openCache makes the folder for downloads, one that the server's account can read.
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
			dir = machineCache
		}
	}
	if ok, err := f.account.canEnter(ctx, deepestExisting(dir)); err != nil {
		return "", err
	} else if !ok {
		dir = machineCache
	}
	if err := makeFolders(dir, f.account); err != nil {
		return "", fmt.Errorf("make a folder for the download: %w", err)
	}
	return dir, nil
}

func complete(bin string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return false
		}
	}
	return true
}

// platform names this machine as the archives do.
func platform() string {
	arch := runtime.GOARCH
	switch arch {
	case "arm64":
		arch = "arm64v8"
	case "386":
		arch = "i386"
	}
	if _, err := os.Stat("/etc/alpine-release"); err == nil {
		arch += "-alpine" // musl, not glibc
	}
	return runtime.GOOS + "-" + arch
}

// download saves the file at address in dir. The checksum published beside it must be there and must agree.
func (f *fetcher) download(ctx context.Context, address, dir string) (_ string, err error) {
	published, err := get(ctx, address+".sha256")
	if err != nil {
		return "", err
	}
	defer published.Body.Close()
	text, err := io.ReadAll(io.LimitReader(published.Body, 1<<10))
	if err != nil {
		return "", fmt.Errorf("fetch %s.sha256: %w", redacted(address), err)
	}
	want, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")

	response, err := get(ctx, address)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	file, err := os.CreateTemp(dir, "download-")
	if err != nil {
		return "", err
	}
	defer func() {
		file.Close()
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	bar := progressbar.NewOptions64(response.ContentLength,
		progressbar.OptionSetDescription("Postgres"), progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowBytes(true),
		progressbar.OptionSetVisibility(term.IsTerminal(int(os.Stderr.Fd()))), progressbar.OptionClearOnFinish())
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(file, sum, bar), response.Body); err != nil {
		return "", fmt.Errorf("fetch %s: %w", redacted(address), err)
	}
	_ = bar.Finish()
	if got := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(got, want) {
		return "", fmt.Errorf("fetch %s: its checksum is %s, published is %q", redacted(address), got, want)
	}
	return file.Name(), nil
}

// redacted returns an address as it may be shown: that of a repository may hold a password.
func redacted(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "the repository"
	}
	return parsed.Redacted()
}

func get(ctx context.Context, address string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil { // whose text repeats the address
		return nil, errors.New("the repository's address is not a URL")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("fetch %s: %s", redacted(address), response.Status)
	}
	return response, nil
}
