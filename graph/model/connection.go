// Package model holds the types of the schema that package store lacks. The file models.go is
// generated.
package model

import (
	"context"

	"lumen/store"
)

// Connection is a page of a list of rows, as defined by the Relay specification.
type Connection[T any] struct {
	Edges    []*Edge[T]
	Nodes    []*T
	PageInfo *PageInfo
	// Count counts the rows of the whole list.
	Count func(context.Context) (int, error)
}

// TotalCount counts the rows of the whole list that pass the filter. It runs only if it is
// selected.
func (c *Connection[T]) TotalCount(ctx context.Context) (int, error) { return c.Count(ctx) }

// Edge is a row of a page and its cursor.
type Edge[T any] struct {
	Cursor string
	Node   *T
}

// Payload is the result of a mutation that creates or updates a row. Row is nil if there are user
// errors.
type Payload[T any] struct {
	Row            *T
	CurrentVersion *int
	UserErrors     []*UserError
}

// Deletion is the result of a mutation that deletes a row. ID is nil if there are user errors.
type Deletion struct {
	ID             *string
	CurrentVersion *int
	UserErrors     []*UserError
}

// The instances for customers.
type (
	CustomerConnection = Connection[store.Customer]
	CustomerEdge       = Edge[store.Customer]
	CustomerPayload    = Payload[store.Customer]
)
