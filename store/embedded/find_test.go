//go:build unix

package embedded

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func fakeBin(name string) string { return filepath.Join(scratch, "fake", name, "bin") }

func TestFind(t *testing.T) {
	t.Parallel()
	acct, err := accountFor(scratch)
	require.NoError(t, err)
	nothing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(nothing.Close)
	offline := &fetcher{account: acct, notice: t.Logf, repository: nothing.URL, cache: filepath.Dir(newFolder(t))}
	all := filepath.Join(scratch, "fake", "*", "bin")

	for name, test := range map[string]struct {
		finder finder
		major  int
		want   string
		fault  string
	}{
		"takes the newest of a package location": {finder: finder{usual: []string{all}}, want: fakeBin("16")},
		"passes over clients without a server": {
			finder: finder{nearby: []string{fakeBin("client-only")}, usual: []string{all}}, want: fakeBin("16"),
		},
		"prefers what pg_config and PATH name":       {finder: finder{nearby: []string{fakeBin("14")}, usual: []string{all}}, want: fakeBin("14")},
		"passes over one that is too old":            {finder: finder{nearby: []string{fakeBin("13")}, usual: []string{all}}, want: fakeBin("16")},
		"takes the version that made the data":       {finder: finder{usual: []string{all}}, major: 14, want: fakeBin("14")},
		"obeys LUMEN_POSTGRES_BIN":                   {finder: finder{bin: fakeBin("14"), usual: []string{all}}, want: fakeBin("14")},
		"refuses a LUMEN_POSTGRES_BIN without one":   {finder: finder{bin: fakeBin("client-only"), usual: []string{all}}, fault: "LUMEN_POSTGRES_BIN=" + fakeBin("client-only") + ": it does not hold both initdb and postgres"},
		"refuses a LUMEN_POSTGRES_BIN that is old":   {finder: finder{bin: fakeBin("13")}, fault: "it is Postgres 13, which is too old"},
		"refuses a LUMEN_POSTGRES_BIN that is other": {finder: finder{bin: fakeBin("14")}, major: 16, fault: "it is Postgres 14 and the data was made by 16"},
		"says how to mend that there is none":        {finder: finder{usual: []string{fakeBin("1[3]")}}, fault: "404 Not Found): install it, or set LUMEN_POSTGRES_BIN to its bin folder"},
		"says which version the data needs":          {finder: finder{usual: []string{all}}, major: 15, fault: "no Postgres 15, which made this data, was found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.finder.account, test.finder.fetcher = acct, offline
			got, err := test.finder.find(t.Context(), test.major)
			if test.fault != "" {
				require.ErrorContains(t, err, test.fault)
				require.NotContains(t, err.Error(), "\n")
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}
