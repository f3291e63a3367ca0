package program

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"lumen/cmd/internal/pages"
	"lumen/cmd/internal/server"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/embedded"
	"lumen/store/owner"
	"lumen/store/postgres"
	"lumen/store/schema"
)

type devCommand struct {
	Addr               string `env:"LUMEN_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	DataDir            string `env:"LUMEN_DATA_DIR" type:"path" placeholder:"DIR"`
	PostgresBin        string `env:"LUMEN_POSTGRES_BIN" placeholder:"DIR"`
	PostgresRepository string `env:"LUMEN_POSTGRES_REPOSITORY" placeholder:"URL"`
	Reset              bool   `help:"Start anew: all data in the folder is removed first."`
	JSON               bool   `name:"json" help:"Print one line of JSON on standard output when ready."`
	apiFlags
}

// ready is what dev prints when it is ready.
type ready struct {
	serverURLs
	DatabaseURL string `json:"databaseUrl"` // the owner's
	MerchantID  string `json:"merchantId"`
	APIKey      string `json:"apiKey"`
}

func (c devCommand) Run(ctx context.Context, t terminal) error {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(t.err, "lumen: "+format+"\n", args...) }
	if os.Getenv("LUMEN_DATABASE_URL") != "" {
		say("LUMEN_DATABASE_URL is ignored: dev runs a Postgres of its own")
	}
	options := server.Options{LoopbackOnly: true, Playground: true}
	options.GraphQL.Introspection = true
	if faults := c.apply(&options, t.settings); len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	// The port is taken first: when it is in use, that shows before anything is started.
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
		DataDir: folder, Reset: c.Reset, BinDir: c.PostgresBin, Repository: c.PostgresRepository, Notice: say,
	})
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
		MerchantID: d.merchant.ID, APIKey: string(d.secret),
	}
	if c.JSON {
		err = t.printJSON(at)
	} else {
		err = at.print(t, d.merchant.Name, cluster.DataDir(), options.GraphQL.Trusted.Only())
	}
	if err != nil {
		return err
	}

	// Without its database the server has nothing to say.
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-cluster.Done():
			stop(errors.New("the embedded Postgres ended; its log is " + filepath.Join(cluster.DataDir(), "postgres.log")))
		case <-ctx.Done():
		}
	}()
	options.Log = slog.New(server.WithRequestID(slog.NewTextHandler(t.err, nil)))
	options.Demo = []pages.Merchant{{ID: d.merchant.ID, Name: d.merchant.Name, APIKey: string(d.secret)}}
	err = server.Serve(ctx, listener, server.NewHandler(d.backend, options), server.Serving{
		Health:      server.NewHealth(d.backend.Ready, options.Log),
		IdleTimeout: c.IdleTimeout, BasePath: c.BasePath, Log: options.Log,
	})
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// demo is what dev serves: a backend, and the merchant that was made for it.
type demo struct {
	backend  *server.Backend
	merchant store.Merchant
	secret   auth.Secret
}

// prepare migrates the embedded database, gives the service a role without power, and makes the demo merchant unless a
// run before this one did.
func prepare(ctx context.Context, cluster *embedded.Server) (*demo, error) {
	migrator, err := schema.Open(cluster.URL())
	if err != nil {
		return nil, err
	}
	defer func() { _ = migrator.Close() }()
	if _, err := migrator.Up(ctx); err != nil {
		return nil, err
	}
	operator, err := owner.Open(cluster.URL())
	if err != nil {
		return nil, err
	}
	defer func() { _ = operator.Close() }()
	plain, err := url.Parse(cluster.URL())
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	if err := operator.CreateLogin(ctx, "lumen_serve", password); err != nil {
		return nil, err
	}
	plain.User = url.UserPassword("lumen_serve", password)
	secret, err := keepTokenSecret(ctx, operator, filepath.Join(cluster.DataDir(), "token-secret"))
	if err != nil {
		return nil, err
	}
	database, err := postgres.ParseDatabase(plain.String(), false)
	if err != nil {
		return nil, err
	}
	authOptions := auth.Options{AcceptDemoKeys: true, TokenSecret: secret}
	d := &demo{backend: server.OpenBackend(database, store.Options{}, authOptions)}
	if err := d.ensureDemo(ctx, operator, filepath.Join(cluster.DataDir(), "demo-key")); err != nil {
		return nil, errors.Join(err, d.backend.Close())
	}
	return d, nil
}

// ensureDemo finds the demo merchant by the key in the file, or makes both. The file is written last, so a
// later run never finds what a killed run left half done.
func (d *demo) ensureDemo(ctx context.Context, operator *owner.Owner, file string) error {
	kept, err := os.ReadFile(file)
	if err == nil {
		_, credential, err := d.backend.As(ctx, auth.Secret(kept))
		if err == nil {
			d.merchant, d.secret = credential.Merchant, auth.Secret(kept)
			return nil
		}
		if store.AsError(err).Code != store.Unauthenticated {
			return err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the demo key: %w", err)
	}

	if d.merchant, err = operator.Merchants.Create(ctx, "Demo Shop"); err != nil {
		return err
	}
	d.secret = auth.NewDemoSecret()
	key := owner.NewKey{MerchantID: d.merchant.ID, Name: "demo", Access: store.WriteAccess, Secret: d.secret}
	if _, err := operator.Keys.Create(ctx, key); err != nil {
		return err
	}
	as, _, err := d.backend.As(ctx, d.secret)
	if err == nil {
		err = seed(as, operator, d.backend.Store.Customers)
	}
	if err != nil {
		return fmt.Errorf("make sample customers: %w", err)
	}
	return keep(file, string(d.secret))
}

// keepTokenSecret returns the secret in the file, or makes one. It makes a key to sign access tokens unless
// there is one. A new secret cannot open the keys that a lost secret sealed, so those keys are revoked.
func keepTokenSecret(ctx context.Context, operator *owner.Owner, file string) (auth.TokenSecret, error) {
	keys, err := operator.TokenKeys.List(ctx)
	if err != nil {
		return nil, err
	}
	var secret auth.TokenSecret
	kept, err := os.ReadFile(file)
	switch {
	case err == nil:
		if secret, err = auth.ParseTokenSecret(string(kept)); err != nil {
			return nil, fmt.Errorf("%s holds what is %w", file, err)
		}
	case errors.Is(err, os.ErrNotExist):
		secret = auth.NewTokenSecret()
		for i, key := range keys {
			if keys[i], err = operator.TokenKeys.Revoke(ctx, key.ID); err != nil {
				return nil, err
			}
		}
		if err := keep(file, secret.Text()); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("read the token secret: %w", err)
	}
	for _, key := range keys {
		if key.State == owner.TokenKeySigning {
			return secret, nil
		}
	}
	_, err = operator.TokenKeys.Rotate(ctx, secret, auth.EdDSA)
	return secret, err
}

// keep writes a secret to a file that is there whole or not at all.
func keep(file, secret string) error {
	if err := os.WriteFile(file+".new", []byte(secret), 0o600); err != nil {
		return fmt.Errorf("keep a secret: %w", err)
	}
	return os.Rename(file+".new", file)
}

func (r ready) print(t terminal, merchant, folder string, trustedOnly bool) error {
	graphql := fmt.Sprintf(`Paste a GraphQL query:

  curl %s -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \
    -d '{"query":"{ merchant { name } customers(first: 3) { totalCount nodes { id name email } } }"}'`,
		r.GraphQLURL, r.APIKey)
	if trustedOnly {
		graphql = "GraphQL executes the trusted documents alone; send the id of one as documentId."
	}
	_, err := fmt.Fprintf(t.out, `
Lumen is ready at %[1]s

  Merchant   %[2]s (%[3]s), with sample customers
  API key    %[4]s
  Data       %[5]s
  Database   %[6]s

Open the playground, signed in as that merchant:

  %[9]s

Paste a REST request:

  curl -H 'Authorization: Bearer %[4]s' '%[7]s?limit=3'

%[8]s

Ctrl-C stops it; the data stays. 'lumen dev --reset' starts anew.

`, r.URL, merchant, r.MerchantID, r.APIKey, folder, r.DatabaseURL, r.RestURL, graphql, r.PlaygroundURL)
	return err
}

// defaultDataDir is where data of the user's belongs by the custom of the system.
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
