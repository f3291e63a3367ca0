package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shirou/gopsutil/v4/process"

	"lumen/store"
)

// server is what the load is put on: a process on this machine or, without a process, an address.
type server struct {
	url      string
	private  string // the URL of Lumen's private listener, where it has one
	process  *process.Process
	postgres *process.Process // the postmaster, nil when it runs elsewhere
	log      string           // the file of its standard error
	stop     func()
}

// bareCommand serves the bare handler in a separate process, as Lumen runs in one.
type bareCommand struct {
	DatabaseURL string `required:"" env:"DATABASE_URL"` // no flag, because other users can read flags
}

func (c bareCommand) Run(ctx context.Context) error {
	config, err := pgxpool.ParseConfig(c.DatabaseURL)
	if err != nil {
		return err
	}
	config.MaxConns = store.DefaultMaxConnections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"url": "http://" + listener.Addr().String()}); err != nil {
		return err
	}
	serving := &http.Server{Handler: newBare(pool), ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = serving.Close() })
	if err := serving.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// startBare runs the bare handler on a database.
func (b *bench) startBare(ctx context.Context, databaseURL string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, self, "bare")
	command.Env = append(os.Environ(), "DATABASE_URL="+databaseURL)
	return b.start(ctx, command)
}

// startLumen runs `lumen serve` on a database, with the default settings except for the given
// environment.
func (b *bench) startLumen(ctx context.Context, databaseURL string, environment ...string) (*server, error) {
	command := exec.CommandContext(ctx, b.lumen, "serve", "--json", "--addr", "127.0.0.1:0", "--shutdown-delay", "0s")
	command.Env = append(os.Environ(), append(environment, "LUMEN_DATABASE_URL="+databaseURL)...)
	return b.start(ctx, command)
}

// start runs a server that prints its URL when it listens. Its standard error, which is Lumen's
// access log, goes to a file.
func (b *bench) start(ctx context.Context, command *exec.Cmd) (*server, error) {
	// The file is opened for appending, so that it can be truncated.
	log, err := os.OpenFile(filepath.Join(b.folder, "log-"+rand.Text()), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	command.Stderr = log
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 30 * time.Second
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	s := &server{postgres: b.postmaster, log: log.Name(), stop: func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
	}}
	var said struct{ URL, PrivateURL string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err == nil {
		s.process, err = process.NewProcess(int32(command.Process.Pid))
	}
	if err != nil {
		s.stop()
		why, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%s did not start: %w: %.500s", filepath.Base(command.Path), err, why)
	}
	s.url, s.private = said.URL, said.PrivateURL
	return s, nil
}

// used is the processor time used so far.
type used struct{ cpu, postgres time.Duration }

func (s *server) usage() used {
	u := used{cpu: timeOf(s.process)}
	if s.postgres == nil {
		return u
	}
	backends, err := s.postgres.Children()
	if err != nil {
		return u
	}
	for _, backend := range append(backends, s.postgres) {
		u.postgres += timeOf(backend)
	}
	return u
}

func timeOf(p *process.Process) time.Duration {
	if p == nil {
		return 0
	}
	times, err := p.Times()
	if err != nil {
		return 0
	}
	return time.Duration((times.User + times.System) * float64(time.Second))
}

// memory returns the server's resident memory, in octets.
func (s *server) memory() uint64 {
	if s.process == nil {
		return 0
	}
	info, err := s.process.MemoryInfo()
	if err != nil {
		return 0
	}
	return info.RSS
}

// watch samples the server's memory until peak is called, which returns the largest sample.
func (s *server) watch() (peak func() uint64) {
	var most uint64
	var watching sync.WaitGroup
	stop := make(chan struct{})
	watching.Go(func() {
		for {
			most = max(most, s.memory())
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return sync.OnceValue(func() uint64 {
		close(stop)
		watching.Wait()
		return most
	})
}

// startPeer runs the command that starts the peer, if there is one, and waits until the peer
// answers.
func (b *bench) startPeer(ctx context.Context, d *database) (*server, error) {
	if response, err := http.Get(b.Peer); err == nil && b.PeerCommand != "" {
		_ = response.Body.Close()
		return nil, errors.New("something answers at the peer's address before it is started")
	}
	peer := &server{url: b.Peer, postgres: b.postmaster, stop: func() {}}
	if b.PeerCommand != "" {
		command := exec.CommandContext(ctx, "sh", "-c", "exec "+b.PeerCommand)
		command.Env = append(os.Environ(), "DATABASE_URL="+d.superuserURL)
		command.Stdout, command.Stderr = b.notes, b.notes
		if err := command.Start(); err != nil {
			return nil, err
		}
		peer.stop = func() { _ = command.Process.Signal(os.Interrupt); _ = command.Wait() }
		peer.process, _ = process.NewProcess(int32(command.Process.Pid))
	}
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		response, err := http.Post(b.Peer, "application/json", strings.NewReader(`{"query":"{__typename}"}`))
		if err == nil {
			_ = response.Body.Close()
			return peer, nil
		}
		if time.Since(start) > time.Minute || ctx.Err() != nil {
			peer.stop()
			return nil, fmt.Errorf("the peer does not answer: %w", err)
		}
	}
}
