//go:build unix

package embedded

import (
	"archive/tar"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	workingServer = "#!/bin/sh\necho 'postgres (PostgreSQL) 18.9 (Fake)'\n"
	// A server as the system's loader reports one whose libraries it does not find.
	brokenServer = "#!/bin/sh\n" +
		"echo '" + loaderMessage + ": no such file' >&2\nexit 127\n"
	loaderMessage = "postgres: error while loading shared libraries: libicui18n.so.60"
)

// file is an entry of an archive, and link a symbolic link in one.
func file(name, content string, mode int64) archived {
	return archived{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(content))}, content}
}

func link(name, to string) archived {
	return archived{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}, ""}
}

type archived struct {
	tar.Header
	content string
}

func writeTar(t *testing.T, archive *tar.Writer, entries []archived) {
	t.Helper()
	for _, entry := range entries {
		require.NoError(t, archive.WriteHeader(&entry.Header))
		_, err := archive.Write([]byte(entry.content))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
}

// newTestFetcher returns a fetcher with an empty cache. Its Maven repository is handler, and it has
// no npm.
func newTestFetcher(t *testing.T, handler http.HandlerFunc) (*fetcher, *notices) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	acct, err := accountFor(scratch)
	require.NoError(t, err)
	said := &notices{}
	return &fetcher{
		account: acct, progress: &progress{said.add, nil, 10 * time.Millisecond},
		downloader: newDownloader(time.Minute, time.Minute, time.Minute),
		repository: server.URL, npmStall: time.Minute, editions: npmEditions, cache: newFolder(t),
	}, said
}

// requireEmptyCache checks that a failure leaves nothing but the lock.
func requireEmptyCache(t *testing.T, f *fetcher) {
	t.Helper()
	entries, err := os.ReadDir(f.cache)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// requireKept checks that the cache holds a Postgres that every user can run, and nothing else.
func requireKept(t *testing.T, f *fetcher, bin string) {
	t.Helper()
	for name, mode := range map[string]os.FileMode{
		".": 0o755, "bin": 0o755, "bin/initdb": 0o755, "bin/postgres": 0o755, "lib/libpq.so.5": 0o644,
	} {
		info, err := os.Stat(filepath.Join(filepath.Dir(bin), name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	content, err := os.ReadFile(filepath.Join(bin, "..", "lib", "libpq.so.5"))
	require.NoError(t, err)
	require.Equal(t, "library", string(content))
	ok, err := f.account.canEnter(t.Context(), bin)
	require.NoError(t, err)
	require.True(t, ok)
	entries, err := os.ReadDir(f.cache)
	require.NoError(t, err)
	require.Len(t, entries, 2, "the Postgres and the lock")
}

func TestFetchTriesMavenThenNPM(t *testing.T) {
	t.Parallel()
	t.Run("npm where Maven fails, and keeps what npm fetched", func(t *testing.T) {
		t.Parallel()
		var requests atomic.Int32
		f, said := newTestFetcher(t, func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			http.NotFound(w, r)
		})
		useNPM(t, f, npmTarball(t, npmEntries...), "")
		bin, err := f.fetch(t.Context(), 0)
		require.NoError(t, err)
		require.EqualValues(t, 1, requests.Load())
		require.Contains(t, strings.Join(said.lines, "\n"), "Maven: fetch "+f.repository)

		f.npm = ""
		again, err := f.fetch(t.Context(), newest)
		require.NoError(t, err)
		require.Equal(t, bin, again)
		require.EqualValues(t, 1, requests.Load(), "Maven is not asked again")
	})
	t.Run("Maven alone where it has the Postgres", func(t *testing.T) {
		t.Parallel()
		jar := jarOf(t, mavenEntries...)
		f, _ := newTestFetcher(t, serveMaven(newest, jar, sha256Of(jar)))
		f.npm = "/nowhere"
		_, err := f.fetch(t.Context(), 0)
		require.NoError(t, err)
	})
	t.Run("neither where the cache is read-only and has the Postgres", func(t *testing.T) {
		t.Parallel()
		jar := jarOf(t, mavenEntries...)
		f, _ := newTestFetcher(t, serveMaven(newest, jar, sha256Of(jar)))
		bin, err := f.fetch(t.Context(), 0)
		require.NoError(t, err)
		lock := filepath.Join(f.cache, "lock")
		require.NoError(t, os.Remove(lock))
		require.NoError(t, os.Mkdir(lock, 0o755)) // nobody can open it for writing, not even root
		again, err := f.fetch(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, bin, again)
	})
	t.Run("both where the Postgres in the cache no longer runs", func(t *testing.T) {
		t.Parallel()
		jar := jarOf(t, mavenEntries...)
		f, _ := newTestFetcher(t, serveMaven(newest, jar, sha256Of(jar)))
		bin, err := f.fetch(t.Context(), 0)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(bin, "postgres"), []byte(brokenServer), 0o755))
		f.repository += "/gone"
		useNPM(t, f, npmTarball(t, npmEntries...), "")
		again, err := f.fetch(t.Context(), 0)
		require.NoError(t, err)
		require.NotEqual(t, bin, again)
	})
	t.Run("and reports both", func(t *testing.T) {
		t.Parallel()
		f, _ := newTestFetcher(t, http.NotFound)
		_, err := f.fetch(t.Context(), 0)
		require.ErrorContains(t, err, "Maven: fetch "+f.repository)
		require.ErrorContains(t, err, "npm: it is not on the PATH")
		_, err = f.fetch(t.Context(), 99)
		require.EqualError(t, err, "Maven: there is no download of Postgres 99\n"+
			"npm: there is no package of Postgres 99 for "+npmPlatform())
	})
}
