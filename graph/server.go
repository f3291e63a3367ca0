// Package graph serves the GraphQL API, POST /graphql. It translates between schema.graphql and
// package store, which holds the rules.
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

// Authenticate returns the context of a request with its credential, or the *store.Error that
// refuses the request.
type Authenticate func(*http.Request) (context.Context, error)

// Options configure the GraphQL API.
type Options struct {
	// Introspection lets clients read the schema.
	Introspection bool
	// Limits bound the size and the cost of one request.
	Limits guard.Limits
	// FieldCosts overrides the costs of fields, by type and field as in "Query.customers".
	FieldCosts map[string]int
	// Trusted holds the documents that clients may ask for by id; nil for none.
	Trusted *guard.Trusted
	// Charge charges the client for an operation of this cost that is about to be executed, or
	// returns the *store.Error that refuses it. Nil charges nothing.
	Charge func(ctx context.Context, cost int) error
	// RequestID returns the id of the request of a context. Replies show it with the codes INTERNAL
	// and UNAVAILABLE.
	RequestID func(context.Context) string
	// Observe receives the outcome of each request; nil for none.
	Observe func(context.Context, Outcome)
	// Log receives the causes of errors, which no reply shows.
	Log *slog.Logger
}

// NewHandler returns the handler of POST /graphql. It panics when a root field of the schema has no
// cost.
func NewHandler(s *store.Store, tokens *auth.Tokens, authenticate Authenticate, options Options) http.Handler {
	server := newServer(s, tokens, authenticate, options)
	server.Use(encode.NewRows(encoders...))
	return server
}

// newServer returns the handler without the encoder of package encode. The encoder only saves time,
// so tests compare the replies with and without it.
func newServer(s *store.Store, tokens *auth.Tokens, authenticate Authenticate, options Options) *handler.Server {
	resolver := &Resolver{store: s, tokens: tokens}
	for _, of := range sources {
		resolver.sources = append(resolver.sources, of(s))
	}
	executable := generated.NewExecutableSchema(generated.Config{Resolvers: resolver})
	errors := presenter{requestID: options.RequestID, log: options.Log}

	// A root field without a price would let clients run its statement at hardly any cost, so the
	// server refuses to start.
	costs, err := options.costs()
	if err != nil {
		panic(err)
	}

	server := handler.New(executable)
	server.AddTransport(transport{
		authenticate: authenticate,
		charge:       options.Charge,
		limits:       options.Limits,
		documents:    guard.NewDocuments(guardSchema(), options.Limits, options.Trusted),
		observe:      options.Observe,
	})
	server.SetQueryCache(guard.PreparedDocument{})
	server.SetErrorPresenter(errors.present)
	server.SetRecoverFunc(errors.recoverPanic)
	server.Use(guard.CoerceVariables{Schema: guardSchema()}) // first: all others read variables
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

// guardSchema returns the schema together with the rules of its scalars.
func guardSchema() guard.Schema { return guard.Schema{Schema: schema(), Coerce: scalar.Coerce} }

// fieldCosts holds the costs of root fields whose kind does not follow from the schema.
var fieldCosts = map[string]int{
	"Query.merchant": 1, // It comes with the credential, without a statement.
}

// costs returns the costs of operations, or an error when a root field has no price.
func (o Options) costs() (*guard.Costs, error) {
	return guard.NewCosts(schema(), fieldCosts, o.FieldCosts)
}

// CheckFieldCosts returns an error unless each name is a field of the schema, as in
// "Query.customers", and no cost is negative.
func CheckFieldCosts(costs map[string]int) error { return guard.CheckFieldCosts(schema(), costs) }

// Trust prepares the documents of a manifest, which maps ids to documents, for a handler with these
// options. With only, the handler executes no other documents. The error names each document that
// the schema or a limit refuses.
func Trust(manifest map[string]string, options Options, only bool) (*guard.Trusted, error) {
	costs, err := options.costs()
	if err != nil {
		return nil, err
	}
	return guard.Trust(guardSchema(), manifest, options.Limits, costs, only)
}
