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

// PageQuery asks for a page of a list. After and Before are cursors that bound a range of the list.
// First takes rows from the start of the range, Last from its end. Nil means not given; without
// both, First is DefaultPageSize. The cursors must be of the same merchant and sort.
type PageQuery struct {
	Filter        Filter
	Sort          Sort
	First, Last   *int
	After, Before *string
	// Began is when the list began, by the database's clock. The page's cursors carry it; zero
	// means that they carry no time. If After is given, the cursors carry what After carries
	// instead.
	Began time.Time
}

// Page is a page of a list, in list order.
type Page[T any] struct {
	Items []T
	// HasNext and HasPrevious report whether the list has rows after the last item and before the
	// first. They are exact.
	HasNext, HasPrevious bool
	// Began is when the list began, or zero if the page's cursors do not carry it.
	Began time.Time

	noun     *noun[T]
	merchant string
	sort     order
}

// Cursor returns the cursor of item i.
func (p *Page[T]) Cursor(i int) string {
	at := p.noun.position(p.sort, &p.Items[i])
	at.began = p.Began
	return encodeCursor(p.merchant, p.sort, at)
}

// List returns a page of the merchant's rows (I1). An invalid query is InvalidInput. List, Count
// and All are Forbidden to a bound caller unless the noun allows ToList to bound callers.
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

	// more is about rows within the range. The row at the end of the range, or one beyond it,
	// counts too.
	beyond := false
	if end := p.endPosition(); !more && end != nil {
		if beyond, err = r.exists(ctx, p, *end, p.backwards); err != nil {
			return nil, Failed("fetch "+r.noun.plural, err)
		}
	}
	if start := p.startPosition(); len(rows) == 0 && start != nil {
		if behind, err = r.exists(ctx, p, *start, !p.backwards); err != nil {
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

// Count returns the number of rows that match the filter.
func (r *Rows[T]) Count(ctx context.Context, f Filter) (int, error) {
	if err := r.Authorize(ctx, ToList); err != nil {
		return 0, err
	}
	filter, faults := r.noun.resolve(f)
	if len(faults) > 0 {
		return 0, Invalid(faults...)
	}
	// This query is never prepared. A plan for any merchant would read the whole table for a small
	// merchant, and its time would reveal how many rows the other merchants have (I1).
	q := r.selecting(ctx, false)
	q.ColumnExpr("count(*)")
	filter.where(q)
	n := 0
	if err := r.scope.read(ctx, q, func(row *wall.Row) { n = int(row.Int()) }); err != nil {
		return 0, Failed("fetch "+r.noun.plural, err)
	}
	return n, nil
}

// batchSize is the number of rows in a batch of All, which holds two batches in memory.
const batchSize = 500

// All yields every row that matches the filter, newest first, in batches. It reads the next batch
// while the caller uses the current one, and holds no connection between batches. A row that exists
// unchanged from start to end appears exactly once. The first error ends the sequence. When ctx
// ends, All waits for the batch that is being read. Before it yields a batch it rechecks the
// credential (see WithRecheck), and returns Unauthenticated if that has ended.
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

// pageRange is a valid PageQuery, with its cursors decoded.
type pageRange struct {
	merchant      string
	filter        resolved
	sort          order
	after, before *position
	limit         int
	backwards     bool // reads from the end, for Last
	began         time.Time
}

// startPosition returns the position at which reading starts, or nil for the end of the list.
func (r pageRange) startPosition() *position {
	if r.backwards {
		return r.before
	}
	return r.after
}

// endPosition returns the position at which reading must end, or nil for the other end of the list.
func (r pageRange) endPosition() *position {
	if r.backwards {
		return r.after
	}
	return r.before
}

// Check returns the error, InvalidInput or Forbidden, with which List would refuse the query,
// without asking the database. All refuses the filter with the same error.
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
		faults = append(faults, Fault{
			Field: "last", Reason: InvalidFormat, Message: "first and last exclude each other",
		})
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

// preparedSizes are the page sizes whose statements are prepared. The size is part of a statement's
// text, and clients use few other sizes.
var preparedSizes = []int{10, 20, 25, DefaultPageSize, 100, 200, MaxPageSize, batchSize}

// readPage returns up to limit+1 rows in reading order. If probing, it also returns whether the
// list has rows at or before the start position.
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
	start := p.startPosition()
	probing = probing && start != nil
	if probing {
		probe := r.part(ctx, q)
		p.beyond(probe, *start, !p.backwards)
		// Not EXISTS: Postgres drops the ORDER BY in it, and then does not read the index of the
		// sort.
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

// isPrepared reports whether the range's statements are prepared: the filter only tests for
// deletion.
func (p pageRange) isPrepared() bool { return len(p.filter.conditions) == 0 }

// beyond makes q select the row at a position, or the next one in list order. With before it is the
// previous one.
func (p pageRange) beyond(q query, at position, before bool) {
	q.ColumnExpr("1")
	p.filter.where(q)
	if before {
		p.sort.before(q, at, true)
	} else {
		p.sort.after(q, at, true)
	}
	p.sort.apply(q.SelectQuery, before).Limit(1)
}

func (r *Rows[T]) exists(ctx context.Context, p pageRange, at position, before bool) (found bool, err error) {
	q := r.selecting(ctx, p.isPrepared())
	p.beyond(q, at, before)
	err = r.scope.read(ctx, q, func(*wall.Row) { found = true })
	return found && err == nil, err
}
