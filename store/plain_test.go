package store_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"lumen/store"
)

// plain describes a noun without rules of its own to the isolation tests. Row n of merchant m has
// the id <prefix>_<m>_<n>, and was created n hours before 2026.
type plain[T any] struct {
	rows          func(*store.Store) *store.Rows[T]
	table, prefix string
	owner         string // the owner column
	// create is the input of a new row, change an input that changes a row. filter matches every
	// row.
	create, change store.Input
	filter         store.Filter
}

// operations returns calls of every method, on the caller's rows and on other merchants'.
func (p plain[T]) operations() []operation {
	var all []operation
	add := func(method, name, before string, run func(context.Context, *store.Rows[T]) (result, error)) {
		all = append(all, operation{method, name, before, func(ctx context.Context, s *store.Store) (result, error) {
			return run(ctx, p.rows(s))
		}})
	}
	id := func(merchant, n int) string { return fmt.Sprint(p.prefix, "_", merchant, "_", n) }
	for whose, id := range map[string]string{"one's own": id(2, 1), "another merchant's": id(3, 1)} {
		add("Get", whose, "", func(ctx context.Context, r *store.Rows[T]) (result, error) { return oneResult(r.Get(ctx, id)) })
		add("Delete", whose, "", func(ctx context.Context, r *store.Rows[T]) (result, error) {
			return oneResult(r.Delete(ctx, id, store.WriteOptions{}))
		})
		add("Update", whose, "", func(ctx context.Context, r *store.Rows[T]) (result, error) {
			return oneResult(r.Update(ctx, id, maps.Clone(p.change), store.WriteOptions{}))
		})
	}
	shared := shareID(p.table, p.prefix)
	add("Delete", "an id that others have, too", shared, func(ctx context.Context, r *store.Rows[T]) (result, error) {
		return oneResult(r.Delete(ctx, id(2, 1), store.WriteOptions{}))
	})
	add("Update", "an id that others have, too", shared, func(ctx context.Context, r *store.Rows[T]) (result, error) {
		return oneResult(r.Update(ctx, id(2, 1), maps.Clone(p.change), store.WriteOptions{}))
	})
	past := logged(strings.TrimSuffix(p.table, "s"), p.table, p.prefix, p.owner)
	add("History", "an id that others have, too", past, func(ctx context.Context, r *store.Rows[T]) (result, error) {
		return pastResult(r.History(ctx, id(2, 1), store.HistoryQuery{}))
	})
	add("History", "another merchant's", "", func(ctx context.Context, r *store.Rows[T]) (result, error) {
		return pastResult(r.History(ctx, id(3, 1), store.HistoryQuery{}))
	})
	add("GetAsOf", "an id that others have, too", past, func(ctx context.Context, r *store.Rows[T]) (result, error) {
		return oneResult(r.GetAsOf(ctx, id(2, 1), beforeChange))
	})
	add("GetAsOf", "an id that others have, too, after the change", past, func(ctx context.Context, r *store.Rows[T]) (result, error) {
		return oneResult(r.GetAsOf(ctx, id(2, 1), afterChange))
	})
	all = append(all, operation{"Page", "the log of all", past, followAll}, operation{"Page", "waiting at the end of the log", "", followEnd})
	add("GetMany", "of all merchants", "", func(ctx context.Context, r *store.Rows[T]) (result, error) {
		return foundResult(r.GetMany(ctx, []string{id(1, 1), id(2, 1), id(3, 1)}))
	})
	add("Create", "one", "", func(ctx context.Context, r *store.Rows[T]) (result, error) {
		return oneResult(r.Create(ctx, maps.Clone(p.create), store.WriteOptions{}))
	})
	for filtered, filter := range map[string]store.Filter{"no filter": {}, "a filter": p.filter} {
		add("Count", filtered, "", func(ctx context.Context, r *store.Rows[T]) (result, error) {
			n, err := r.Count(ctx, filter)
			return result{count: n}, err
		})
		add("All", filtered, "", func(ctx context.Context, r *store.Rows[T]) (result, error) {
			return allResult(r.All(ctx, filter))
		})
		for name, list := range p.lists() {
			list.query.Filter = filter
			add("List", name+", "+filtered, list.before, func(ctx context.Context, r *store.Rows[T]) (result, error) {
				return pageResult(r.List(ctx, list.query))
			})
		}
	}
	return all
}

// listing is the query for a page, and SQL that runs before it.
type listing struct {
	before string
	query  store.PageQuery
}

func (p plain[T]) lists() map[string]listing {
	at := func(n int) *string {
		created := time.Date(2026, 1, 1, -n, 0, 0, 0, time.UTC)
		return new(store.CursorAt(isolationAsker, fmt.Sprint(p.prefix, "_2_", n), created))
	}
	deleteAll := `UPDATE ` + p.table + ` SET deleted_at = updated_at WHERE merchant_id = 'merchant_2'`
	deleteEnds := deleteAll + fmt.Sprintf(` AND id NOT IN ('%[1]s_2_3', '%[1]s_2_4')`, p.prefix)
	return map[string]listing{
		"the first":            {"", store.PageQuery{First: new(3)}},
		"after one":            {deleteEnds, store.PageQuery{After: at(2)}},
		"a range":              {deleteEnds, store.PageQuery{After: at(2), Before: at(6)}},
		"a range from its end": {deleteEnds, store.PageQuery{Last: new(9), After: at(2), Before: at(6)}},
		"an empty range":       {deleteAll, store.PageQuery{After: at(2)}},
	}
}
