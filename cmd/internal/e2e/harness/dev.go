package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// DataDir returns a folder that is removed after the test. If the tests run as root, Postgres runs
// as an unprivileged user, who can enter this folder but not one of t.TempDir.
func DataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lumen-dev-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// usedFolder is the data folder of a dev that ran once, which Main removes.
var usedFolder struct {
	sync.Mutex
	path string
}

// UsedDataDir returns a folder like DataDir with the data of a dev that ran once and was stopped. A
// first start takes several times as long as a later one.
func UsedDataDir(t *testing.T) string {
	t.Helper()
	usedFolder.Lock()
	defer usedFolder.Unlock()
	if usedFolder.path == "" {
		path, err := os.MkdirTemp("", "lumen-used-")
		require.NoError(t, err)
		require.NoError(t, os.Chmod(path, 0o755))
		p, _ := LaunchDev(t, filepath.Join(path, "data"))
		require.NoError(t, p.Cmd.Process.Signal(os.Interrupt))
		require.NoError(t, p.Wait(t))
		usedFolder.path = path
	}
	dir := DataDir(t)
	out, err := exec.Command("cp", "-a", filepath.Join(usedFolder.path, "data")+"/.", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return dir
}

// Ready is the JSON that dev prints with --json. serve prints only the URLs.
type Ready struct {
	URLs
	DatabaseURL string `json:"databaseUrl"` // the owner's
	MerchantID  string `json:"merchantId"`
	APIKey      string `json:"apiKey"`
	Merchants   []struct {
		ID     string `json:"id"`
		Name   string `json:"name"`
		APIKey string `json:"apiKey"`
	} `json:"merchants"`
}

// LaunchDev starts `lumen dev` on a data folder and returns when it is ready.
func LaunchDev(t *testing.T, dir string, args ...string) (*Process, Ready) {
	t.Helper()
	p := Launch(t, nil, append([]string{"dev", "--addr", "127.0.0.1:0", "--json", "--data-dir", dir}, args...)...)
	return p, p.Ready(t)
}
