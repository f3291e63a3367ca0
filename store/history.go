package store

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"lumen/store/wall"
)

// HistoryQuery asks for a page of a row's changes, newest first.
type HistoryQuery struct {
	// First is the maximum number of changes. Nil means DefaultPageSize.
	First *int
	// After is the cursor that the last page returned. Nil reads from the newest change.
	After *string
}

// HistoryPage is a page of a row's changes.
type HistoryPage struct {
	Changes []Change
	// HasNext reports whether the row has older changes.
	HasNext bool

	merchant string
	epoch    uint64
}

// Cursor returns the cursor of change i.
func (p *HistoryPage) Cursor(i int) string {
	return encodeFeedCursor(p.merchant, feedPosition{p.epoch, p.Changes[i].Sequence})
}

// historyTexts are the statements that read the changes of one row.
type historyTexts struct {
	// page returns the changes before $4, at most $5. It returns one row without a change if there is
	// none, and nothing if there is no such row.
	page string
	// asOf returns whether the time $4 is in the future, whether the row existed then, whether it has
	// changed since, the row as it is, and the first change after that time.
	asOf string
}

func (r *Rows[T]) historyTexts() historyTexts {
	db, n := r.scope.db, r.noun
	customer := " IS NULL"
	if n.owner != "" {
		customer = " = c." + n.owner
	}
	changes := func(alias string) *bun.SelectQuery { // of the row c
		return db.NewSelect().TableExpr(logTable+" AS "+alias).Where(logScoped(alias)).
			Where(alias+".customer_id"+customer).Where(alias+".entity = ? AND "+alias+".entity_id = c.id", n.name)
	}
	columns := "x." + strings.Join(changeColumns, ", x.")
	before := changes("x").ColumnExpr(columns).
		Where("x.sequence < COALESCE($4::int8, 9223372036854775807)").OrderExpr("x.sequence DESC")
	// The last change until then is found from the newest change back: most questions are about the
	// recent past. The times of one row's changes are in their order.
	last := changes("y").ColumnExpr("y.sequence").Where("y.at <= $4").OrderExpr("y.sequence DESC").Limit(1)
	after := changes("x").ColumnExpr(columns).Where("x.sequence > COALESCE((?), 0)", last).OrderExpr("x.sequence")
	row := db.NewSelect().TableExpr("public." + n.table + " AS c").
		ColumnExpr("c." + strings.Join(n.columnNames(), ", c.")).Where(n.scoped("c")).Where("c.id = $3")
	return historyTexts{
		page: db.NewSelect().TableExpr("(?) AS c", row).
			Join("JOIN " + headTable + " AS h ON " + headScoped("h")).
			Join("LEFT JOIN LATERAL (" + before.String() + " LIMIT $5) AS x ON true").
			ColumnExpr("h.epoch, h.sequence AS last, x.sequence IS NOT NULL AS found, x.*").
			OrderExpr("x.sequence DESC").String(),
		asOf: db.NewSelect().TableExpr("(SELECT "+sqlNow+" AS now) AS clock").
			Join("LEFT JOIN (?) AS c ON true", row).
			Join("LEFT JOIN LATERAL (" + after.String() + " LIMIT 1) AS x ON true").
			ColumnExpr("$4 > clock.now AS future").
			ColumnExpr("COALESCE(c.created_at <= $4 AND (x.sequence IS NOT NULL OR c.deleted_at IS NULL" +
				" OR c.deleted_at > $4), false) AS existed").
			ColumnExpr("x.sequence IS NOT NULL AS changed").
			ColumnExpr("c.*").ColumnExpr("x.*").String(),
	}
}

// CheckHistory returns the error, InvalidInput or Forbidden, with which History would refuse the
// query, without asking the database.
func (r *Rows[T]) CheckHistory(ctx context.Context, query HistoryQuery) error {
	_, err := r.resolveHistory(ctx, query)
	return err
}

// resolvedHistory is a valid HistoryQuery.
type resolvedHistory struct {
	merchant string
	after    *feedPosition
	limit    int
}

func (r *Rows[T]) resolveHistory(ctx context.Context, query HistoryQuery) (resolvedHistory, error) {
	if err := r.Authorize(ctx, ToFollow); err != nil {
		return resolvedHistory{}, err
	}
	merchant, _ := scopeFrom(ctx)
	q := resolvedHistory{merchant: merchant, limit: DefaultPageSize}
	var faults []Fault
	if query.First != nil {
		if q.limit = *query.First; q.limit < 1 || q.limit > MaxPageSize {
			faults = append(faults, NewFault("first", InvalidFormat, PageSizeForm))
		}
	}
	if query.After != nil {
		at, ok := decodeFeedCursor(merchant, *query.After)
		if !ok {
			faults = append(faults, NewFault("after", InvalidFormat, "must be a cursor that this history returned"))
		}
		q.after = &at
	}
	return q, Invalid(faults...)
}

// History returns a page of the changes of the row with this id, which may be deleted. It returns the
// errors of Get for the id, InvalidInput for an invalid query, CursorExpired if the cursor does not
// belong to the log any longer, and Forbidden to a bound caller.
func (r *Rows[T]) History(ctx context.Context, id string, query HistoryQuery) (*HistoryPage, error) {
	if err := r.authorizeID(ctx, ToFollow, id); err != nil {
		return nil, err
	}
	q, err := r.resolveHistory(ctx, query)
	if err != nil {
		return nil, err
	}
	page := &HistoryPage{merchant: q.merchant}
	var before any
	if q.after != nil {
		before = q.after.sequence
	}
	exists := false
	var last int64
	var fault error
	err = r.scope.run(ctx, reads, r.history.page, []any{id, before, int64(q.limit) + 1}, func(row *wall.Row) {
		exists = true
		page.epoch, last = uint64(row.Int()), row.Int()
		if !row.Bool() {
			return
		}
		change, err := readChange(row)
		if err != nil {
			fault = err
		}
		page.Changes = append(page.Changes, change)
	})
	if err == nil {
		err = fault
	}
	switch {
	case err != nil:
		return nil, Failed("fetch "+r.noun.name, err)
	case !exists:
		return nil, r.noun.NewError(NotFound)
	case q.after != nil && (q.after.epoch != page.epoch || q.after.sequence > last):
		return nil, NewError(CursorExpired)
	}
	if page.HasNext = len(page.Changes) > q.limit; page.HasNext {
		page.Changes = page.Changes[:q.limit]
	}
	return page, nil
}

// GetAsOf returns the row with this id as it was at a time. It returns NotFound if the row did not
// exist then or was deleted, InvalidInput for a time in the future, and Forbidden to a bound caller.
// If the row is older than the log, the result is the oldest state that the log can tell.
func (r *Rows[T]) GetAsOf(ctx context.Context, id string, at time.Time) (*T, error) {
	if err := r.authorizeID(ctx, ToFollow, id); err != nil {
		return nil, err
	}
	var future bool
	var found *T
	var fault error
	err := r.scope.run(ctx, reads, r.history.asOf, []any{id, at}, func(row *wall.Row) {
		var existed, changed bool
		if future, existed, changed = row.Bool(), row.Bool(), row.Bool(); !existed {
			return
		}
		found = &r.noun.appendRow(nil, row)[0]
		if !changed {
			return
		}
		var next Change
		if next, fault = readChange(row); fault == nil {
			found, fault = r.noun.rowBefore(&next)
		}
	})
	if err == nil {
		err = fault
	}
	switch {
	case err != nil:
		return nil, Failed("fetch "+r.noun.name, err)
	case future:
		return nil, Invalid(NewFault("asOf", InvalidFormat, "must not be in the future"))
	case found == nil:
		return nil, r.noun.NewError(NotFound)
	}
	return found, nil
}

// rowBefore returns the row as it was before the change, or nil if the change created it.
func (n *noun[T]) rowBefore(c *Change) (*T, error) {
	if c.IsCreation() {
		return nil, nil
	}
	for field, value := range c.previous {
		c.data[field] = value
	}
	return n.rowFrom(c.data, c.Version-1)
}
