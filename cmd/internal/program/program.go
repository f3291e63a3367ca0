// Package program is the command line of lumen: a development server, the service, and the
// operator's commands.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/willabides/kongplete"

	"lumen/store/postgres"
)

const description = `Lumen keeps the customers of many merchants, behind GraphQL and REST.

  lumen dev      try it: everything on this machine, no set-up
  lumen serve    run it: needs LUMEN_DATABASE_URL

A flag whose help names an environment variable can be set by that, too.`

// program is the command line.
type program struct {
	Dev      devCommand      `cmd:"" help:"Run everything on this machine, with a demo merchant. No set-up."`
	Serve    serveCommand    `cmd:"" help:"Run the service on a database that was migrated."`
	Migrate  migrateCommand  `cmd:"" help:"Bring the database's schema up to date, or back."`
	Merchant merchantCommand `cmd:"" help:"Manage merchants, the tenants of the service."`
	Key      keyCommand      `cmd:"" help:"Manage the API keys of merchants."`
	TokenKey tokenKeyCommand `cmd:"" help:"Manage the keys that sign access tokens."`

	Completion completionCommand `cmd:"" help:"Print what makes a shell complete this program's commands and flags."`
	Version    versionCommand    `cmd:"" help:"Print the version, and what it was built from."`

	VersionFlag kong.VersionFlag `name:"version" help:"Print the version."`
}

// terminal is where a command writes: results to out, everything else to err.
type terminal struct{ out, err io.Writer }

// Main executes the command line of the process until the command ends or a signal stops it, and
// returns the exit code. The release is empty when none was linked. An empty variable counts as unset.
func Main(release Release) (code int) {
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); value == "" && strings.HasPrefix(name, "LUMEN_") {
			_ = os.Unsetenv(name)
		}
	}
	// A second signal ends the program at once: the first one restores the default before anything stops.
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

// Run executes one command line until it has ended or ctx is done. It returns the exit code: 0, 1 for a failure, 2 for
// a wrong command line. Results go to stdout, everything else to stderr.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, release Release) (code int) {
	t, built := terminal{out: stdout, err: stderr}, thisBuild(release)
	var p program
	exited := -1
	parser, err := kong.New(&p,
		kong.Name("lumen"), kong.Description(description), kong.UsageOnError(),
		kong.Writers(t.out, t.err), kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(t, built),
		kong.PostBuild(describe), defaultLimits(), kong.Vars{"version": built.String()},
	)
	if err != nil {
		panic(err) // the command line's own definition is wrong
	}
	if os.Getenv(completing) != "" {
		kongplete.Complete(parser)
		if exited >= 0 {
			return exited
		}
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // help was asked for and given
		return exited
	}
	if err != nil {
		var parseError *kong.ParseError
		if errors.As(err, &parseError) && parseError.Context.Command() == "" {
			_ = parseError.Context.PrintUsage(false)
		}
		return t.fail(errors.New(withoutSecrets(err.Error(), args)), 2)
	}
	if err := command.Run(); err != nil {
		return t.fail(err, 1)
	}
	return 0
}

// withoutSecrets returns a text about the command line without the arguments that may be connection strings: a user may
// have put one where none belongs.
func withoutSecrets(text string, args []string) string {
	for _, arg := range args {
		if flag, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(flag, "--") {
			arg = value
		}
		if !strings.ContainsAny(arg, "=@") {
			continue
		}
		for _, form := range []string{arg, strings.Trim(strconv.Quote(arg), `"`)} {
			text = strings.ReplaceAll(text, form, "...")
		}
	}
	return text
}

// fail prints an error.
func (t terminal) fail(err error, code int) int {
	text := err.Error()
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42P01" { // undefined_table
		text = "the database is not migrated; run: lumen migrate up"
	}
	var connect *postgres.ConnectError
	if errors.As(err, &connect) {
		advice := "check its URL and that it runs"
		if connect.IsPooler() {
			advice = "that is a pooler: serve needs LUMEN_DATABASE_POOLER=transaction, " +
				"and other commands the URL of Postgres itself"
		}
		text = connect.Error() + "; " + advice
	}
	_, _ = fmt.Fprintf(t.err, "lumen: %s\n", text)
	return code
}
