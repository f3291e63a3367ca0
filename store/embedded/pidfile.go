//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pidFile is the part of postmaster.pid that this package needs.
type pidFile struct {
	pid   int
	port  int
	ready bool
}

func (f *folder) pidPath() string { return filepath.Join(f.cluster(), "postmaster.pid") }

// readPIDFile returns the zero value if there is no file, and zero fields for lines that Postgres
// has not written yet.
func (f *folder) readPIDFile() (pidFile, error) {
	text, err := os.ReadFile(f.pidPath())
	if errors.Is(err, fs.ErrNotExist) {
		return pidFile{}, nil
	}
	if err != nil {
		return pidFile{}, fmt.Errorf("read postmaster.pid: %w", err)
	}
	lines := strings.Split(string(text), "\n")
	var p pidFile
	p.pid, _ = strconv.Atoi(strings.TrimSpace(lines[0]))
	if len(lines) > 3 {
		p.port, _ = strconv.Atoi(strings.TrimSpace(lines[3]))
	}
	if len(lines) > 7 {
		p.ready = strings.TrimSpace(lines[7]) == "ready"
	}
	return p, nil
}

// clearPIDFile removes a postmaster.pid without a server. Postgres removes it, too, but not when
// another process of the same user now has its process id. An old "ready" must not pass for that of
// the new server, either. Postgres also guards the cluster with a shared memory segment: it would
// notice a server that this function overlooks.
//
// The caller holds the folder's lock. A server that runs on the cluster therefore belongs to a
// program that was killed, and is shutting down, or a person has started it. clearPIDFile waits for
// the first, and returns an *InUseError for the second.
func (f *folder) clearPIDFile(ctx context.Context, p *progress) error {
	old, err := f.readPIDFile()
	if err == nil && f.serves(ctx, old.pid) {
		p.notice("waiting for process %d, the Postgres of an earlier run, to leave %s", old.pid, f.path)
		err = p.waiting("waiting for the Postgres of an earlier run", func() (err error) {
			old, err = f.awaitExit(ctx)
			return err
		})
	}
	if err != nil {
		return err
	}
	return f.removePIDFile(old, p.notice)
}

// awaitExit waits until no server runs on the cluster and returns what its pid file then says.
func (f *folder) awaitExit(ctx context.Context) (pidFile, error) {
	for deadline := time.Now().Add(2 * stopGrace); ; {
		old, err := f.readPIDFile()
		if err != nil || !f.serves(ctx, old.pid) {
			return old, err
		}
		inUse := &InUseError{DataDir: f.path, PID: old.pid}
		if time.Now().After(deadline) {
			return old, inUse
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return old, fmt.Errorf("%w: %w", inUse, err)
		}
	}
}

func (f *folder) removePIDFile(old pidFile, notice noticeFunc) error {
	err := os.Remove(f.pidPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove a stale postmaster.pid: %w", err)
	}
	if old.pid > 0 && alive(old.pid) {
		notice("removed a stale postmaster.pid: process %d is not the Postgres of %s", old.pid, f.path)
	} else {
		notice("removed a stale postmaster.pid: Postgres was not shut down in order and recovers now")
	}
	return nil
}

// serves reports whether pid is a Postgres on this cluster. The working directory of a postmaster
// is its cluster. On systems without /proc, its arguments name the cluster.
func (f *folder) serves(ctx context.Context, pid int) bool {
	if pid <= 1 || pid == os.Getpid() || !alive(pid) {
		return false
	}
	if _, err := os.Readlink("/proc/self/cwd"); err == nil {
		// A link that cannot be read belongs to another user's process, so it is not the server:
		// that runs as the cluster's owner.
		cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		return err == nil && cwd == f.cluster()
	}
	args, err := exec.CommandContext(ctx, "ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(args), "postgres") && strings.Contains(string(args), f.cluster())
}
