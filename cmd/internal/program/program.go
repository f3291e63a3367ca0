// Package program is the command line of lumen: a development server, the service, and the
// operator's commands.
package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/willabides/kongplete"

	"lumen/store/postgres"
)

const description = `Lumen is a multi-tenant customer-records service: GraphQL for frontends, REST for existing clients, on Postgres.

  lumen dev      try Lumen on this machine, without any setup
  lumen serve    run the service; needs LUMEN_DATABASE_URL

A flag can also be set with the environment variable that its help names.`

// program defines the command line.
type program struct {
	Dev      devCommand      `cmd:"" help:"Run Lumen on this machine, with a Postgres and two demo merchants. It needs no setup."`
	Serve    serveCommand    `cmd:"" help:"Run the service on a migrated database."`
	Migrate  migrateCommand  `cmd:"" help:"Migrate the schema of the database."`
	Merchant merchantCommand `cmd:"" help:"Manage merchants, the tenants of the service."`
	Key      keyCommand      `cmd:"" help:"Manage the API keys of merchants."`
	TokenKey tokenKeyCommand `cmd:"" help:"Manage the keys that sign access tokens."`
	Changes  changesCommand  `cmd:"" help:"Manage the log of the changes of merchants' data."`

	Completion completionCommand `cmd:"" help:"Print a shell script that completes commands and flags."`
	Version    versionCommand    `cmd:"" help:"Print the version, the commit and how it was built."`

	VersionFlag kong.VersionFlag `name:"version" help:"Print the version."`
}

// terminal holds the streams of a command, which writes results to out and everything else to err,
// and what is known about how it was called.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	settings settings
	// invocation is what the user typed to run the program.
	invocation string
	// warnings are about the environment. serve writes them to its log. Other commands print them
	// first.
	warnings []string
}

// warn prints warnings.
func (t terminal) warn(warnings ...string) {
	for _, warning := range warnings {
		_, _ = fmt.Fprintf(t.err, "lumen: %s\n", warning)
	}
}

// Main executes the command line of the process and returns the exit code. A signal stops the
// command. The release is empty unless the linker set it. An empty variable counts as unset.
func Main(release Release) (code int) {
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); value == "" && strings.HasPrefix(name, "LUMEN_") {
			_ = os.Unsetenv(name)
		}
	}
	// The first signal restores the default action of signals before anything stops, so a second
	// signal ends the program at once.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		cancel()
	}()
	return Run(ctx, os.Args[1:], os.Stdout, os.Stderr, release)
}

// Run executes one command line until the command ends or ctx is done. It returns the exit code: 0
// for success, 1 for a failure, 2 for a wrong command line. Results go to stdout, everything else
// to stderr.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, release Release) (code int) {
	t := terminal{in: os.Stdin, out: stdout, err: stderr, invocation: invocation(os.Args[0])}
	return run(ctx, args, t, release)
}

// invocation returns what the user typed to run the program at this path. "go run" builds it in a
// folder of the go command's.
func invocation(path string) string {
	if filepath.Base(path) == "lumen" && strings.Contains(path, "go-build") {
		return "go run ./cmd/lumen"
	}
	return "lumen"
}

// ownCommand matches a command of this program in a text.
var ownCommand = regexp.MustCompile(`(^|[^\w/])lumen (dev|serve|migrate|merchant|key|token-key)\b`)

// asInvoked returns a text in which commands of this program begin as the user typed them, to be
// pasted.
func (t terminal) asInvoked(text string) string {
	return ownCommand.ReplaceAllString(text, "${1}"+t.invocation+" $2")
}

func run(ctx context.Context, args []string, t terminal, release Release) (code int) {
	var p program
	built := thisBuild(release)
	exited := -1
	parser, err := kong.New(&p,
		kong.Name(t.invocation), kong.Description(t.asInvoked(description)),
		kong.Writers(t.out, t.err), kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(built),
		kong.PostBuild(describe), defaultLimits(), kong.Vars{"version": built.String()},
	)
	if err != nil {
		panic(err) // the definition of the command line is wrong
	}
	if os.Getenv(completing) != "" {
		kongplete.Complete(parser)
		if exited >= 0 {
			return exited
		}
	}
	variables := variablesOf(parser.Model)
	command, err := parser.Parse(args)
	if exited >= 0 { // help was asked for and given
		return exited
	}
	if err != nil {
		return t.failUsage(parser, err, args)
	}
	t.settings, t.warnings = settingsOf(command), unknownVariables(os.Environ(), variables)
	if command.Command() != "serve" {
		t.warn(t.warnings...)
	}
	if err := command.Run(t); err != nil {
		return t.fail(err, 1)
	}
	return 0
}

// faults are all faults of a configuration.
type faults []string

// Error implements error.
func (f faults) Error() string { return strings.Join(f, "; ") }

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// err returns the faults as an error, or nil when there are none.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// fail prints an error. Each fault of a configuration has a line of its own.
func (t terminal) fail(err error, code int) int {
	text := err.Error()
	var wrong faults
	if errors.As(err, &wrong) {
		text = strings.Join(wrong, "\nlumen: ")
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42P01" { // undefined_table
		text = "the database is not migrated; run: lumen migrate up"
	}
	if refused != nil && refused.Code == "42501" { // insufficient_privilege
		text = "the role in " + cmp.Or(t.settings.database, "the connection string") + " may not do this; set " +
			ownerDatabaseURL + " to the URL of the owner of the database"
	}
	var connect *postgres.ConnectError
	if errors.As(err, &connect) {
		text = connect.Error() + "; " + connect.Advice(cmp.Or(t.settings.database, "the connection string"))
	}
	_, _ = fmt.Fprintf(t.err, "lumen: %s\n", t.asInvoked(text))
	return code
}
