package harness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// builtIn is the folder of the built program, which Main removes.
var builtIn string

// raced are the flags of the race detector, when the tests run with it.
var raced []string

// buildOnce builds the program as a user would.
var buildOnce = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "lumen-program-")
	if err != nil {
		return "", err
	}
	builtIn = folder
	if err := os.Chmod(folder, 0o755); err != nil { // an ordinary user runs it, too
		return "", err
	}
	path := filepath.Join(folder, "lumen")
	build := append([]string{"build", "-ldflags", "-w -X main.version=v1.2.3", "-o", path}, raced...)
	out, err := exec.Command("go", append(build, "lumen/cmd/lumen")...).CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return path, nil
})

// Program returns the path of the program. The first call builds it.
func Program(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	require.NoError(t, err, path)
	return path
}

// Process is the program, running as a process of its own.
type Process struct {
	Cmd    *exec.Cmd
	Stdout *bufio.Reader
	Stderr *LockedBuffer
	exited chan error

	Canaries *Canaries // of what is sent to it, once it is ready
}

// LockedBuffer collects what a process writes while a test reads it.
type LockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *LockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was written so far.
func (l *LockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Environment returns the environment of a new user, with no variable of Lumen set, plus the extra
// ones. Only the shutdown delay is set, to zero, so that no test waits for a proxy to notice a stop.
func Environment(extra ...string) []string {
	env := []string{"LUMEN_SHUTDOWN_DELAY=0s"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "LUMEN_") {
			env = append(env, v)
		}
	}
	return append(env, extra...)
}

// Launch starts the program and stops it at the end of the test.
func Launch(t *testing.T, change func(*exec.Cmd), args ...string) *Process {
	t.Helper()
	p := &Process{Cmd: exec.Command(Program(t), args...), Stderr: new(LockedBuffer), exited: make(chan error, 1)}
	p.Cmd.Env = Environment()
	p.Cmd.Stderr = p.Stderr
	out, err := p.Cmd.StdoutPipe()
	require.NoError(t, err)
	p.Stdout = bufio.NewReader(out)
	if change != nil {
		change(p.Cmd)
	}
	require.NoError(t, p.Cmd.Start())
	go func() { p.exited <- p.Cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.Cmd.Process.Signal(syscall.SIGTERM)
		p.Wait(t)
	})
	return p
}

// Wait returns how the process ended. It may be called more than once.
func (p *Process) Wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.exited:
		p.exited <- err
		return err
	case <-time.After(30 * time.Second):
		_ = p.Cmd.Process.Kill()
		t.Fatalf("the program did not end; it wrote:\n%s", p.Stderr)
		return nil
	}
}

// HasEnded reports whether the process has ended.
func (p *Process) HasEnded() bool {
	select {
	case err := <-p.exited:
		p.exited <- err
		return true
	default:
		return false
	}
}

// Ready reads the line that dev or serve prints with --json. From then on the process must not write
// anything that is sent to it.
func (p *Process) Ready(t *testing.T) Ready {
	t.Helper()
	line, err := p.Stdout.ReadBytes('\n')
	require.NoError(t, err, "the program wrote: %s", p.Stderr)
	var r Ready
	require.NoError(t, json.Unmarshal(line, &r))
	p.Canaries = watch(t, r.URL, source{"log", func() string { return Logged(r.URL, p.Stderr) }})
	return r
}

// Fetch sends a request with a key and returns the status and the body.
func Fetch(t *testing.T, method, url, key, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(read)
}
