package store

import (
	"context"
	"iter"
	"slices"
	"sync"

	"lumen/store/gate"
	"lumen/store/wall"
)

// Page sizes, in customers.
const (
	DefaultPageSize = 50
	MaxPageSize     = 250
)

// PageQuery asks for a part of a list. First counts from the start of the range that After and Before bound, Last from
// its end; nil means not given, and neither means First of DefaultPageSize. Cursors are of the same merchant and sort.
type PageQuery struct {
	Filter        CustomerFilter
	Sort          CustomerSort
	First, Last   *int
	After, Before *string
}

// Page is a part of a list, in list order.
type Page struct {
	Customers []Customer
	// HasNext and HasPrevious tell, exactly, whether the list goes on after the last and before the first of them.
	HasNext, HasPrevious bool

	merchant string
	sort     CustomerSort
}

// Cursor returns the cursor of the page's i-th customer.
func (p *Page) Cursor(i int) string {
	return encodeCursor(p.merchant, p.sort, p.sort.position(&p.Customers[i]))
}

// List returns a page of the merchant's customers (I1). A query out of bounds is InvalidInput. Forbidden to who is bound
// to one customer, like Count and All.
func (c *Customers) List(ctx context.Context, query PageQuery) (*Page, error) {
	r, err := query.resolve(ctx)
	if err != nil {
		return nil, err
	}
	customers, behind, err := c.read(ctx, r, true)
	if err != nil {
		return nil, Failed("fetch customers", err)
	}
	page := &Page{merchant: r.merchant, sort: r.sort}
	more := len(customers) > r.limit
	page.Customers = customers[:min(len(customers), r.limit)]

	// more is what lies on within the range; the row at the far bound, or one beyond it, goes on as well.
	beyond := false
	if far := r.farBound(); !more && far != nil {
		if beyond, err = c.exists(ctx, r, *far, r.backwards); err != nil {
			return nil, Failed("fetch customers", err)
		}
	}
	if len(customers) == 0 && r.nearBound() != nil {
		if behind, err = c.exists(ctx, r, *r.nearBound(), !r.backwards); err != nil {
			return nil, Failed("fetch customers", err)
		}
	}
	page.HasNext, page.HasPrevious = more || beyond, behind
	if r.backwards {
		slices.Reverse(page.Customers)
		page.HasNext, page.HasPrevious = behind, more || beyond
	}
	return page, nil
}

// Count returns how many customers the filter leaves.
func (c *Customers) Count(ctx context.Context, filter CustomerFilter) (int, error) {
	if err := Authorize(ctx, ToList); err != nil {
		return 0, err
	}
	filter, faults := filter.normalize()
	if len(faults) > 0 {
		return 0, Invalid(faults...)
	}
	// Never prepared: a plan for any merchant would read the whole table for a small one, and its time would tell how many
	// customers the others have (I1).
	q := c.scope.selecting(ctx, false)
	filter.where(q.ColumnExpr("count(*)"))
	n := 0
	if err := c.scope.read(ctx, q, func(row *wall.Row) { n = int(row.Int()) }); err != nil {
		return 0, Failed("fetch customers", err)
	}
	return n, nil
}

// batchSize is how many customers All reads at a time; it holds two batches in memory.
const batchSize = 500

// All yields every customer that the filter leaves, newest first, in batches; while one is used the next is read. No
// connection waits for whoever uses them. Customers that exist unchanged throughout appear exactly once. The first error
// ends it. Before each batch it asks again whether the credential is good: one that has ended is Unauthenticated.
func (c *Customers) All(ctx context.Context, filter CustomerFilter) iter.Seq2[[]Customer, error] {
	return func(yield func([]Customer, error) bool) {
		r, err := PageQuery{Filter: filter}.resolve(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		r.limit = batchSize
		ctx, cancel := context.WithCancel(ctx)
		var reading sync.WaitGroup
		defer reading.Wait()
		defer cancel()

		var got batch
		read := func(ctx context.Context) { got.customers, _, got.err = c.read(ctx, r, false) }
		read(ctx)
		for ctx := gate.Continue(ctx); ; {
			this := got
			if this.err == nil {
				this.err = recheck(ctx)
			}
			if this.err != nil {
				yield(nil, Failed("fetch customers", this.err))
				return
			}
			more := len(this.customers) > r.limit
			this.customers = this.customers[:min(len(this.customers), r.limit)]
			if more {
				last := r.sort.position(&this.customers[len(this.customers)-1])
				r.after = &last
				reading.Go(func() { defer Recovered(&got.err); read(ctx) })
			}
			if !yield(this.customers, nil) || !more {
				return
			}
			reading.Wait()
		}
	}
}

type batch struct {
	customers []Customer
	err       error
}

// pageRange is a PageQuery whose parts were checked.
type pageRange struct {
	merchant      string
	filter        CustomerFilter
	sort          CustomerSort
	after, before *position
	limit         int
	backwards     bool // Last: read from the end
}

// nearBound is where reading starts, farBound where it must end.
func (r pageRange) nearBound() *position {
	if r.backwards {
		return r.before
	}
	return r.after
}

func (r pageRange) farBound() *position {
	if r.backwards {
		return r.after
	}
	return r.before
}

// Check returns the InvalidInput, or the Forbidden, with which List, and All for the filter, would refuse the query. It asks
// no database.
func (q PageQuery) Check(ctx context.Context) error {
	_, err := q.resolve(ctx)
	return err
}

func (q PageQuery) resolve(ctx context.Context) (pageRange, error) {
	if err := Authorize(ctx, ToList); err != nil {
		return pageRange{}, err
	}
	merchant, _ := scopeFrom(ctx)
	r := pageRange{merchant: merchant, sort: q.Sort.orDefault(), limit: DefaultPageSize}
	var faults []Fault
	size := func(name string, n *int) {
		if n == nil {
			return
		}
		if *n < 1 || *n > MaxPageSize {
			faults = append(faults, NewFault(name, InvalidFormat))
		}
		r.limit = *n
	}
	size("first", q.First)
	size("last", q.Last)
	if q.First != nil && q.Last != nil {
		faults = append(faults, Fault{Field: "last", Reason: InvalidFormat, Message: "first and last exclude each other"})
	}
	r.backwards = q.Last != nil

	cursor := func(name string, text *string) *position {
		if text == nil {
			return nil
		}
		at, ok := decodeCursor(merchant, r.sort, *text)
		if !ok {
			faults = append(faults, NewFault(name, InvalidFormat))
		}
		return &at
	}
	r.after, r.before = cursor("after", q.After), cursor("before", q.Before)

	filter, found := q.Filter.normalize()
	r.filter = filter
	return r, Invalid(append(faults, found...)...)
}

// usualSizes are those of pages that are prepared: the size is a part of the text, and few are used much.
var usualSizes = []int{10, 20, 25, DefaultPageSize, 100, 200, MaxPageSize, batchSize}

// read returns up to limit+1 customers in reading order and, when probing, whether the list has any behind the near
// bound.
func (c *Customers) read(ctx context.Context, r pageRange, probing bool) (customers []Customer, behind bool, err error) {
	q := c.scope.selecting(ctx, !r.filter.picks() && slices.Contains(usualSizes, r.limit))
	r.filter.where(q.Column(columnNames...))
	if r.after != nil {
		r.sort.after(q, *r.after, false)
	}
	if r.before != nil {
		r.sort.before(q, *r.before, false)
	}
	near := r.nearBound()
	probing = probing && near != nil
	if probing {
		probe := q.part(ctx)
		r.beyond(probe, *near, !r.backwards)
		// Not EXISTS: Postgres drops its ORDER BY, and with it the reason to read the sort's index.
		q.ColumnExpr("(?) IS NOT NULL AS behind", probe.SelectQuery)
	}
	r.sort.order(q.SelectQuery, r.backwards).Limit(int64(r.limit) + 1)
	customers = make([]Customer, 0, r.limit+1)
	err = c.scope.read(ctx, q, func(row *wall.Row) {
		customers = appendCustomer(customers, row)
		if probing {
			behind = row.Bool()
		}
	})
	if err != nil {
		return nil, false, err
	}
	return customers, behind, nil
}

// beyond makes q ask for the row at a bound or past it: before it in list order, or after it.
func (r pageRange) beyond(q query, bound position, before bool) {
	r.filter.where(q.ColumnExpr("1"))
	if before {
		r.sort.before(q, bound, true)
	} else {
		r.sort.after(q, bound, true)
	}
	r.sort.order(q.SelectQuery, before).Limit(1)
}

func (c *Customers) exists(ctx context.Context, r pageRange, bound position, before bool) (found bool, err error) {
	q := c.scope.selecting(ctx, !r.filter.picks())
	r.beyond(q, bound, before)
	err = c.scope.read(ctx, q, func(*wall.Row) { found = true })
	return found && err == nil, err
}
