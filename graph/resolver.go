package graph

import (
	"context"
	"slices"

	"lumen/graph/generated"
	"lumen/graph/scalar"
	"lumen/store"
	"lumen/store/auth"
)

// Resolver is the root of the resolvers. Each resolver calls the store and converts the result to a
// type of the schema. Resolvers run concurrently and share only these fields.
type Resolver struct {
	store   *store.Store
	tokens  *auth.Tokens
	sources []source
}

var _ generated.ResolverRoot = (*Resolver)(nil)

// Mutation implements generated.ResolverRoot.
func (r *Resolver) Mutation() generated.MutationResolver { return &mutationResolver{r} }

// Query implements generated.ResolverRoot.
func (r *Resolver) Query() generated.QueryResolver { return &queryResolver{r} }

type (
	mutationResolver struct{ *Resolver }
	queryResolver    struct{ *Resolver }
)

func (r *queryResolver) Node(ctx context.Context, id string) (scalar.Node, error) {
	isNode := func(noun store.Noun) bool { return noun.IsID(id) }
	if !slices.ContainsFunc(store.Nouns(), isNode) && !store.IsMerchantID(id) {
		return nil, store.NounOf[store.Customer]().NewError(store.InvalidID)
	}
	nodes, err := r.Nodes(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	return nodes[0], nil
}

func (r *queryResolver) Nodes(ctx context.Context, ids []string) ([]scalar.Node, error) {
	return nodes(ctx, ids)
}

func (r *queryResolver) Merchant(ctx context.Context) (*store.Merchant, error) {
	return merchant(ctx)
}

// merchant returns the merchant of the request's credential.
func merchant(ctx context.Context) (*store.Merchant, error) {
	credential, ok := store.CredentialFrom(ctx)
	if !ok {
		return nil, store.NewError(store.Unauthenticated)
	}
	return &credential.Merchant, nil
}
