package harness

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// DataDir returns a folder that is removed after the test. When the tests run as root, the
// unprivileged user of Postgres can enter it, unlike t.TempDir.
func DataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lumen-dev-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Ready is what dev prints with --json; serve prints the URLs alone.
type Ready struct {
	URLs
	DatabaseURL string `json:"databaseUrl"` // the owner's
	MerchantID  string `json:"merchantId"`
	APIKey      string `json:"apiKey"`
}

// LaunchDev starts `lumen dev` on a data folder and returns when it is ready.
func LaunchDev(t *testing.T, dir string, args ...string) (*Process, Ready) {
	t.Helper()
	p := Launch(t, nil, append([]string{"dev", "--addr", "127.0.0.1:0", "--json", "--data-dir", dir}, args...)...)
	return p, p.Ready(t)
}
