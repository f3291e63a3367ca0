package graph

import (
	"context"
	"time"

	"lumen/graph/generated"
	"lumen/graph/model"
	"lumen/store"
)

// Customer implements generated.ResolverRoot.
func (r *Resolver) Customer() generated.CustomerResolver { return &customerResolver{r} }

type customerResolver struct{ *Resolver }

func (r *customerResolver) History(
	ctx context.Context, c *store.Customer, first *int, after *string,
) (*model.ChangeConnection, error) {
	page, err := r.store.Customers.History(ctx, c.ID, store.HistoryQuery{First: first, After: after})
	if err != nil {
		return nil, err
	}
	connection := changes(page.Changes, page.Cursor)
	connection.PageInfo.HasNextPage, connection.PageInfo.HasPreviousPage = page.HasNext, after != nil
	return connection, nil
}

func (r *queryResolver) Changes(
	ctx context.Context, after *string, first *int, types []store.ChangeType, customerID *string,
) (*model.ChangeConnection, error) {
	page, err := r.store.Changes.Page(ctx, store.FeedQuery{After: after, First: first, Types: types, CustomerID: customerID})
	if err != nil {
		return nil, err
	}
	connection := changes(page.Changes, page.Cursor)
	connection.PageInfo.HasNextPage, connection.PageInfo.HasPreviousPage = page.HasMore, page.HasPrevious
	connection.PageInfo.EndCursor = &page.Next
	return connection, nil
}

// past returns the row with this id as it was at a time, or nil if it did not exist then.
func past[T any](ctx context.Context, rows *store.Rows[T], id string, at time.Time) (*T, error) {
	row, err := rows.GetAsOf(ctx, id, at)
	if err != nil && store.AsError(err).Code == store.NotFound {
		return nil, nil
	}
	if err == nil {
		recordRow(ctx, store.NounOf[T]().Name(), id)
	}
	return row, err
}

// changes returns a page of changes.
func changes(page []store.Change, cursor func(int) string) *model.ChangeConnection {
	c := &model.ChangeConnection{
		Edges: make([]*model.ChangeEdge, len(page)), Nodes: make([]*model.Change, len(page)), PageInfo: new(model.PageInfo),
	}
	for i := range page {
		c.Nodes[i] = &model.Change{Change: &page[i]}
		c.Edges[i] = &model.ChangeEdge{Cursor: cursor(i), Node: c.Nodes[i]}
	}
	if n := len(page); n > 0 {
		c.PageInfo.StartCursor, c.PageInfo.EndCursor = &c.Edges[0].Cursor, &c.Edges[n-1].Cursor
	}
	return c
}
