package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"lumen/cmd/internal/server"
	"lumen/graph/playground"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/postgres"
	"lumen/store/schema"
)

type serveCommand struct {
	DatabaseURL         string        `env:"LUMEN_DATABASE_URL" placeholder:"URL"`
	DatabasePooler      string        `env:"LUMEN_DATABASE_POOLER" default:"none" placeholder:"none|transaction"`
	DatabaseConnections limit         `env:"LUMEN_DATABASE_CONNECTIONS" default:"16" placeholder:"N"`
	MerchantConcurrency limit         `env:"LUMEN_MERCHANT_CONCURRENCY" default:"64" placeholder:"N"`
	Addr                string        `env:"LUMEN_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	PrivateAddr         string        `env:"LUMEN_PRIVATE_ADDR" placeholder:"HOST:PORT"`
	Playground          bool          `env:"LUMEN_PLAYGROUND"`
	Introspection       bool          `env:"LUMEN_INTROSPECTION"`
	ShutdownDelay       time.Duration `env:"LUMEN_SHUTDOWN_DELAY" default:"5s" placeholder:"DURATION"`
	LogFormat           string        `env:"LUMEN_LOG_FORMAT" default:"json" placeholder:"json|text"`
	startFlag
	apiFlags
	rateFlags
	tokenSecretFlag
	jsonFlag
}

// startTime is the timeout of the checks before serving. It starts when the database answers.
const startTime = 15 * time.Second

// heapGrowth is how much the heap may grow before a garbage collection, in percent of the live
// heap. Almost nothing outlives a request, so the live heap is small. With Go's default of 100 the
// collector would run hundreds of times per second.
const heapGrowth = 400

func (c serveCommand) Run(ctx context.Context, t terminal, built build) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	backend, options, err := c.configure(t)
	if err != nil {
		t.warn(t.warnings...)
		return err
	}
	defer func() { _ = backend.Close() }()
	defer options.Tracing.Stop(ctx)
	log := options.Log
	for _, warning := range t.warnings {
		log.WarnContext(ctx, warning)
	}

	mints, err := c.check(ctx, backend, log)
	if err != nil {
		return fmt.Errorf("refusing to serve: %w", err)
	}
	health := server.NewHealth(backend.Ready, log)
	listener, err := listen("--addr", c.Addr)
	if err != nil {
		return err
	}
	urls := urlsOf(listener, c.BasePath, c.Playground)
	if c.PrivateAddr != "" {
		private, err := listen("--private-addr", c.PrivateAddr)
		if err != nil {
			_ = listener.Close()
			return err
		}
		options.Metrics = server.NewMetrics(built.Version, built.Commit, backend.Stats, options.Limiter)
		urls.PrivateURL = urlOf(private)
		options.MetricsURL = urls.PrivateURL + "/metrics"
		defer server.ServePrivate(private, server.NewPrivate(options.Metrics, health, log), log)()
	}
	if c.JSON {
		if err := t.printJSON(urls); err != nil {
			return err
		}
	}
	log.InfoContext(ctx, "serving", "url", urls.URL, "playground", c.Playground, "introspection", c.Introspection)
	if !c.Playground {
		log.InfoContext(ctx, "the playground is off; LUMEN_PLAYGROUND=true or --playground turns it on")
	}
	if !c.Introspection {
		log.InfoContext(ctx, "introspection is off; LUMEN_INTROSPECTION=true or --introspection turns it on")
	}
	if !mints {
		log.InfoContext(ctx, t.asInvoked(c.whyNoTokens()))
	}
	if urls.PrivateURL != "" {
		log.InfoContext(ctx, "serving metrics and profiles", "url", urls.PrivateURL)
	}
	if options.Tracing != nil {
		log.InfoContext(ctx, "traces are sent to the collector")
	}
	err = server.Serve(ctx, listener, server.NewHandler(backend, options), server.Serving{
		Health: health, Delay: c.ShutdownDelay, EndWaits: backend.Store.EndWaits, IdleTimeout: c.IdleTimeout,
		BasePath: c.BasePath, Log: log,
	})
	log.InfoContext(ctx, "stopped")
	return err
}

// check waits for the database and checks that it is safe to serve from. It logs what an operator
// should change there, and reports whether access tokens can be minted.
func (c serveCommand) check(
	ctx context.Context, backend *server.Backend, log *slog.Logger,
) (mints bool, err error) {
	err = postgres.Await(ctx, backend.Database.Config, c.StartTimeout, func(reason error) {
		log.WarnContext(ctx, "waiting for the database", "error", reason, "timeout", c.StartTimeout.String())
	})
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	warnings, err := schema.Check(ctx, backend.Database)
	for _, warning := range warnings {
		log.WarnContext(ctx, warning)
	}
	if err != nil {
		return false, err
	}
	err = backend.Auth.Tokens.CheckSigner(ctx)
	if errors.Is(err, auth.ErrNoTokenKey) {
		return false, nil
	}
	return err == nil, err
}

// whyNoTokens returns what is missing to mint access tokens.
func (c serveCommand) whyNoTokens() string {
	if c.TokenSecret == "" {
		return "access tokens are not configured; set LUMEN_TOKEN_SECRET, and run lumen token-key rotate with the same secret"
	}
	return "access tokens are not configured: no key signs them; " +
		"run lumen token-key rotate with the same LUMEN_TOKEN_SECRET"
}

// configure checks the whole configuration. Its error holds all faults at once.
func (c serveCommand) configure(t terminal) (*server.Backend, server.Options, error) {
	var options server.Options
	name := t.settings.name
	options.Playground, options.GraphQL.Introspection = c.Playground, c.Introspection
	wrong := append(c.apply(&options, t.settings), c.startFlag.check(t.settings)...)
	rates, wrongRates := c.rates(t.settings)
	wrong = append(wrong, wrongRates...)
	options.Limiter = server.NewLimiter(rates)
	if c.ShutdownDelay < 0 {
		wrong.add("%s must not be negative", name("LUMEN_SHUTDOWN_DELAY"))
	}
	if _, err := net.ResolveTCPAddr("tcp", c.Addr); err != nil || c.Addr == "" {
		wrong.add("%s is not an address; it looks like 127.0.0.1:8080", name("LUMEN_ADDR"))
	}
	if _, err := net.ResolveTCPAddr("tcp", c.PrivateAddr); err != nil && c.PrivateAddr != "" {
		wrong.add("%s is not an address; it looks like 127.0.0.1:9090", name("LUMEN_PRIVATE_ADDR"))
	}
	backend := c.openBackend(t.settings, &wrong)
	options.Log = server.NewLog(t.err, c.logFormat(t.settings, &wrong))
	var err error
	if options.Tracing, err = server.NewTracing(context.Background(), options.Log); err != nil {
		wrong.add("%v", err)
	}
	if len(wrong) > 0 {
		if backend != nil {
			_ = backend.Close()
		}
		options.Tracing.Stop(context.Background())
		return nil, options, wrong
	}
	return backend, options, nil
}

// openBackend returns the backend, or nil when there is no usable connection string.
func (c serveCommand) openBackend(s settings, wrong *faults) *server.Backend {
	secret, err := c.tokenSecret(s)
	if err != nil {
		wrong.add("%v", err)
	}
	if !slices.Contains([]string{"", "none", "transaction"}, c.DatabasePooler) {
		wrong.add("%s must be none or transaction", s.name("LUMEN_DATABASE_POOLER"))
	}
	if c.DatabaseURL == "" {
		wrong.add("%s is not set; set it to a URL like postgres://lumen_serve:password@host:5432/lumen", databaseURL)
		return nil
	}
	database, err := postgres.ParseDatabase(c.DatabaseURL, c.DatabasePooler == "transaction")
	if err != nil {
		wrong.add("%s is %v", s.name(databaseURL), err)
		return nil
	}
	return server.OpenBackend(database, store.Options{
		MaxConnections: int(c.DatabaseConnections), MerchantConcurrency: int(c.MerchantConcurrency),
	}, auth.Options{TokenSecret: secret})
}

// logFormat returns what makes the handler of the log.
func (c serveCommand) logFormat(s settings, wrong *faults) func(io.Writer) slog.Handler {
	switch c.LogFormat {
	case "json":
		return func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }
	case "text":
		return func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }
	}
	wrong.add("%s must be json or text", s.name("LUMEN_LOG_FORMAT"))
	return func(io.Writer) slog.Handler { return slog.DiscardHandler }
}

// serverURLs are the URLs of both APIs, and of the playground and the private listener when they
// are on.
type serverURLs struct {
	URL           string `json:"url"`
	RestURL       string `json:"restUrl"`
	GraphQLURL    string `json:"graphqlUrl"`
	PlaygroundURL string `json:"playgroundUrl,omitempty"`
	PrivateURL    string `json:"privateUrl,omitempty"` // for the operator
}

func urlOf(listener net.Listener) string {
	address := *listener.Addr().(*net.TCPAddr)
	if address.IP.IsUnspecified() {
		address.IP = net.IPv4(127, 0, 0, 1) // an address that works on this machine
	}
	return "http://" + address.String()
}

func urlsOf(listener net.Listener, basePath string, withPlayground bool) serverURLs {
	url := urlOf(listener) + basePath
	urls := serverURLs{URL: url, RestURL: url + "/api/customers", GraphQLURL: url + "/graphql"}
	if withPlayground {
		urls.PlaygroundURL = url + playground.Path
	}
	return urls
}
