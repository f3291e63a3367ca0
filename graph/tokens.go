package graph

import (
	"context"

	"lumen/graph/model"
	"lumen/store"
	"lumen/store/auth"
)

func (r *mutationResolver) CreateAccessToken(
	ctx context.Context, input model.CreateAccessTokenInput,
) (*model.CreateAccessTokenPayload, error) {
	minted, err := r.tokens.Create(ctx, tokenInput(input))
	faults, err := userErrors(ctx, err)
	if err != nil {
		return nil, err
	}
	if minted != nil && minted.CustomerID != nil {
		recordRow(ctx, store.NounOf[store.Customer]().Name(), *minted.CustomerID)
	}
	return &model.CreateAccessTokenPayload{AccessToken: accessToken(minted), UserErrors: faults}, nil
}

// tokenInput converts the input of the mutation to that of package auth.
func tokenInput(in model.CreateAccessTokenInput) auth.TokenInput {
	return auth.TokenInput{Access: in.Access, CustomerID: in.CustomerID, ExpiresIn: in.ExpiresIn}
}

// accessToken converts a minted token to the type of the schema, nil to nil. It is the only place
// in this package that makes a token's secret text visible.
func accessToken(minted *auth.AccessToken) *model.AccessToken {
	if minted == nil {
		return nil
	}
	return &model.AccessToken{
		Token: string(minted.Token), Access: minted.Access, CustomerID: minted.CustomerID, ExpiresAt: minted.ExpiresAt,
	}
}
