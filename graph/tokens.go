package graph

import (
	"context"

	"lumen/graph/model"
	"lumen/store/auth"
)

func (r *mutationResolver) CreateAccessToken(
	ctx context.Context, input model.CreateAccessTokenInput,
) (*model.CreateAccessTokenPayload, error) {
	minted, err := r.tokens.Create(ctx, minting(input))
	faults, err := userErrors(ctx, err)
	if err != nil {
		return nil, err
	}
	return &model.CreateAccessTokenPayload{AccessToken: accessToken(minted), UserErrors: faults}, nil
}

// minting is the input in the store's words.
func minting(in model.CreateAccessTokenInput) auth.TokenInput {
	return auth.TokenInput{Access: in.Access, CustomerID: in.CustomerID, ExpiresIn: in.ExpiresIn}
}

// accessToken is the token in the graph's words; nil for none. This is where it is shown.
func accessToken(minted *auth.AccessToken) *model.AccessToken {
	if minted == nil {
		return nil
	}
	return &model.AccessToken{
		Token: string(minted.Token), Access: minted.Access, CustomerID: minted.CustomerID, ExpiresAt: minted.ExpiresAt,
	}
}
