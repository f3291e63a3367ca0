//go:build faults && unix

package embedded

import (
	"context"
	"os/exec"
	"path/filepath"
)

// Programs are the programs of a Postgres, for tests that run a server themselves in order to break
// it. They run as the user that Start would choose.
type Programs struct {
	bin     string
	account *account
}

// FindPrograms returns the programs that Start would use for new data. Like Start, it fetches them
// if none are installed.
func FindPrograms(ctx context.Context) (*Programs, error) {
	account, err := accountFor("/")
	if err != nil {
		return nil, err
	}
	bin, err := newFinder(Config{}, account, newProgress(func(string, ...any) {})).find(ctx, 0)
	if err != nil {
		return nil, err
	}
	return &Programs{bin, account}, nil
}

// Command prepares a program, such as initdb or postgres, in a process group of its own.
func (p *Programs) Command(name string, args ...string) *exec.Cmd {
	return p.account.command(context.Background(), filepath.Join(p.bin, name), args...)
}

// Own makes the user that the programs run as the owner of a file or folder.
func (p *Programs) Own(path string) error { return p.account.chown(path) }
