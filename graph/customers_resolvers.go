package graph

import (
	"context"

	"lumen/graph/generated"
	"lumen/graph/model"
	"lumen/store"
)

func (r *customerConnectionResolver) TotalCount(ctx context.Context, obj *model.CustomerConnection) (int, error) {
	return r.customers.Count(ctx, obj.Filter)
}

func (r *mutationResolver) CreateCustomer(
	ctx context.Context, input model.CreateCustomerInput,
) (*model.CreateCustomerPayload, error) {
	customer, err := r.customers.Create(ctx, creation(input))
	faults, err := userErrors(ctx, err)
	if err != nil {
		return nil, err
	}
	return &model.CreateCustomerPayload{Customer: customer, UserErrors: faults}, nil
}

func (r *mutationResolver) UpdateCustomer(
	ctx context.Context, id string, input model.UpdateCustomerInput,
) (*model.UpdateCustomerPayload, error) {
	customer, err := r.customers.Update(ctx, id, change(input))
	faults, err := userErrors(ctx, err, "id")
	if err != nil {
		return nil, err
	}
	return &model.UpdateCustomerPayload{Customer: customer, UserErrors: faults}, nil
}

func (r *mutationResolver) DeleteCustomer(ctx context.Context, id string) (*model.DeleteCustomerPayload, error) {
	customer, err := r.customers.Delete(ctx, id)
	faults, err := userErrors(ctx, err, "id")
	if err != nil {
		return nil, err
	}
	payload := &model.DeleteCustomerPayload{UserErrors: faults}
	if customer != nil {
		payload.DeletedCustomerID = &customer.ID
	}
	return payload, nil
}

func (r *queryResolver) Customer(ctx context.Context, id string) (*store.Customer, error) {
	if !store.IsCustomerID(id) {
		return nil, store.NewError(store.InvalidID)
	}
	found, err := find(ctx, id)
	return found[id], err
}

func (r *queryResolver) Customers(
	ctx context.Context, first *int, after *string, last *int, before *string,
	filter *model.CustomerFilter, sort *store.CustomerSort,
) (*model.CustomerConnection, error) {
	of := filtering(filter)
	page, err := r.customers.List(ctx, store.PageQuery{
		Filter: of, Sort: ordering(sort), First: first, Last: last, After: after, Before: before,
	})
	if err != nil {
		return nil, err
	}
	return connection(page, of), nil
}

// CustomerConnection implements generated.ResolverRoot.
func (r *Resolver) CustomerConnection() generated.CustomerConnectionResolver {
	return &customerConnectionResolver{r}
}

type customerConnectionResolver struct{ *Resolver }
