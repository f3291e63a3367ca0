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

// programFolder is the folder of the built program, which Main removes.
var programFolder string

// raceFlags are the build flags of the race detector if the tests run with it.
var raceFlags []string

// buildOnce builds the program as a user would.
var buildOnce = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "lumen-program-")
	if err != nil {
		return "", err
	}
	programFolder = folder
	if err := os.Chmod(folder, 0o755); err != nil { // tests also run it as an unprivileged user
		return "", err
	}
	path := filepath.Join(folder, "lumen")
	build := append([]string{"build", "-ldflags", "-w -X main.version=v1.2.3", "-o", path}, raceFlags...)
	out, err := exec.Command("go", append(build, "lumen/cmd/lumen")...).CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return path, nil
})

// Program returns the path of the lumen binary. The first call builds it.
func Program(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	require.NoError(t, err, path)
	return path
}

// Process is a running process of the program.
type Process struct {
	Cmd    *exec.Cmd
	Stdout *bufio.Reader
	Stderr *LockedBuffer
	exited chan error

	Canaries *Canaries // values sent to the process; set by Ready
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

// String returns everything written so far.
func (l *LockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Environment returns this process's environment without Lumen's variables, plus the extra ones. It
// sets only the shutdown delay, to zero, so that no test waits until a proxy notices a stop.
func Environment(extra ...string) []string {
	env := []string{"LUMEN_SHUTDOWN_DELAY=0s"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "LUMEN_") {
			env = append(env, v)
		}
	}
	return append(env, extra...)
}

// Launch starts the program and stops it at the end of the test. change, if any, changes the
// command before it starts.
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

// Wait waits until the process ends and returns the error of exec.Cmd.Wait. It may be called more
// than once.
func (p *Process) Wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.exited:
		p.exited <- err
		return err
	case <-time.After(30 * time.Second):
		_ = p.Cmd.Process.Kill()
		t.Fatalf("the program did not end within 30 s; its stderr:\n%s", p.Stderr)
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

// Ready reads the line that dev or serve prints with --json. From then on the log of the process
// must not contain a value that a test sends to it.
func (p *Process) Ready(t *testing.T) Ready {
	t.Helper()
	line, err := p.Stdout.ReadBytes('\n')
	require.NoError(t, err, "stderr of the program: %s", p.Stderr)
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
