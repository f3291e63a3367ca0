package graph

import (
	"context"

	"lumen/graph/model"
	"lumen/store"
)

var customers = register[store.Customer]("Customer")

func (r *queryResolver) Customer(ctx context.Context, id string) (*store.Customer, error) {
	return load[store.Customer](ctx, id)
}

func (r *queryResolver) Customers(
	ctx context.Context, first *int, after *string, last *int, before *string, filter map[string]any, sort *store.Sort,
) (*model.CustomerConnection, error) {
	return connection(ctx, customers(r.Resolver), pageQuery(first, after, last, before, filter, sort))
}

func (r *mutationResolver) CreateCustomer(ctx context.Context, input map[string]any) (*model.CustomerPayload, error) {
	return payload[store.Customer](ctx)(r.store.Customers.Create(ctx, values(input), store.WriteOptions{}))
}

func (r *mutationResolver) UpdateCustomer(
	ctx context.Context, id string, input map[string]any, expectedVersion *int,
) (*model.CustomerPayload, error) {
	return payload[store.Customer](ctx)(r.store.Customers.Update(ctx, id, values(input), writeOptions(expectedVersion)))
}

func (r *mutationResolver) DeleteCustomer(
	ctx context.Context, id string, expectedVersion *int,
) (*model.Deletion, error) {
	return deletion[store.Customer](ctx)(r.store.Customers.Delete(ctx, id, writeOptions(expectedVersion)))
}
