// Package model holds the types of the schema that the store does not have. models.go is generated.
package model

import (
	"context"

	"lumen/store"
)

// Connection is a page of a noun, as the Relay specification has it.
type Connection[T any] struct {
	Edges    []*Edge[T]
	Nodes    []*T
	PageInfo *PageInfo
	// Count returns the total.
	Count func(context.Context) (int, error)
}

// TotalCount counts the rows that the filter leaves. It runs only when it is selected.
func (c *Connection[T]) TotalCount(ctx context.Context) (int, error) { return c.Count(ctx) }

// Edge is a row of a page with its cursor.
type Edge[T any] struct {
	Cursor string
	Node   *T
}

// Payload is what a mutation returns that creates or changes a row. Row is nil on user errors.
type Payload[T any] struct {
	Row        *T
	UserErrors []*UserError
}

// Deletion is what a mutation returns that deletes a row. ID is nil on user errors.
type Deletion struct {
	ID         *string
	UserErrors []*UserError
}

// The types of customers.
type (
	CustomerConnection = Connection[store.Customer]
	CustomerEdge       = Edge[store.Customer]
	CustomerPayload    = Payload[store.Customer]
)
