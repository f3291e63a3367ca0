package graph

import (
	"context"
	"time"

	"lumen/graph/model"
	"lumen/store"
)

var customers = register[store.Customer]("Customer")

func (r *queryResolver) Customer(ctx context.Context, id string, asOf *time.Time) (*store.Customer, error) {
	if asOf == nil {
		return load[store.Customer](ctx, id)
	}
	return past(ctx, customers(r.Resolver), id, *asOf)
}

func (r *queryResolver) Customers(
	ctx context.Context, first *int, after *string, last *int, before *string, filter map[string]any, sort *store.Sort,
) (*model.CustomerConnection, error) {
	return connection(ctx, customers(r.Resolver), pageQuery(first, after, last, before, filter, sort))
}

func (r *mutationResolver) CreateCustomer(ctx context.Context, input map[string]any) (*model.CustomerPayload, error) {
	return payload[store.Customer](ctx)(r.store.Customers.Create(ctx, values(input), writeOptions(ctx, nil)))
}

func (r *mutationResolver) UpdateCustomer(
	ctx context.Context, id string, input map[string]any, expectedVersion *int,
) (*model.CustomerPayload, error) {
	return payload[store.Customer](ctx)(r.store.Customers.Update(ctx, id, values(input), writeOptions(ctx, expectedVersion)))
}

func (r *mutationResolver) DeleteCustomer(
	ctx context.Context, id string, expectedVersion *int,
) (*model.Deletion, error) {
	return deletion[store.Customer](ctx)(r.store.Customers.Delete(ctx, id, writeOptions(ctx, expectedVersion)))
}
