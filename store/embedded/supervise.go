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

// supervisor runs the command "$@" until the command ends, or the pipe on standard input closes.
// The pipe closes when this program closes it, and when this program dies for whatever reason. The
// supervisor then sends SIGINT every second until the command is gone; for Postgres that is a fast
// shutdown. It repeats the signal because a shell starts its background commands with SIGINT
// ignored: Postgres reacts only after it has installed its own handlers. After $grace seconds the
// supervisor sends SIGQUIT as well, and after twice that time SIGKILL.
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
	input *os.File // the pipe's write end; it is close-on-exec, so no other child keeps it open
	grace time.Duration
	done  chan struct{}
	err   error // of the command; set when done is closed

	closeInput func()
}

// supervise starts a command as the account, with its output in a file.
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
	p := &process{cmd: cmd, input: write, grace: grace, done: make(chan struct{})}
	p.closeInput = sync.OnceFunc(func() { p.input.Close() })
	go p.wait()
	return p, nil
}

func (p *process) wait() {
	defer close(p.done)
	p.err = p.cmd.Wait()
	p.closeInput()
	if p.cmd.ProcessState.Exited() {
		return
	}
	// The shell was killed. Its background half now sees the pipe close and ends the command.
	for deadline := time.Now().Add(3 * p.grace); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if errors.Is(syscall.Kill(-p.cmd.Process.Pid, 0), syscall.ESRCH) {
			return
		}
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}

// stop ends the command and waits for it. It returns nil if the command exited with status 0.
func (p *process) stop() error {
	p.closeInput()
	// The supervisor kills the command in time, unless the supervisor itself is stuck.
	select {
	case <-p.done:
	case <-time.After(3 * p.grace):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
	return p.err
}

// outcome describes the end of a command that has ended.
func (p *process) outcome() string {
	if p.err == nil {
		return "exit status 0"
	}
	return p.err.Error()
}

// finish waits for a command that ends by itself. If ctx ends first, finish stops the command.
func (p *process) finish(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		_ = p.stop()
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
}
