// Package graph is the door for GraphQL. It translates between schema.graphql and the store; the rules are the store's.
package graph

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/graph/generated"
	"lumen/store"
)

// Authenticate returns the request's context with its credential, or the *store.Error that refuses it.
type Authenticate func(*http.Request) (context.Context, error)

// Options configure the door.
type Options struct {
	// Introspection lets clients read the schema.
	Introspection bool
	// RequestID returns the id of the request that a context belongs to. It is shown with internal errors and outages.
	RequestID func(context.Context) string
	// Log gets the causes that no reply shows.
	Log *slog.Logger
}

const (
	// maxTokens bounds a document before it is parsed.
	maxTokens = 4000
	// cachedDocuments is how many parsed documents are kept. A body is at most 64 KiB, so they are, too.
	cachedDocuments = 100
)

// NewHandler returns the handler of POST /graphql.
func NewHandler(customers *store.Customers, tokens *store.Tokens, authenticate Authenticate, options Options) http.Handler {
	resolver := &Resolver{customers: customers, tokens: tokens}
	errors := presenter{requestID: options.RequestID, log: options.Log}

	server := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: resolver}))
	server.AddTransport(transport{authenticate})
	server.SetErrorPresenter(errors.present)
	server.SetRecoverFunc(errors.recovered)
	server.SetDisableSuggestion(true)
	server.SetParserTokenLimit(maxTokens)
	server.SetQueryCache(lru.New[*ast.QueryDocument](cachedDocuments))
	server.Use(wholeCharacters{})
	server.AroundOperations(resolver.withLookup)
	if options.Introspection {
		server.Use(extension.Introspection{})
	} else {
		server.Use(noIntrospection{})
	}
	return server
}
