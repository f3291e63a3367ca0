// Package graph is the door for GraphQL. It translates between schema.graphql and the store; the rules are the store's.
package graph

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"

	"lumen/graph/generated"
	"lumen/store"
)

// Authenticate returns the request's context with its credential, or the *store.Error that refuses it.
type Authenticate func(*http.Request) (context.Context, error)

// Options configure the door.
type Options struct {
	// Introspection lets clients read the schema.
	Introspection bool
	// Limits bound what one request may ask for.
	Limits Limits
	// FieldCosts are what fields cost, by type and field as in "Query.customers", where it is not the default.
	FieldCosts map[string]int
	// Trusted are the documents that clients may ask for by their ids; nil for none.
	Trusted *Trusted
	// Charge charges the caller for an operation that is about to be executed and costs this much, or returns the
	// *store.Error that refuses it; nil charges for nothing.
	Charge func(ctx context.Context, cost int) error
	// RequestID returns the id of the request that a context belongs to. It is shown with internal errors and outages.
	RequestID func(context.Context) string
	// Note is told what came of each request; nil tells nobody.
	Note func(context.Context, Outcome)
	// Log gets the causes that no reply shows.
	Log *slog.Logger
}

// NewHandler returns the handler of POST /graphql.
func NewHandler(customers *store.Customers, tokens *store.Tokens, authenticate Authenticate, options Options) http.Handler {
	server := newServer(customers, tokens, authenticate, options)
	server.Use(plain{})
	return server
}

// newServer returns the handler as it is without plain, which adds nothing but speed: tests compare the two.
func newServer(customers *store.Customers, tokens *store.Tokens, authenticate Authenticate, options Options) *handler.Server {
	resolver := &Resolver{customers: customers, tokens: tokens}
	schema := generated.NewExecutableSchema(generated.Config{Resolvers: resolver})
	errors := presenter{requestID: options.RequestID, log: options.Log}

	server := handler.New(schema)
	server.AddTransport(transport{authenticate, options.Charge, options.Limits, newDocuments(options.Limits, options.Trusted), options.Note})
	server.SetQueryCache(handover{})
	server.SetErrorPresenter(errors.present)
	server.SetRecoverFunc(errors.recovered)
	server.Use(coerceVariables{schema.Schema()}) // before anything reads a variable
	if options.Introspection {
		server.Use(extension.Introspection{})
	} else {
		server.Use(noIntrospection{})
	}
	server.Use(costLimit{newCosts(schema.Schema(), options.FieldCosts), options.Limits})
	server.AroundOperations(resolver.withLookup)
	server.AroundRootFields(traceField)
	return server
}
