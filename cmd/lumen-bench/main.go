// Command lumen-bench measures Lumen against other servers of the same rows and writes a report.
// See README.md.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"
	"github.com/shirou/gopsutil/v4/process"

	"lumen/store"
	"lumen/store/embedded"
)

type program struct {
	Run  runCommand  `cmd:"" default:"withargs" help:"Measure, and write a report."`
	Bare bareCommand `cmd:"" hidden:""`
}

type runCommand struct {
	DatabaseURL string        `name:"database-url" placeholder:"URL" help:"A superuser's URL of the Postgres to use; lumen-bench makes databases there and drops them. Default: a Postgres of its own."`
	Lumen       string        `type:"existingfile" placeholder:"FILE" help:"The lumen program to measure. Default: built from the source here."`
	Out         string        `type:"path" default:"." placeholder:"DIR" help:"Where report.md, report.json and the drawings are written. Default: ${default}."`
	Customers   int           `default:"200000" help:"How many customers there are, and how many one long list has. Default: ${default}."`
	Merchants   int           `default:"100" help:"Over how many merchants the customers are spread. Default: ${default}."`
	Clients     int           `default:"16" help:"How many clients send. Default: ${default}."`
	Rounds      int           `default:"7" help:"How many times each server is measured, in turns. Default: ${default}."`
	Time        time.Duration `default:"2s" help:"How long each server is under load in a round. Default: ${default}."`
	Requests    int           `default:"300" help:"How many requests one client sends to each size in a round. Default: ${default}."`
	Sizes       []int         `default:"1000,100000,1000000" help:"The sizes of one merchant, in customers, over which cost should be flat. Default: ${default}."`
	Crowds      []int         `default:"10,10000" help:"The numbers of merchants over which cost should be flat. Default: ${default}."`
	Parts       []string      `default:"reads,writes,list,scaling" enum:"reads,writes,list,scaling,soak" help:"The parts to measure: reads, writes, list, scaling, soak. Default: ${default}."`
	Soak        time.Duration `default:"30m" help:"How long the part soak offers its load. Default: ${default}."`
	Peer        string        `placeholder:"URL" help:"A GraphQL server to measure as well."`
	PeerQuery   string        `type:"existingfile" placeholder:"FILE" help:"The peer's document: operations Get and Page."`
	PeerCommand string        `placeholder:"COMMAND" help:"A shell command that starts the peer once the customers are loaded. DATABASE_URL is the superuser's URL of their database."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	var p program
	command := kong.Parse(&p, kong.Name("lumen-bench"), kong.BindTo(ctx, (*context.Context)(nil)))
	command.FatalIfErrorf(command.Run())
}

// bench is one run.
type bench struct {
	runCommand
	notes        io.Writer // for progress messages
	folder       string    // for temporary files
	lumen        string
	superuserURL string
	own          *embedded.Server // nil with --database-url
	postmaster   *process.Process // nil when it runs elsewhere
	prefix       string           // of the names of databases
	databases    []string
	password     string
	version      string // of Postgres
}

func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.notes, format+"\n", args...) }

func (c runCommand) Run(ctx context.Context) (err error) {
	if (c.Peer == "") != (c.PeerQuery == "") {
		return errors.New("--peer and --peer-query go together")
	}
	if c.Rounds < 1 || c.Clients < 1 || c.Merchants < 1 || c.Customers < c.Merchants || c.Requests < 1 || c.Time <= 0 || c.Soak <= 0 {
		return errors.New("there is nothing to measure: clients, merchants, rounds, requests and times are positive, and customers as many as merchants")
	}
	b, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cleanUp(context.WithoutCancel(ctx))) }()
	r, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return r.write(os.Stdout, c.Out)
}

// open prepares the servers and databases of a run; cleanUp removes them.
func (c runCommand) open(ctx context.Context) (*bench, error) {
	b := &bench{
		runCommand: c, notes: os.Stderr, prefix: fmt.Sprintf("lumen_bench_%d_", os.Getpid()), password: rand.Text(),
	}
	var err error
	if b.folder, err = os.MkdirTemp("", "lumen-bench-"); err != nil {
		return nil, err
	}
	if err := b.prepare(ctx); err != nil {
		return nil, errors.Join(err, b.cleanUp(context.WithoutCancel(ctx)))
	}
	return b, nil
}

// prepare builds the program and finds or starts Postgres.
func (b *bench) prepare(ctx context.Context) error {
	if b.lumen = b.Lumen; b.lumen == "" {
		b.lumen = filepath.Join(b.folder, "lumen")
		b.say("building lumen")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.lumen, "lumen/cmd/lumen").CombinedOutput(); err != nil {
			return fmt.Errorf("build lumen (or say --lumen): %w: %s", err, out)
		}
	}
	if b.superuserURL = b.DatabaseURL; b.superuserURL == "" {
		server, err := embedded.Start(ctx, embedded.Config{
			DataDir: filepath.Join(b.folder, "postgres"), Notice: b.say,
			Parameters: map[string]string{"shared_buffers": b.sharedBuffers(), "max_wal_size": "8GB", "max_connections": "300"},
		})
		if err != nil {
			return err
		}
		b.own, b.superuserURL = server, server.URL()
	}
	admin, err := pgx.Connect(ctx, b.superuserURL)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close(context.WithoutCancel(ctx)) }()
	var backend int32
	if err := admin.QueryRow(ctx, "SELECT 'Postgres ' || current_setting('server_version'), pg_backend_pid()").Scan(&b.version, &backend); err != nil {
		return err
	}
	if b.own == nil {
		return nil
	}
	if p, err := process.NewProcess(backend); err == nil {
		b.postmaster, _ = p.Parent()
	}
	return nil
}

func (b *bench) cleanUp(ctx context.Context) error {
	var failed error
	if b.own != nil {
		// When the account of the Postgres server cannot enter the folder, its data is elsewhere.
		failed = errors.Join(b.own.Stop(), os.RemoveAll(b.own.DataDir()))
	} else if len(b.databases) > 0 {
		var drops []string
		for _, name := range b.databases {
			drops = append(drops, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
		}
		drops = append(drops, "DROP ROLE IF EXISTS "+pgx.Identifier{b.serveRole()}.Sanitize())
		if err := execute(ctx, b.superuserURL, drops...); err != nil {
			failed = fmt.Errorf("of these databases some are left: %s: %w", strings.Join(b.databases, ", "), err)
		}
	}
	return errors.Join(failed, os.RemoveAll(b.folder))
}

// sharedBuffers is large enough for the largest database of a run.
func (b *bench) sharedBuffers() string {
	if slices.Max(append(slices.Clone(b.Sizes), b.Customers)) < 100_000 {
		return "128MB"
	}
	return "2GB"
}

func (b *bench) conditions() conditions {
	return conditions{
		Date:     time.Now().UTC().Format(time.DateOnly),
		Machine:  fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		Postgres: b.version, Customers: b.Customers, Merchants: b.Merchants, Clients: b.Clients,
		Connections: store.DefaultMaxConnections, Rounds: b.Rounds, Time: b.Time.String(), Peer: b.PeerCommand,
	}
}
