// Package graph is the GraphQL API. It translates between schema.graphql and the store; the rules are the store's.
package graph

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/graph/encode"
	"lumen/graph/generated"
	"lumen/graph/guard"
	"lumen/graph/scalar"
	"lumen/store"
	"lumen/store/auth"
)

// Authenticate returns the request's context with its credential, or the *store.Error that refuses it.
type Authenticate func(*http.Request) (context.Context, error)

// Options configure the GraphQL API.
type Options struct {
	// Introspection lets clients read the schema.
	Introspection bool
	// Limits bound what one request may ask for.
	Limits guard.Limits
	// FieldCosts are what fields cost, by type and field as in "Query.customers", where it is not the default.
	FieldCosts map[string]int
	// Trusted are the documents that clients may ask for by their ids; nil for none.
	Trusted *guard.Trusted
	// Charge charges the caller for an operation that is about to be executed and costs this much, or returns the
	// *store.Error that refuses it; nil charges for nothing.
	Charge func(ctx context.Context, cost int) error
	// RequestID returns the id of the request that a context belongs to. It is shown with internal errors and outages.
	RequestID func(context.Context) string
	// Observe receives the outcome of each request; nil for none.
	Observe func(context.Context, Outcome)
	// Log gets the causes that no reply shows.
	Log *slog.Logger
}

// NewHandler returns the handler of POST /graphql.
func NewHandler(s *store.Store, tokens *auth.Tokens, authenticate Authenticate, options Options) http.Handler {
	server := newServer(s, tokens, authenticate, options)
	server.Use(encode.NewRows(encoded...))
	return server
}

// newServer returns the handler without the encoder, which adds nothing but speed: tests compare the two.
func newServer(s *store.Store, tokens *auth.Tokens, authenticate Authenticate, options Options) *handler.Server {
	resolver := &Resolver{store: s, tokens: tokens}
	for _, of := range sources {
		resolver.sources = append(resolver.sources, of(s))
	}
	executable := generated.NewExecutableSchema(generated.Config{Resolvers: resolver})
	errors := presenter{requestID: options.RequestID, log: options.Log}

	// A root field without a price would let clients run its statement for next to nothing. The server
	// does not start with one.
	costs, err := options.costs()
	if err != nil {
		panic(err)
	}

	server := handler.New(executable)
	server.AddTransport(transport{
		authenticate: authenticate,
		charge:       options.Charge,
		limits:       options.Limits,
		documents:    guard.NewDocuments(guarded(), options.Limits, options.Trusted),
		observe:      options.Observe,
	})
	server.SetQueryCache(guard.PreparedDocument{})
	server.SetErrorPresenter(errors.present)
	server.SetRecoverFunc(errors.recovered)
	server.Use(guard.CoerceVariables{Schema: guarded()}) // before anything reads a variable
	if options.Introspection {
		server.Use(extension.Introspection{})
	} else {
		server.Use(guard.NoIntrospection{})
	}
	server.Use(guard.CostLimit{Costs: costs, Limits: options.Limits})
	server.AroundOperations(resolver.withLoader)
	server.AroundRootFields(traceField)
	return server
}

// schema returns the schema of schema.graphql.
func schema() *ast.Schema { return generated.NewExecutableSchema(generated.Config{}).Schema() }

// guarded returns the schema as package guard needs it.
func guarded() guard.Schema { return guard.Schema{Schema: schema(), Coerce: scalar.Coerce} }

// fieldCosts holds the costs of the root fields whose kind the schema does not tell.
var fieldCosts = map[string]int{
	"Query.merchant": 1, // The credential has brought it along.
}

// costs returns what operations cost, or an error when a root field has no price.
func (o Options) costs() (*guard.Costs, error) {
	return guard.NewCosts(schema(), fieldCosts, o.FieldCosts)
}

// CheckFieldCosts returns an error unless each name is a field of the schema, as in
// "Query.customers", and no cost is negative.
func CheckFieldCosts(own map[string]int) error { return guard.CheckFieldCosts(schema(), own) }

// Trust prepares the documents of a manifest, given by their ids, for a handler with these options.
// With only, the handler executes no other documents. A document that the schema or a limit refuses is
// an error that names it.
func Trust(manifest map[string]string, options Options, only bool) (*guard.Trusted, error) {
	costs, err := options.costs()
	if err != nil {
		return nil, err
	}
	return guard.Trust(guarded(), manifest, options.Limits, costs, only)
}
