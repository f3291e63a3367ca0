//go:build unix

package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	clusterName  = "postgres"
	lockName     = "lock"
	logName      = "postgres.log"
	passwordName = "password"
)

// fallbackDir holds the data whose own folder the server's account cannot reach. It is a variable
// for the tests.
var fallbackDir = "/var/lib/lumen"

// folder is the folder of one instance, with the account that its server runs as.
type folder struct {
	path    string
	account *account
}

func (f *folder) cluster() string { return filepath.Join(f.path, clusterName) }

// openFolder makes the folder, or one in fallbackDir if the server's account cannot reach the
// folder.
func openFolder(ctx context.Context, asked string, notice noticeFunc) (*folder, error) {
	if asked == "" {
		return nil, errors.New("no data folder was given")
	}
	path, err := resolve(asked)
	if err != nil {
		return nil, err
	}
	home, err := tryFolder(ctx, path)
	if err == nil || !errors.Is(err, errClosed) {
		return home, err
	}
	// The hash keeps two folders of the same name apart.
	sum := sha256.Sum256([]byte(path))
	moved := filepath.Join(fallbackDir, filepath.Base(path)+"-"+hex.EncodeToString(sum[:4]))
	reason := err
	if home, err = tryFolder(ctx, moved); err != nil {
		return nil, fmt.Errorf("%w; and %s cannot replace it: %w", reason, moved, err)
	}
	notice("%v: the data is kept in %s instead", reason, moved)
	return home, nil
}

// errClosed marks a folder that the server's account cannot enter.
var errClosed = errors.New("out of reach")

func tryFolder(ctx context.Context, path string) (*folder, error) {
	acct, err := accountFor(path)
	if err != nil {
		return nil, err
	}
	existing := deepestExisting(path)
	if existing != path || acct == nil {
		// This comes first: nothing is made below a parent that the account cannot enter.
		if err := mustEnter(ctx, acct, existing, path); err != nil {
			return nil, err
		}
		if err := makeFolders(path, acct); err != nil {
			return nil, fmt.Errorf("make the data folder: %w", err)
		}
		return &folder{path, acct}, mustEnter(ctx, acct, path, path)
	}
	if err := mustEnter(ctx, acct, filepath.Dir(path), path); err != nil {
		return nil, err
	}
	if ok, err := acct.canEnter(ctx, path); err != nil {
		return nil, err
	} else if !ok && looksOurs(path) {
		if err := admit(path, acct); err != nil {
			return nil, err
		}
	}
	return &folder{path, acct}, mustEnter(ctx, acct, path, path)
}

func mustEnter(ctx context.Context, acct *account, dir, wanted string) error {
	ok, err := acct.canEnter(ctx, dir)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("postgres must run as the user %s, for whom %s is %w", acct.name, wanted, errClosed)
	}
	return nil
}

// looksOurs reports whether a closed folder is empty or was made by this package. Only such a
// folder may be opened to the account.
func looksOurs(path string) bool {
	entries, err := os.ReadDir(path)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Name() == lockName {
			return true
		}
	}
	return len(entries) == 0
}

// admit lets the account's group enter the folder, and no other user.
func admit(path string, acct *account) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.Chown(path, -1, int(acct.gid)); err != nil {
		return fmt.Errorf("open the data folder to %s: %w", acct.name, err)
	}
	return os.Chmod(path, info.Mode().Perm()|0o010)
}

// makeFolders is like os.MkdirAll. If the server runs as another account, that account can enter
// the new folders whatever the umask is.
func makeFolders(path string, acct *account) error {
	if acct == nil {
		return os.MkdirAll(path, 0o700)
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeFolders(filepath.Dir(path), acct); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); errors.Is(err, fs.ErrExist) {
		return nil // another program has made it meanwhile
	} else if err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// resolve makes path absolute and resolves symbolic links, so that each folder has one name.
func resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	existing := deepestExisting(abs)
	real, err := filepath.EvalSymlinks(existing)
	if err != nil {
		return "", err
	}
	rest, err := filepath.Rel(existing, abs)
	if err != nil {
		return "", err
	}
	return filepath.Join(real, rest), nil
}

func deepestExisting(path string) string {
	for path != filepath.Dir(path) {
		if _, err := os.Stat(path); err == nil {
			return path
		}
		path = filepath.Dir(path)
	}
	return path
}

// openFile opens a file of this package in the folder. Under sudo, the file gets the folder's
// owner. That owner must not lead root to another file: a symbolic link is refused.
func (f *folder) openFile(name string, flag int, mode os.FileMode) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(f.path, name), flag|os.O_CREATE|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if info, err := os.Stat(f.path); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				_ = file.Chown(int(st.Uid), int(st.Gid)) // for later runs without sudo
			}
		}
	}
	return file, nil
}

// writeFile writes a file in the folder that only the folder's owner can read. After
// a crash the file is whole or as it was before.
func (f *folder) writeFile(name, text string) error {
	temporary := name + ".new"
	file, err := f.openFile(temporary, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", temporary, err)
	}
	return os.Rename(filepath.Join(f.path, temporary), filepath.Join(f.path, name))
}

// WriteSecret writes a file in a data folder. Only the owner of the folder can read it, even if
// this program runs as root. After a crash the file is whole or as it was before.
func WriteSecret(path, text string) error {
	return (&folder{path: filepath.Dir(path)}).writeFile(filepath.Base(path), text)
}
