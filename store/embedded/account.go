//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the unprivileged user that Postgres runs as when this program runs as root: Postgres
// refuses to run as root. A nil account is the user of this process.
type account struct {
	name     string
	uid, gid uint32
}

// accountFor returns the account for the instance in dir. The owner of existing data stays its
// owner: one run under sudo must not take the data away from an ordinary user.
func accountFor(dir string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if info, err := os.Stat(filepath.Join(dir, clusterName)); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			return &account{name: fmt.Sprintf("user %d", st.Uid), uid: st.Uid, gid: st.Gid}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseInt(u.Uid, 10, 64)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseInt(u.Gid, 10, 64)
		if err != nil {
			continue
		}
		return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("postgres does not run as root, and there is no user postgres or nobody to run it as")
}

// command prepares a program to run as the account. The program has its own process group, so that
// Ctrl-C in the terminal reaches this program first. Its working directory is /, because the
// account may not be able to read the current one.
func (a *account) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.Env = serverEnvironment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return cmd
}

// serverEnvironment returns the few variables that the server needs. Others, such as PGDATA, PGPORT
// and NOTIFY_SOCKET, would change what Postgres does, and this program's secrets must not reach
// another user. The C locale keeps the server's messages in English, because runServer reads them.
func serverEnvironment() []string {
	env := []string{"LC_ALL=C"}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "PATH", "TMPDIR", "TZ", "TZDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH":
			env = append(env, entry)
		}
	}
	return env
}

// canEnter reports whether the account may enter dir. It asks the kernel, because file modes do not
// show access lists and mounts.
func (a *account) canEnter(ctx context.Context, dir string) (bool, error) {
	if a == nil {
		return true, nil
	}
	err := a.command(ctx, "/bin/sh", "-c", `cd -- "$1"`, "sh", dir).Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("run a program as %s: %w", a.name, err)
	}
	return true, nil
}

// chown makes the account the owner of path.
func (a *account) chown(path string) error {
	if a == nil {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// chownTree makes the account the owner of path and of everything below it.
func (a *account) chownTree(path string) error {
	if a == nil {
		return nil
	}
	return filepath.WalkDir(path, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return a.chown(p)
	})
}
