package graph

import (
	"context"
	"slices"
	"sync"

	"github.com/99designs/gqlgen/graphql"

	"lumen/graph/scalar"
	"lumen/store"
)

// loader reads all rows that one operation asks for by id, with one statement for each noun. The
// ids are arguments of root fields, which are known before any field runs. So the first field reads
// the rows of all fields, and no timer has to collect them.
type loader []*batch

// batch holds the rows of one noun that an operation asks for.
type batch struct {
	source
	once  sync.Once
	asked map[string]bool // by id
	found map[string]any  // by id
	err   error
}

// source reads the rows of one noun.
type source struct {
	noun    store.Noun
	getMany func(context.Context, []string) (map[string]any, error)
}

func sourceOf[T any](rows *store.Rows[T]) source {
	return source{store.NounOf[T](), func(ctx context.Context, ids []string) (map[string]any, error) {
		found, err := rows.GetMany(ctx, ids)
		if err != nil {
			return nil, err
		}
		all := make(map[string]any, len(found))
		for id, row := range found {
			all[id] = row
		}
		return all, nil
	}}
}

type loaderKey struct{}

// withLoader gives each operation its own loader, so no row is reused by another operation.
func (r *Resolver) withLoader(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	l := make(loader, len(r.sources))
	for i, source := range r.sources {
		l[i] = &batch{source: source}
	}
	return next(context.WithValue(ctx, loaderKey{}, l))
}

// find returns the rows with these ids, by id, from all nouns. It ignores ids that are of no noun.
func find(ctx context.Context, ids ...string) (map[string]any, error) {
	all := make(map[string]any, len(ids))
	for _, b := range ctx.Value(loaderKey{}).(loader) {
		nounIDs := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !b.noun.IsID(id) })
		if len(nounIDs) == 0 {
			continue
		}
		found, err := b.find(ctx, nounIDs)
		if err != nil {
			return nil, err
		}
		for _, id := range nounIDs {
			all[id] = found[id]
		}
	}
	return all, nil
}

// find returns the rows with these ids, and rows of other ids that the operation asks for. It reads
// them again only when the operation does not ask for one of the ids.
func (b *batch) find(ctx context.Context, ids []string) (map[string]any, error) {
	b.once.Do(func() {
		b.asked = b.idsIn(graphql.GetOperationContext(ctx))
		wanted := make([]string, 0, len(b.asked))
		for id := range b.asked {
			wanted = append(wanted, id)
		}
		b.found, b.err = b.getMany(ctx, wanted)
		for id := range b.found {
			recordRow(ctx, b.noun.Name(), id)
		}
	})
	for _, id := range ids {
		if !b.asked[id] {
			return b.getMany(ctx, ids)
		}
	}
	return b.found, b.err
}

// idsIn returns the noun's ids in the arguments id and ids of the operation's root fields.
func (b *batch) idsIn(operation *graphql.OperationContext) map[string]bool {
	ids := make(map[string]bool)
	for _, field := range graphql.CollectFields(operation, operation.Operation.SelectionSet, []string{"Query"}) {
		arguments := field.ArgumentMap(operation.Variables)
		for _, value := range append(graphql.CoerceList(arguments["ids"]), arguments["id"]) {
			if id, err := scalar.UnmarshalID(value); err == nil && b.noun.IsID(id) {
				ids[id] = true
			}
		}
	}
	return ids
}

// load returns the live row with this id, or nil when there is none. A malformed id is
// store.InvalidID.
func load[T any](ctx context.Context, id string) (*T, error) {
	if noun := store.NounOf[T](); !noun.IsID(id) {
		return nil, noun.NewError(store.InvalidID)
	}
	found, err := find(ctx, id)
	row, _ := found[id].(*T)
	return row, err
}

// isSelf reports whether id is the id of the merchant that the credential belongs to.
func isSelf(self *store.Merchant, id string) bool { return id == self.ID }

// nodes returns the objects with these ids, in their order. An object that does not exist or
// belongs to another merchant is nil.
func nodes(ctx context.Context, ids []string) ([]scalar.Node, error) {
	self, err := merchant(ctx)
	if err != nil {
		return nil, err
	}
	found, err := find(ctx, ids...)
	if err != nil {
		return nil, err
	}
	list := make([]scalar.Node, len(ids))
	for i, id := range ids {
		if list[i] = found[id]; list[i] == nil && isSelf(self, id) {
			list[i] = self
		}
	}
	return list, nil
}
