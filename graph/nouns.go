package graph

import (
	"context"
	"time"

	"lumen/graph/encode"
	"lumen/graph/model"
	"lumen/store"
)

// The nouns: how package encode writes their rows, and where the loader finds them.
var (
	encoded []encode.Noun
	sources []func(*store.Store) source
)

// register adds the noun whose rows are read into T, and whose type in the schema has this name. It
// returns where its rows are found.
func register[T any](typeName string) func(*Resolver) *store.Rows[T] {
	encoded = append(encoded, encode.Of[T](typeName))
	sources = append(sources, func(s *store.Store) source { return sourceOf(store.RowsOf[T](s)) })
	return func(r *Resolver) *store.Rows[T] { return store.RowsOf[T](r.store) }
}

// values returns an input or a filter of the schema in the store's types: a pointer's value, nil for null.
func values(in map[string]any) map[string]any {
	out := make(map[string]any, len(in))
	for name, value := range in {
		switch value := value.(type) {
		case *string:
			out[name] = deref(value)
		case *bool:
			out[name] = deref(value)
		case *time.Time:
			out[name] = deref(value)
		case *store.TimeRange:
			out[name] = deref(value)
		case int:
			out[name] = int64(value)
		case *int:
			if out[name] = nil; value != nil {
				out[name] = int64(*value)
			}
		default:
			out[name] = value
		}
	}
	return out
}

func deref[V any](value *V) any {
	if value == nil {
		return nil
	}
	return *value
}

func pageQuery(first *int, after *string, last *int, before *string, filter map[string]any, sort *store.Sort) store.PageQuery {
	q := store.PageQuery{Filter: values(filter), First: first, Last: last, After: after, Before: before}
	if sort != nil {
		q.Sort = *sort
	}
	return q
}

// connection returns a page of a noun.
func connection[T any](ctx context.Context, rows *store.Rows[T], query store.PageQuery) (*model.Connection[T], error) {
	page, err := rows.List(ctx, query)
	if err != nil {
		return nil, err
	}
	c := &model.Connection[T]{
		Edges:    make([]*model.Edge[T], len(page.Items)),
		Nodes:    make([]*T, len(page.Items)),
		PageInfo: &model.PageInfo{HasNextPage: page.HasNext, HasPreviousPage: page.HasPrevious},
		Count:    func(ctx context.Context) (int, error) { return rows.Count(ctx, query.Filter) },
	}
	for i := range page.Items {
		c.Nodes[i] = &page.Items[i]
		c.Edges[i] = &model.Edge[T]{Cursor: page.Cursor(i), Node: c.Nodes[i]}
	}
	if n := len(c.Edges); n > 0 {
		c.PageInfo.StartCursor, c.PageInfo.EndCursor = &c.Edges[0].Cursor, &c.Edges[n-1].Cursor
	}
	return c, nil
}

// payload returns a function that turns the result of a create or an update into its payload.
func payload[T any](ctx context.Context) func(*T, error) (*model.Payload[T], error) {
	return func(row *T, err error) (*model.Payload[T], error) {
		faults, err := userErrors(ctx, err)
		if err != nil {
			return nil, err
		}
		return &model.Payload[T]{Row: row, UserErrors: faults}, nil
	}
}

// deletion is payload for a delete.
func deletion[T any](ctx context.Context) func(*T, error) (*model.Deletion, error) {
	return func(row *T, err error) (*model.Deletion, error) {
		faults, err := userErrors(ctx, err)
		if err != nil {
			return nil, err
		}
		d := &model.Deletion{UserErrors: faults}
		if row != nil {
			id := store.IDOf(row)
			d.ID = &id
		}
		return d, nil
	}
}
