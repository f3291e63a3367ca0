package graph

import (
	"github.com/99designs/gqlgen/graphql"

	"lumen/graph/model"
	"lumen/store"
)

// This file says the same things in the graph's words and in the store's.

func creation(in model.CreateCustomerInput) store.CustomerInput {
	return store.CustomerInput{
		Email:               store.Set(in.Email),
		Name:                store.SetPtr(in.Name),
		UserID:              store.SetPtr(in.UserID),
		BillingAddressLine1: store.SetPtr(in.BillingAddressLine1),
		BillingAddressLine2: store.SetPtr(in.BillingAddressLine2),
		BillingCity:         store.SetPtr(in.BillingCity),
		BillingPostalCode:   store.SetPtr(in.BillingPostalCode),
		BillingCountry:      store.SetPtr(in.BillingCountry),
		TaxID:               store.SetPtr(in.TaxID),
		DangerouslyAllowSameEmailForDifferentCustomers: isTrue(in.DangerouslyAllowSameEmailForDifferentCustomers),
	}
}

func change(in model.UpdateCustomerInput) store.CustomerInput {
	return store.CustomerInput{
		Email:               optional(in.Email),
		Name:                optional(in.Name),
		UserID:              optional(in.UserID),
		BillingAddressLine1: optional(in.BillingAddressLine1),
		BillingAddressLine2: optional(in.BillingAddressLine2),
		BillingCity:         optional(in.BillingCity),
		BillingPostalCode:   optional(in.BillingPostalCode),
		BillingCountry:      optional(in.BillingCountry),
		TaxID:               optional(in.TaxID),
		DangerouslyAllowSameEmailForDifferentCustomers: isTrue(in.DangerouslyAllowSameEmailForDifferentCustomers),
	}
}

func optional(value graphql.Omittable[*string]) store.Optional[string] {
	text, said := value.ValueOK()
	if !said {
		return store.Optional[string]{}
	}
	return store.SetPtr(text)
}

func isTrue(b *bool) bool { return b != nil && *b }

func filtering(in *model.CustomerFilter) store.CustomerFilter {
	if in == nil {
		return store.CustomerFilter{}
	}
	return store.CustomerFilter{
		Email:          in.Email,
		UserID:         in.UserID,
		BillingCountry: in.BillingCountry,
		Search:         in.Search,
		CreatedAt:      timeRange(in.CreatedAt),
		UpdatedAt:      timeRange(in.UpdatedAt),
		IncludeDeleted: isTrue(in.IncludeDeleted),
	}
}

func timeRange(in *model.DateTimeRange) store.TimeRange {
	if in == nil {
		return store.TimeRange{}
	}
	return store.TimeRange{From: in.From, Before: in.Before}
}

func ordering(in *store.CustomerSort) store.CustomerSort {
	if in == nil {
		return store.CustomerSort{}
	}
	return *in
}

func connection(page *store.Page, of store.CustomerFilter) *model.CustomerConnection {
	c := &model.CustomerConnection{
		Edges:    make([]*model.CustomerEdge, len(page.Customers)),
		Nodes:    make([]*store.Customer, len(page.Customers)),
		PageInfo: &model.PageInfo{HasNextPage: page.HasNext, HasPreviousPage: page.HasPrevious},
		Filter:   of,
	}
	for i := range page.Customers {
		c.Nodes[i] = &page.Customers[i]
		c.Edges[i] = &model.CustomerEdge{Cursor: page.Cursor(i), Node: c.Nodes[i]}
	}
	if n := len(c.Edges); n > 0 {
		c.PageInfo.StartCursor, c.PageInfo.EndCursor = &c.Edges[0].Cursor, &c.Edges[n-1].Cursor
	}
	return c
}
