package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"lumen/cmd/internal/pages"
	"lumen/cmd/internal/server"
	"lumen/store/embedded"
)

type devCommand struct {
	Addr               string `env:"LUMEN_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	DataDir            string `env:"LUMEN_DATA_DIR" type:"path" placeholder:"DIR"`
	PostgresBin        string `env:"LUMEN_POSTGRES_BIN" placeholder:"DIR"`
	PostgresRepository string `env:"LUMEN_POSTGRES_REPOSITORY" placeholder:"URL"`
	Reset              bool   `help:"Delete all data in the folder first."`
	JSON               bool   `name:"json" help:"Print one line of JSON on standard output when ready."`
	apiFlags
}

// ready is what dev prints once it accepts requests.
type ready struct {
	serverURLs
	DatabaseURL string `json:"databaseUrl"` // of the owner
	// MerchantID and APIKey are the first merchant's.
	MerchantID string           `json:"merchantId"`
	APIKey     string           `json:"apiKey"`
	Merchants  []pages.Merchant `json:"merchants"`
}

func (c devCommand) Run(ctx context.Context, t terminal) error {
	for _, variable := range []string{databaseURL, ownerDatabaseURL} {
		if os.Getenv(variable) != "" {
			t.warn(variable + " is ignored: dev runs a Postgres of its own")
		}
	}
	options := server.Options{LoopbackOnly: true, Playground: true}
	options.GraphQL.Introspection = true
	if err := c.apply(&options, t.settings).err(); err != nil {
		return err
	}
	// A port that is in use must be reported before Postgres is started.
	listener, err := listen("--addr", c.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()

	folder := c.DataDir
	if folder == "" {
		if folder, err = defaultDataDir(); err != nil {
			return err
		}
	}
	cluster, err := embedded.Start(ctx, embedded.Config{
		DataDir: folder, Reset: c.Reset, BinDir: c.PostgresBin, Repository: c.PostgresRepository,
		Notice: func(format string, args ...any) { t.warn(fmt.Sprintf(format, args...)) },
	})
	var inUse *embedded.InUseError
	if errors.As(err, &inUse) {
		err = fmt.Errorf("%w; stop that process, or choose another folder with --data-dir", err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Stop() }()

	d, err := prepare(ctx, cluster)
	if err != nil {
		return err
	}
	defer func() { _ = d.backend.Close() }()
	at := ready{
		serverURLs: urlsOf(listener, c.BasePath, true), DatabaseURL: cluster.URL(),
		MerchantID: d.merchants[0].ID, APIKey: d.merchants[0].APIKey, Merchants: d.merchants,
	}
	if c.JSON {
		err = t.printJSON(at)
	} else {
		err = at.print(ctx, t, d, cluster.DataDir(), options.GraphQL.Trusted.Only())
	}
	if err != nil {
		return err
	}

	// The server cannot answer without its database, so dev ends with Postgres.
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-cluster.Done():
			stop(errors.New("the embedded Postgres ended; its log is " + filepath.Join(cluster.DataDir(), "postgres.log")))
		case <-ctx.Done():
		}
	}()
	options.Log, options.Demo = slog.New(c.logHandler(t, d.merchants)), d.merchants
	err = server.Serve(ctx, listener, server.NewHandler(d.backend, options), server.Serving{
		Health: server.NewHealth(d.backend.Ready, options.Log), EndWaits: d.backend.Store.EndWaits,
		IdleTimeout: c.IdleTimeout, BasePath: c.BasePath, Log: options.Log,
	})
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// print writes what a developer needs to begin: addresses, keys and commands. The commands work in
// sh, bash and zsh. No command ends with a comment, because an interactive zsh takes it for
// arguments.
func (r ready) print(ctx context.Context, t terminal, d *demo, folder string, trustedOnly bool) error {
	customerID, err := d.newestCustomer(ctx)
	if err != nil {
		return err
	}
	first, second := r.Merchants[0], r.Merchants[1]
	text := fmt.Sprintf(`
Lumen is ready at %s

  Merchants   %s (%s)
              %s (%s), with the same sample customers
  Playground  %s
  Reference   %s/docs
  Data        %s
  Database    %s

Paste the keys of the two merchants into a shell:

  export LUMEN_KEY=%s
  export LUMEN_OTHER_KEY=%s

Send a REST request:

  curl -H "Authorization: Bearer $LUMEN_KEY" '%s?limit=3'

`, r.URL, first.Name, first.ID, second.Name, second.ID, r.PlaygroundURL, r.URL, folder, r.DatabaseURL,
		first.APIKey, second.APIKey, r.RestURL)
	if trustedOnly {
		text += "GraphQL executes only trusted documents: send the ID of one as documentId.\n\n"
	} else {
		text += fmt.Sprintf(`Send a GraphQL query:

  curl -H "Authorization: Bearer $LUMEN_KEY" -H 'Content-Type: application/json' '%s' \
    -d '{"query":"{ merchant { name } customers(first: 3) { totalCount nodes { id name email } } }"}'

`, r.GraphQLURL)
	}
	if customerID != "" {
		text += fmt.Sprintf(`Ask for a customer of %s with the key of %s. It is not found:

  curl -H "Authorization: Bearer $LUMEN_OTHER_KEY" '%s/%s'

`, first.Name, second.Name, r.RestURL, customerID)
	}
	text += t.asInvoked("Ctrl-C stops Lumen and keeps the data. 'lumen dev --reset' deletes the data and starts again.\n\n")
	_, err = fmt.Fprint(t.out, text)
	return err
}

// defaultDataDir returns the folder in which programs of the user keep data on this system.
func defaultDataDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/lumen", nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "lumen"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no place for the data: %w; name one with --data-dir", err)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "lumen"), nil
	}
	return filepath.Join(home, ".local", "share", "lumen"), nil
}
