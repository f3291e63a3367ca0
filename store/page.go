package store

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"lumen/store/gate"
	"lumen/store/wall"
)

// Page sizes, in rows.
const (
	DefaultPageSize = 50
	MaxPageSize     = 250
)

// PageQuery asks for a part of a list. First counts from the start of the range that After and Before bound, Last from
// its end; nil means not given, and neither means First of DefaultPageSize. Cursors are of the same merchant and sort.
type PageQuery struct {
	Filter        Filter
	Sort          Sort
	First, Last   *int
	After, Before *string
	// Began is when the list began, by the database's clock, for cursors to carry; zero for cursors that carry
	// nothing. What After carries goes before it.
	Began time.Time
}

// Page is a part of a list, in list order.
type Page[T any] struct {
	Items []T
	// HasNext and HasPrevious tell, exactly, whether the list goes on after the last and before the first of them.
	HasNext, HasPrevious bool
	// Began is when the list began, where its cursors carry that.
	Began time.Time

	noun     *noun[T]
	merchant string
	sort     order
}

// Cursor returns the cursor of the page's i-th row.
func (p *Page[T]) Cursor(i int) string {
	at := p.noun.position(p.sort, &p.Items[i])
	at.began = p.Began
	return encodeCursor(p.merchant, p.sort, at)
}

// List returns a page of the merchant's rows (I1). A query out of bounds is InvalidInput. It is Forbidden
// to a bound caller unless the noun opens its lists to bound callers, like Count and All.
func (r *Rows[T]) List(ctx context.Context, query PageQuery) (*Page[T], error) {
	p, err := r.resolve(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, behind, err := r.readPage(ctx, p, true)
	if err != nil {
		return nil, Failed("fetch "+r.noun.plural, err)
	}
	page := &Page[T]{Began: p.began, noun: r.noun, merchant: p.merchant, sort: p.sort}
	more := len(rows) > p.limit
	page.Items = rows[:min(len(rows), p.limit)]

	// more is what lies on within the range; the row at the far bound, or one beyond it, goes on as well.
	beyond := false
	if far := p.farBound(); !more && far != nil {
		if beyond, err = r.exists(ctx, p, *far, p.backwards); err != nil {
			return nil, Failed("fetch "+r.noun.plural, err)
		}
	}
	if len(rows) == 0 && p.nearBound() != nil {
		if behind, err = r.exists(ctx, p, *p.nearBound(), !p.backwards); err != nil {
			return nil, Failed("fetch "+r.noun.plural, err)
		}
	}
	page.HasNext, page.HasPrevious = more || beyond, behind
	if p.backwards {
		slices.Reverse(page.Items)
		page.HasNext, page.HasPrevious = behind, more || beyond
	}
	return page, nil
}

// Count returns how many rows the filter leaves.
func (r *Rows[T]) Count(ctx context.Context, f Filter) (int, error) {
	if err := r.Authorize(ctx, ToList); err != nil {
		return 0, err
	}
	filter, faults := r.noun.resolve(f)
	if len(faults) > 0 {
		return 0, Invalid(faults...)
	}
	// Never prepared: a plan for any merchant would read the whole table for a small one, and its time would
	// tell how many rows the others have (I1).
	q := r.selecting(ctx, false)
	q.ColumnExpr("count(*)")
	filter.where(q)
	n := 0
	if err := r.scope.read(ctx, q, func(row *wall.Row) { n = int(row.Int()) }); err != nil {
		return 0, Failed("fetch "+r.noun.plural, err)
	}
	return n, nil
}

// batchSize is how many rows All reads at a time; it holds two batches in memory.
const batchSize = 500

// All yields every row that the filter leaves, newest first, in batches. While one batch is used the next
// is read. No connection waits for the caller. Rows that exist unchanged throughout appear exactly once.
// The first error ends it. When ctx ends, it waits for the batch that is being read. Before each batch it asks again whether the credential is good: one that has
// ended is Unauthenticated.
func (r *Rows[T]) All(ctx context.Context, f Filter) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		p, err := r.resolve(ctx, PageQuery{Filter: f})
		if err != nil {
			yield(nil, err)
			return
		}
		p.limit = batchSize
		ctx, cancel := context.WithCancel(ctx)
		var reading sync.WaitGroup
		defer reading.Wait()
		defer cancel()

		var next batch[T]
		read := func(ctx context.Context) { next.rows, _, next.err = r.readPage(ctx, p, false) }
		read(ctx)
		for ctx := gate.Continue(ctx); ; {
			this := next
			if this.err == nil {
				this.err = recheck(ctx)
			}
			if this.err != nil {
				yield(nil, Failed("fetch "+r.noun.plural, this.err))
				return
			}
			more := len(this.rows) > p.limit
			this.rows = this.rows[:min(len(this.rows), p.limit)]
			if more {
				last := r.noun.position(p.sort, &this.rows[len(this.rows)-1])
				p.after = &last
				reading.Go(func() { defer Recovered(&next.err); read(ctx) })
			}
			if !yield(this.rows, nil) || !more {
				return
			}
			reading.Wait()
		}
	}
}

type batch[T any] struct {
	rows []T
	err  error
}

// pageRange is a PageQuery whose parts were checked.
type pageRange struct {
	merchant      string
	filter        resolved
	sort          order
	after, before *position
	limit         int
	backwards     bool // Last: read from the end
	began         time.Time
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

// Check returns the InvalidInput, or the Forbidden, with which List, and All for the filter, would refuse
// the query. It asks no database.
func (r *Rows[T]) Check(ctx context.Context, q PageQuery) error {
	_, err := r.resolve(ctx, q)
	return err
}

func (r *Rows[T]) resolve(ctx context.Context, q PageQuery) (pageRange, error) {
	if err := r.Authorize(ctx, ToList); err != nil {
		return pageRange{}, err
	}
	merchant, _ := scopeFrom(ctx)
	p := pageRange{merchant: merchant, limit: DefaultPageSize}
	var faults []Fault
	sort, sorted := r.noun.order(q.Sort)
	p.sort = sort
	if !sorted {
		faults = append(faults, NewFault("sort", InvalidFormat, "must be a sort of this list"))
	}
	size := func(name string, n *int) {
		if n == nil {
			return
		}
		if *n < 1 || *n > MaxPageSize {
			faults = append(faults, NewFault(name, InvalidFormat, PageSizeForm))
		}
		p.limit = *n
	}
	size("first", q.First)
	size("last", q.Last)
	if q.First != nil && q.Last != nil {
		faults = append(faults, Fault{Field: "last", Reason: InvalidFormat, Message: "first and last exclude each other"})
	}
	p.backwards = q.Last != nil

	cursor := func(name string, text *string) *position {
		if text == nil {
			return nil
		}
		at, ok := r.noun.decodeCursor(merchant, p.sort, *text)
		if !ok {
			faults = append(faults, NewFault(name, InvalidFormat, "must be a cursor that this list returned"))
		}
		return &at
	}
	p.after, p.before = cursor("after", q.After), cursor("before", q.Before)
	if p.began = q.Began; p.after != nil {
		p.began = p.after.began
	}

	filter, found := r.noun.resolve(q.Filter)
	p.filter = filter
	return p, Invalid(append(faults, found...)...)
}

// preparedSizes are the sizes of pages whose statements are prepared: the size is a part of the text, and
// clients use few others.
var preparedSizes = []int{10, 20, 25, DefaultPageSize, 100, 200, MaxPageSize, batchSize}

// readPage returns up to limit+1 rows in reading order and, when probing, whether the list has any behind
// the near bound.
func (r *Rows[T]) readPage(ctx context.Context, p pageRange, probing bool) (rows []T, behind bool, err error) {
	q := r.selecting(ctx, p.isPrepared() && slices.Contains(preparedSizes, p.limit))
	q.Column(r.noun.columnNames()...)
	p.filter.where(q)
	if p.after != nil {
		p.sort.after(q, *p.after, false)
	}
	if p.before != nil {
		p.sort.before(q, *p.before, false)
	}
	near := p.nearBound()
	probing = probing && near != nil
	if probing {
		probe := r.part(ctx, q)
		p.beyond(probe, *near, !p.backwards)
		// Not EXISTS: Postgres drops its ORDER BY, and with it the reason to read the sort's index.
		q.ColumnExpr("(?) IS NOT NULL AS behind", probe.SelectQuery)
	}
	p.sort.apply(q.SelectQuery, p.backwards).Limit(int64(p.limit) + 1)
	rows = make([]T, 0, p.limit+1)
	err = r.scope.read(ctx, q, func(row *wall.Row) {
		rows = r.noun.appendRow(rows, row)
		if probing {
			behind = row.Bool()
		}
	})
	if err != nil {
		return nil, false, err
	}
	return rows, behind, nil
}

// isPrepared reports whether statements of the range are prepared: those that filter by nothing but deletion.
func (p pageRange) isPrepared() bool { return len(p.filter.conditions) == 0 }

// beyond makes q ask for the row at a bound or past it: before it in list order, or after it.
func (p pageRange) beyond(q query, bound position, before bool) {
	q.ColumnExpr("1")
	p.filter.where(q)
	if before {
		p.sort.before(q, bound, true)
	} else {
		p.sort.after(q, bound, true)
	}
	p.sort.apply(q.SelectQuery, before).Limit(1)
}

func (r *Rows[T]) exists(ctx context.Context, p pageRange, bound position, before bool) (found bool, err error) {
	q := r.selecting(ctx, p.isPrepared())
	p.beyond(q, bound, before)
	err = r.scope.read(ctx, q, func(*wall.Row) { found = true })
	return found && err == nil, err
}
