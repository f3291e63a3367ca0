//go:build unix

package embedded

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

var mavenEntries = []archived{
	{tar.Header{Name: "./bin/", Typeflag: tar.TypeDir, Mode: 0o700}, ""},
	file("./bin/initdb", "#!/bin/sh\n", 0o700),
	file("./bin/postgres", workingServer, 0o755),
	file("lib/libpq.so.5.18", "library", 0o600),
	link("lib/libpq.so.5", "libpq.so.5.18"),
}

// jarOf packs entries as the published archives are packed.
func jarOf(t *testing.T, entries ...archived) []byte {
	t.Helper()
	var packed bytes.Buffer
	compressor, err := xz.NewWriter(&packed)
	require.NoError(t, err)
	writeTar(t, tar.NewWriter(compressor), entries)
	require.NoError(t, compressor.Close())

	var jar bytes.Buffer
	bundle := zip.NewWriter(&jar)
	for name, content := range map[string][]byte{"META-INF/MANIFEST.MF": nil, "postgres-any.txz": packed.Bytes()} {
		w, err := bundle.Create(name)
		require.NoError(t, err)
		_, err = w.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, bundle.Close())
	return jar.Bytes()
}

// serveMaven serves one jar, and its checksum unless that is empty.
func serveMaven(major int, jar []byte, checksum string) http.HandlerFunc {
	name, version := "embedded-postgres-binaries-"+mavenPlatform(), mavenEditions[major]
	path := "/io/zonky/test/postgres/" + name + "/" + version + "/" + name + "-" + version + ".jar"
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == path:
			_, _ = w.Write(jar)
		case r.URL.Path == path+".sha256" && checksum != "":
			_, _ = w.Write([]byte(checksum))
		default:
			http.NotFound(w, r)
		}
	}
}

func sha256Of(jar []byte) string {
	sum := sha256.Sum256(jar)
	return hex.EncodeToString(sum[:])
}

func TestMaven(t *testing.T) {
	t.Parallel()
	jar := jarOf(t, mavenEntries...)
	t.Run("downloads once, for every user to run", func(t *testing.T) {
		t.Parallel()
		var requests atomic.Int32
		serve := serveMaven(newest, jar, sha256Of(jar))
		f, said := newTestFetcher(t, func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			serve(w, r)
		})
		require.NoError(t, os.MkdirAll(filepath.Join(f.cache, "unpack-killed", "bin"), 0o755))
		bin, err := f.fetch(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, "no suitable Postgres on this machine: fetching one, once", said.lines[0])
		require.Contains(t, said.lines[1], "downloading "+f.repository)
		again, err := f.fetch(t.Context(), newest)
		require.NoError(t, err)
		require.Equal(t, bin, again)
		require.EqualValues(t, 2, requests.Load(), "the checksum and the jar")
		requireKept(t, f, bin)
	})
	t.Run("gets the version that the data needs", func(t *testing.T) {
		t.Parallel()
		f, _ := newTestFetcher(t, serveMaven(15, jar, sha256Of(jar)))
		_, err := f.fetch(t.Context(), 15)
		require.NoError(t, err)
	})
	t.Run("shows no password of a repository", func(t *testing.T) {
		t.Parallel()
		f, said := newTestFetcher(t, http.NotFound)
		for _, address := range []string{
			"://user:hunter2@", "://user:hunter2%zz@", "://user:hunter2@nowhere.invalid:port/",
		} {
			f.repository = strings.Replace(f.repository, "://", address, 1)
			_, err := f.fetch(t.Context(), 0)
			require.Error(t, err)
			require.NotContains(t, strings.Join(said.lines, "")+err.Error(), "hunter2")
		}
	})

	outside := jarOf(t, append(mavenEntries, file("../escaped", "", 0o644))...)
	linked := jarOf(t, append(mavenEntries, link("lib/away", "/etc/passwd"))...)
	partial := jarOf(t, mavenEntries[:2]...)
	broken := jarOf(t, file("bin/initdb", "", 0o755), file("bin/postgres", brokenServer, 0o755))
	for name, test := range map[string]struct {
		jar             []byte
		checksum, fault string
	}{
		"refuses a wrong checksum":              {jar, strings.Repeat("0", 64), "its checksum is " + sha256Of(jar)},
		"refuses a jar without a checksum":      {jar, "", ".sha256: 404 Not Found"},
		"refuses an empty checksum":             {jar, " ", "its checksum is"},
		"refuses a file that is not a jar":      {[]byte("no jar"), sha256Of([]byte("no jar")), "not a valid zip file"},
		"refuses an archive without a server":   {partial, sha256Of(partial), errNoServer.Error()},
		"refuses a server that does not run":    {broken, sha256Of(broken), "exit status 127 " + loaderMessage},
		"refuses a file outside of the archive": {outside, sha256Of(outside), "../escaped"},
		"refuses a link out of the archive":     {linked, sha256Of(linked), "it links out of the archive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := newTestFetcher(t, serveMaven(newest, test.jar, test.checksum))
			_, err := f.fetch(t.Context(), 0)
			require.ErrorContains(t, err, test.fault)
			requireEmptyCache(t, f)
		})
	}
}
