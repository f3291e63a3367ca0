//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// supervisor runs "$@" until that ends or the pipe on its standard input closes, which happens when this program lets go of
// it or dies of whatever cause. Then the command is interrupted (for Postgres: a fast shutdown) every second until it is
// gone, since a shell starts its background commands deaf to SIGINT and Postgres hears only once its own handlers are in
// place. After $grace seconds it gets SIGQUIT as well, after twice that SIGKILL.
const supervisor = `
grace=$1
shift
exec 3<&0 </dev/null
"$@" 3<&- &
command=$!
{
	while read -r line; do :; done <&3
	seconds=0
	while kill -INT "$command"; do
		[ "$seconds" -lt "$grace" ] || kill -QUIT "$command"
		[ "$seconds" -lt $((2 * grace)) ] || kill -KILL "$command"
		seconds=$((seconds + 1))
		sleep 1
	done
} >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$command"
status=$?
kill "$watch"
exit "$status"
`

// process is a command under the supervisor.
type process struct {
	cmd   *exec.Cmd
	leash *os.File // the pipe's write end; Go opens it close-on-exec, so no other child keeps it open
	grace time.Duration
	done  chan struct{}
	err   error // of the command, once done is closed

	slip func() // closes leash
}

// supervise starts a command as the account. Its output goes to the file.
func supervise(a *account, grace time.Duration, output *os.File, name string, args ...string) (*process, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	seconds := max(1, int(grace/time.Second))
	script := append([]string{"-c", supervisor, "lumen-postgres", strconv.Itoa(seconds), name}, args...)
	cmd := a.command(context.Background(), "/bin/sh", script...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = read, output, output
	if err := cmd.Start(); err != nil {
		write.Close()
		return nil, err
	}
	p := &process{cmd: cmd, leash: write, grace: grace, done: make(chan struct{})}
	p.slip = sync.OnceFunc(func() { p.leash.Close() })
	go p.wait()
	return p, nil
}

func (p *process) wait() {
	defer close(p.done)
	p.err = p.cmd.Wait()
	p.slip()
	if p.cmd.ProcessState.Exited() {
		return
	}
	// The shell itself was killed; its watching half now sees the pipe close and ends the command.
	for deadline := time.Now().Add(3 * p.grace); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if errors.Is(syscall.Kill(-p.cmd.Process.Pid, 0), syscall.ESRCH) {
			return
		}
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}

// stop lets go of the command and waits for its end. It returns how the command ended, nil for in order.
func (p *process) stop() error {
	p.slip()
	// The supervisor escalates. This is for the case that it can't.
	select {
	case <-p.done:
	case <-time.After(3 * p.grace):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
	return p.err
}

// outcome describes the end of a command that is done.
func (p *process) outcome() string {
	if p.err == nil {
		return "exit status 0"
	}
	return p.err.Error()
}

// finish waits for a command that ends by itself. When ctx ends first the command is stopped.
func (p *process) finish(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		_ = p.stop()
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
}
