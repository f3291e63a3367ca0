//go:build unix

package embedded

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFolderBelowClosedParent(t *testing.T) {
	t.Parallel()
	parent := filepath.Dir(newFolder(t))
	require.NoError(t, os.Chmod(parent, 0o700))
	asked := filepath.Join(parent, "data")
	server, said := start(t, Config{DataDir: asked})
	if os.Geteuid() != 0 { // the Postgres of an ordinary user can enter that user's folders
		require.Equal(t, asked, server.DataDir())
		require.Empty(t, said.lines)
		return
	}
	require.Equal(t, fallbackDir, filepath.Dir(server.DataDir()))
	require.Len(t, said.lines, 1)
	require.Contains(t, said.lines[0], asked)
	require.Contains(t, said.lines[0], server.DataDir())
	require.NoDirExists(t, asked)
	require.NoError(t, server.Stop())

	again, _ := start(t, Config{DataDir: asked})
	require.Equal(t, server.DataDir(), again.DataDir(), "the second start finds the data")

	require.NoError(t, os.Mkdir(filepath.Join(parent, "b"), 0o755))
	other, err := openFolder(t.Context(), filepath.Join(parent, "b", "data"), (&notices{}).add)
	require.NoError(t, err)
	require.NotEqual(t, server.DataDir(), other.path, "folders of the same name are kept apart")
}

func TestClosedFolder(t *testing.T) {
	t.Parallel()
	t.Run("that is empty is opened for the server's group alone", func(t *testing.T) {
		t.Parallel()
		dir, err := os.MkdirTemp(scratch, "closed-")
		require.NoError(t, err)
		server, said := start(t, Config{DataDir: dir})
		require.Equal(t, dir, server.DataDir())
		require.Empty(t, said.lines)
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o067)
	})
	t.Run("that holds other things stays closed", func(t *testing.T) {
		t.Parallel()
		dir, err := os.MkdirTemp(scratch, "closed-")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "letter"), nil, 0o600))
		home, err := openFolder(t.Context(), dir, (&notices{}).add)
		require.NoError(t, err)
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
		require.Equal(t, os.Geteuid() == 0, home.path != dir)
	})
}

func TestFolderHasOneName(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(newFolder(t))
	link := dir + "-link"
	require.NoError(t, os.Symlink(dir, link))
	got, err := resolve(filepath.Join(link, "a", "..", "b", "c"))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "b", "c"), got)
}

// A run under sudo must leave the owner of the folder able to read it, and must not write to a file
// that the owner leads it to.
func TestSecretsBelongToTheOwnerOfTheFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(newFolder(t))
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(dir, 65534, 65534))
	}
	path := filepath.Join(dir, "secret")
	for _, text := range []string{"first", "second"} {
		require.NoError(t, WriteSecret(path, text))
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(content))
	}
	folder, err := os.Stat(dir)
	require.NoError(t, err)
	file, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, folder.Sys().(*syscall.Stat_t).Uid, file.Sys().(*syscall.Stat_t).Uid)
	require.Equal(t, os.FileMode(0o600), file.Mode().Perm())

	other := filepath.Join(scratch, filepath.Base(dir)+"-other")
	require.NoError(t, os.WriteFile(other, []byte("other"), 0o600))
	require.NoError(t, os.Symlink(other, path+".new"))
	require.Error(t, WriteSecret(path, "third"))
	content, err := os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, "other", string(content))
}
