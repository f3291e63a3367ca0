package graph

import (
	"context"
	"time"

	"lumen/graph/encode"
	"lumen/graph/model"
	"lumen/store"
)

// The registered nouns.
var (
	encoders []encode.Noun               // how package encode writes their rows
	sources  []func(*store.Store) source // where the loader reads their rows
)

// register registers the noun with rows of type T and with this type name in the schema. It returns
// a function that returns the rows of a resolver's store.
func register[T any](typeName string) func(*Resolver) *store.Rows[T] {
	encoders = append(encoders, encode.Of[T](typeName))
	sources = append(sources, func(s *store.Store) source { return sourceOf(store.RowsOf[T](s)) })
	return func(r *Resolver) *store.Rows[T] { return store.RowsOf[T](r.store) }
}

// values converts an input or a filter of the schema to the store's types. A pointer becomes its
// value, or nil for null; an int becomes an int64.
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

func pageQuery(
	first *int, after *string, last *int, before *string, filter map[string]any, sort *store.Sort,
) store.PageQuery {
	q := store.PageQuery{Filter: values(filter), First: first, Last: last, After: after, Before: before}
	if sort != nil {
		q.Sort = *sort
	}
	return q
}

// connection returns a page of a noun. It counts nothing until TotalCount is selected.
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

// payload returns a function that converts the result of a create or an update to a payload.
func payload[T any](ctx context.Context) func(*T, error) (*model.Payload[T], error) {
	return func(row *T, failure error) (*model.Payload[T], error) {
		faults, err := userErrors(ctx, failure)
		if err != nil {
			return nil, err
		}
		if row != nil {
			recordRow(ctx, store.NounOf[T]().Name(), store.IDOf(row))
		}
		return &model.Payload[T]{Row: row, CurrentVersion: currentVersion(row, failure), UserErrors: faults}, nil
	}
}

// currentVersion returns the version of the row that a write returned, or the one that a conflict
// states; nil for other failures.
func currentVersion[T any](row *T, failure error) *int {
	version := 0
	switch {
	case row != nil:
		version = int(store.VersionOf(row))
	case failure != nil:
		version = int(store.AsError(failure).Version)
	}
	if version == 0 {
		return nil
	}
	return &version
}

// writeOptions returns the options of a write that expects this version, or any for nil.
func writeOptions(ctx context.Context, expectedVersion *int) store.WriteOptions {
	var options store.WriteOptions
	if r, ok := ctx.Value(recorderKey{}).(*outcomeRecorder); ok {
		options.Receipt = &r.receipt
	}
	if expectedVersion != nil {
		options.Expected = store.Versions{int64(*expectedVersion)}
	}
	return options
}

// deletion returns a function that converts the result of a delete to a payload.
func deletion[T any](ctx context.Context) func(*T, error) (*model.Deletion, error) {
	return func(row *T, failure error) (*model.Deletion, error) {
		faults, err := userErrors(ctx, failure)
		if err != nil {
			return nil, err
		}
		d := &model.Deletion{CurrentVersion: currentVersion(row, failure), UserErrors: faults}
		if row != nil {
			id := store.IDOf(row)
			d.ID = &id
			recordRow(ctx, store.NounOf[T]().Name(), id)
		}
		return d, nil
	}
}
