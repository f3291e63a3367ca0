//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// lock is an advisory lock on a file that contains its holder's process id. The kernel releases it
// when the holder dies, so it is never stale.
type lock struct {
	file    *os.File
	release func()
}

// lock locks the folder for this process or returns an *InUseError.
func (f *folder) lock(ctx context.Context) (*lock, error) {
	file, err := f.openFile(lockName, os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	// The holder writes its process id a moment after it has the lock.
	deadline := time.Now().Add(time.Second)
	for {
		held, err := tryLock(file)
		if err == nil {
			return held, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			file.Close()
			return nil, fmt.Errorf("lock the data folder: %w", err)
		}
		if pid := holder(file); pid != 0 || time.Now().After(deadline) {
			file.Close()
			return nil, &InUseError{DataDir: f.path, PID: pid}
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			file.Close()
			return nil, err
		}
	}
}

// waitLock locks a file, and waits until its holder releases it.
func waitLock(ctx context.Context, path string) (*lock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		held, err := tryLock(file)
		if err == nil {
			return held, nil
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = pause(ctx, 100*time.Millisecond)
		}
		if err != nil {
			file.Close()
			return nil, err
		}
	}
}

func tryLock(file *os.File) (*lock, error) {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		break
	}
	if err := file.Truncate(0); err != nil {
		return nil, err
	}
	if _, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, err
	}
	return &lock{file: file, release: sync.OnceFunc(func() {
		_ = file.Truncate(0)
		// Close alone would leave the lock with a child between its fork and its exec.
		_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
		_ = file.Close()
	})}, nil
}

func holder(file *os.File) int {
	buf := make([]byte, 32)
	n, _ := file.ReadAt(buf, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	return pid
}

// pause waits for d. If ctx ends first, pause returns its error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
