package graph

import (
	"context"
	"slices"
	"sync"

	"github.com/99designs/gqlgen/graphql"

	"lumen/graph/scalar"
	"lumen/store"
)

// A lookup answers all by-id fields of one operation with one statement. It needs no timer to gather them: root fields
// carry their ids in the operation itself, so the first field that asks fetches for all.
type lookup struct {
	customers *store.Customers
	once      sync.Once
	asked     map[string]bool
	found     map[string]*store.Customer
	err       error
}

type lookupKey struct{}

// withLookup gives each operation a lookup of its own; nothing is kept from one to the next.
func (r *Resolver) withLookup(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	return next(context.WithValue(ctx, lookupKey{}, &lookup{customers: r.customers}))
}

// find returns the live customers among ids, of those that the operation names.
func find(ctx context.Context, ids ...string) (map[string]*store.Customer, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	l := ctx.Value(lookupKey{}).(*lookup)
	l.once.Do(func() {
		l.asked = idsIn(graphql.GetOperationContext(ctx))
		wanted := make([]string, 0, len(l.asked))
		for id := range l.asked {
			wanted = append(wanted, id)
		}
		l.found, l.err = l.customers.GetMany(ctx, wanted)
	})
	for _, id := range ids {
		if !l.asked[id] {
			return l.customers.GetMany(ctx, ids)
		}
	}
	return l.found, l.err
}

// idsIn returns the well-formed customer ids in the arguments of the operation's by-id fields.
func idsIn(operation *graphql.OperationContext) map[string]bool {
	ids := make(map[string]bool)
	add := func(value any) {
		if id, err := scalar.UnmarshalID(value); err == nil && store.IsCustomerID(id) {
			ids[id] = true
		}
	}
	for _, field := range graphql.CollectFields(operation, operation.Operation.SelectionSet, []string{"Query"}) {
		switch arguments := field.ArgumentMap(operation.Variables); field.Name {
		case "customer", "node":
			add(arguments["id"])
		case "nodes":
			for _, id := range graphql.CoerceList(arguments["ids"]) {
				add(id)
			}
		}
	}
	return ids
}

// nodes returns the objects with these ids, nil in the place of each that is not there or not the merchant's.
func nodes(ctx context.Context, ids []string) ([]scalar.Node, error) {
	self, err := merchant(ctx)
	if err != nil {
		return nil, err
	}
	found, err := find(ctx, slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !store.IsCustomerID(id) })...)
	if err != nil {
		return nil, err
	}
	list := make([]scalar.Node, len(ids))
	for i, id := range ids {
		if customer := found[id]; customer != nil {
			list[i] = customer
		} else if id == self.ID {
			list[i] = self
		}
	}
	return list, nil
}
