package graph

import (
	"context"

	"lumen/store"
)

// Resolver is the root of the resolvers, a line or five each: they call the store and say what came of it in the
// graph's types. They run concurrently and share nothing but what is here.
type Resolver struct {
	customers *store.Customers
	tokens    *store.Tokens
}

// merchant returns the merchant of the request's credential.
func merchant(ctx context.Context) (*store.Merchant, error) {
	credential, ok := store.CredentialFrom(ctx)
	if !ok {
		return nil, store.NewError(store.Unauthenticated)
	}
	return &credential.Merchant, nil
}
