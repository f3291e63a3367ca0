package program

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

// builtIn is the folder of the built program, which TestMain removes.
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

func built(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	require.NoError(t, err, path)
	return path
}

// process is the program, running as a process of its own.
type process struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr *lockedBuffer
	exited chan error

	canaries *canaries // of what is sent to it, once it is ready
}

// lockedBuffer collects what a process writes while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// environment is that of a newcomer: nothing of Lumen's is set, but that no test waits for a proxy to take notice.
func environment(extra ...string) []string {
	env := []string{"LUMEN_SHUTDOWN_DELAY=0s"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "LUMEN_") {
			env = append(env, v)
		}
	}
	return append(env, extra...)
}

// launch starts the program and stops it at the end of the test.
func launch(t *testing.T, change func(*exec.Cmd), args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(built(t), args...), stderr: new(lockedBuffer), exited: make(chan error, 1)}
	p.cmd.Env = environment()
	p.cmd.Stderr = p.stderr
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.stdout = bufio.NewReader(out)
	if change != nil {
		change(p.cmd)
	}
	require.NoError(t, p.cmd.Start())
	go func() { p.exited <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		p.wait(t)
	})
	return p
}

// wait returns how the process ended. It may be called more than once.
func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.exited:
		p.exited <- err
		return err
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		t.Fatalf("the program did not end; it wrote:\n%s", p.stderr)
		return nil
	}
}

// ready reads the line that dev or serve prints with --json. From then on what is sent to it must not be in what it writes.
func (p *process) ready(t *testing.T) ready {
	t.Helper()
	line, err := p.stdout.ReadBytes('\n')
	require.NoError(t, err, "the program wrote: %s", p.stderr)
	var r ready
	require.NoError(t, json.Unmarshal(line, &r))
	p.canaries = watch(t, r.URL, source{"log", func() string { return logged(r.URL, p.stderr) }})
	return r
}

// fetch sends a request with a key and returns the status and the body.
func fetch(t *testing.T, method, url, key, body string) (int, string) {
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
