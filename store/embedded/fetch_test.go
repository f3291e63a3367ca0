//go:build unix

package embedded

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

// jarOf packs entries as the published archives are packed.
func jarOf(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var packed bytes.Buffer
	squeeze, err := xz.NewWriter(&packed)
	require.NoError(t, err)
	archive := tar.NewWriter(squeeze)
	for _, entry := range entries {
		if entry.Typeflag == tar.TypeReg {
			entry.Size = int64(len(entry.Name))
		}
		require.NoError(t, archive.WriteHeader(&entry))
		if entry.Typeflag == tar.TypeReg {
			_, err := archive.Write([]byte(entry.Name))
			require.NoError(t, err)
		}
	}
	require.NoError(t, archive.Close())
	require.NoError(t, squeeze.Close())

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

var archived = []tar.Header{
	{Name: "./bin/", Typeflag: tar.TypeDir, Mode: 0o700},
	{Name: "./bin/initdb", Typeflag: tar.TypeReg, Mode: 0o700},
	{Name: "./bin/postgres", Typeflag: tar.TypeReg, Mode: 0o755},
	{Name: "lib/libpq.so.5.18", Typeflag: tar.TypeReg, Mode: 0o600},
	{Name: "lib/libpq.so", Typeflag: tar.TypeSymlink, Linkname: "libpq.so.5.18"},
}

// repository serves one jar, its checksum unless that is empty, and counts what is asked for.
func repository(t *testing.T, edition string, jar []byte, checksum string) (*fetcher, *atomic.Int32) {
	t.Helper()
	var asked atomic.Int32
	name := "embedded-postgres-binaries-" + platform()
	path := "/io/zonky/test/postgres/" + name + "/" + edition + "/" + name + "-" + edition + ".jar"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch {
		case r.URL.Path == path:
			_, _ = w.Write(jar)
		case r.URL.Path == path+".sha256" && checksum != "":
			_, _ = w.Write([]byte(checksum))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	acct, err := accountFor(scratch)
	require.NoError(t, err)
	return &fetcher{account: acct, notice: (&notices{}).add, repository: server.URL, cache: newFolder(t)}, &asked
}

func checksum(jar []byte) string {
	sum := sha256.Sum256(jar)
	return hex.EncodeToString(sum[:])
}

func TestFetch(t *testing.T) {
	t.Parallel()
	t.Run("downloads once, for every user to run", func(t *testing.T) {
		t.Parallel()
		jar := jarOf(t, archived...)
		f, asked := repository(t, editions[newest], jar, checksum(jar))
		bin, err := f.fetch(t.Context(), 0)
		require.NoError(t, err)
		again, err := f.fetch(t.Context(), newest)
		require.NoError(t, err)
		require.Equal(t, bin, again)
		require.EqualValues(t, 2, asked.Load(), "the checksum and the jar")

		for name, mode := range map[string]os.FileMode{".": 0o755, "bin": 0o755, "bin/initdb": 0o755, "bin/postgres": 0o755, "lib/libpq.so": 0o644} {
			info, err := os.Stat(filepath.Join(filepath.Dir(bin), name))
			require.NoError(t, err)
			require.Equal(t, mode, info.Mode().Perm(), name)
		}
		content, err := os.ReadFile(filepath.Join(bin, "..", "lib", "libpq.so"))
		require.NoError(t, err)
		require.Equal(t, "lib/libpq.so.5.18", string(content))
		ok, err := f.account.canEnter(t.Context(), bin)
		require.NoError(t, err)
		require.True(t, ok)
		entries, err := os.ReadDir(f.cache)
		require.NoError(t, err)
		require.Len(t, entries, 2, "the Postgres and the lock")
	})
	t.Run("gets the version that the data needs", func(t *testing.T) {
		t.Parallel()
		jar := jarOf(t, archived...)
		f, _ := repository(t, editions[15], jar, checksum(jar))
		_, err := f.fetch(t.Context(), 15)
		require.NoError(t, err)
		_, err = f.fetch(t.Context(), 99)
		require.ErrorContains(t, err, "there is no download of Postgres 99")
	})

	t.Run("shows no password of a repository's", func(t *testing.T) {
		t.Parallel()
		var shown strings.Builder
		f, _ := repository(t, editions[newest], nil, "")
		f.notice = func(format string, args ...any) { fmt.Fprintf(&shown, format, args...) }
		for _, address := range []string{"://user:hunter2@", "://user:hunter2%zz@", "://user:hunter2@nowhere.invalid:port/"} {
			f.repository = strings.Replace(f.repository, "://", address, 1)
			_, err := f.fetch(t.Context(), 0)
			require.Error(t, err)
			require.NotContains(t, shown.String()+err.Error(), "hunter2")
		}
	})

	jar := jarOf(t, archived...)
	outside := jarOf(t, append(archived, tar.Header{Name: "../escaped", Typeflag: tar.TypeReg, Mode: 0o644})...)
	link := jarOf(t, append(archived, tar.Header{Name: "lib/away", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})...)
	partial := jarOf(t, archived[:2]...)
	for name, test := range map[string]struct {
		jar             []byte
		checksum, fault string
	}{
		"refuses a wrong checksum":            {jar, strings.Repeat("0", 64), "its checksum is " + checksum(jar)},
		"refuses a jar without a checksum":    {jar, "", ".sha256: 404 Not Found"},
		"refuses an empty checksum":           {jar, " ", "its checksum is"},
		"refuses what is no jar":              {[]byte("no jar"), checksum([]byte("no jar")), "not a valid zip file"},
		"refuses an archive without a server": {partial, checksum(partial), "it does not hold both initdb and postgres"},
		"refuses a file outside":              {outside, checksum(outside), "../escaped"},
		"refuses a link that leads outside":   {link, checksum(link), "it links out of the archive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := repository(t, editions[newest], test.jar, test.checksum)
			_, err := f.fetch(t.Context(), 0)
			require.ErrorContains(t, err, test.fault)
			entries, err := os.ReadDir(f.cache)
			require.NoError(t, err)
			require.Len(t, entries, 1, "nothing but the lock is left")
		})
	}
}
