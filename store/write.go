package store

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"lumen/store/wall"
)

// sqlNow is the current time, to the millisecond. No other clock is used (I5).
const sqlNow = "date_trunc('milliseconds', clock_timestamp())"

// searchKey is the column that a search reads. Each line is the folded text of a search column.
const searchKey = "search_key"

// write is a statement that inserts or updates one row. $1 is the merchant, $2 the owner that the
// caller is bound to, $3 the row's id, and $4 to $8 are what origin returns. $9 of an update are the
// expected versions.
type write struct {
	text   string
	params []param // the rest
}

// param is a parameter of a write.
type param struct {
	name    string
	sqlType string
	value   func(values) any
}

// args returns the statement's arguments from $3 on, of which the first are given.
func (w write) args(v values, first ...any) []any {
	args := slices.Grow(first, len(w.params))
	for _, p := range w.params {
		args = append(args, p.value(v))
	}
	return args
}

// writer builds a write. A noun's own rules extend it.
type writer struct {
	db     *bun.DB
	table  string
	scoped func(alias string) string // returns the predicates of a mention of the table
	params []param
	first  int // the number of the first of params
	// columns are set from the parameter of the same name, extra from an expression.
	columns []string
	extra   []assignment
	where   []string
	search  string // the expression of the search key, or "" if it does not change
}

type assignment struct{ column, expression string }

// newWriter starts a write of the fields that are present and of the columns derived from them. first
// is the number of its first parameter.
func (r *Rows[T]) newWriter(present values, first int) *writer {
	n := r.noun
	w := &writer{db: r.scope.db, table: "public." + n.table, scoped: n.scoped, first: first}
	fieldOf := make(map[string]string) // by column
	for _, c := range n.columns {
		if _, ok := present[c.Field]; !ok || c.rule == nil {
			continue
		}
		fieldOf[c.name] = c.Field
		w.column(c.name, c.sqlType, func(v values) any { return v[c.Field] })
	}
	for _, d := range n.derived {
		if field, ok := fieldOf[d.from]; ok {
			w.set(d.column, w.param(d.column, d.sqlType, func(v values) any { return mapText(v.text(field), d.key) }))
		}
	}
	var lines []string // of the search key
	changed := false
	for i, column := range n.search {
		line := "split_part(c." + searchKey + ", E'\\n', " + strconv.Itoa(i+1) + ")"
		if field, ok := fieldOf[column]; ok {
			changed = true
			line = w.param("search "+column, "text", func(v values) any { return searchLine(v.text(field)) })
		}
		lines = append(lines, line)
	}
	if changed {
		w.search = strings.Join(lines, " || E'\\n' || ")
	}
	return w
}

// mapText returns f of the text, or nil for null.
func mapText(text *string, f func(string) any) any {
	if text == nil {
		return nil
	}
	return f(*text)
}

// column sets a column from a parameter of the same name.
func (w *writer) column(name, sqlType string, value func(values) any) {
	w.param(name, sqlType, value)
	w.columns = append(w.columns, name)
}

// param adds a parameter and returns the SQL that refers to it.
func (w *writer) param(name, sqlType string, value func(values) any) string {
	w.params = append(w.params, param{name, sqlType, value})
	return w.ref(name)
}

// ref returns the SQL that refers to a parameter, or "" if the write has none of that name.
func (w *writer) ref(name string) string {
	i := slices.IndexFunc(w.params, func(p param) bool { return p.name == name })
	if i < 0 {
		return ""
	}
	return "$" + strconv.Itoa(i+w.first) + "::" + w.params[i].sqlType
}

// flag adds one of the noun's flags as a parameter and returns the SQL that refers to it.
func (w *writer) flag(name string) string {
	return w.param(name, "bool", func(v values) any { return v[name] == true })
}

// set sets a column from an expression, in which c is the row before the update. A later call for
// the same column replaces an earlier one.
func (w *writer) set(column, expression string) {
	w.extra = slices.DeleteFunc(w.extra, func(a assignment) bool { return a.column == column })
	w.extra = append(w.extra, assignment{column, expression})
}

// others returns a query for live rows of the table under another alias. It is restricted, as the
// write is, to the caller's merchant and to the owner that the caller is bound to.
func (w *writer) others(alias string) *bun.SelectQuery {
	return w.db.NewSelect().TableExpr(w.table + " AS " + alias).ColumnExpr("1").
		Where(w.scoped(alias)).Where(alias + ".deleted_at IS NULL")
}

// refuseIfFound makes the write change nothing if the query finds a row and the exception is false.
func (w *writer) refuseIfFound(exception string, found *bun.SelectQuery) {
	w.where = append(w.where, exception+" OR NOT EXISTS ("+found.String()+")")
}

// writeKey identifies a write of a noun: insert or update, and the set of columns.
type writeKey struct {
	insert  bool
	columns uint64
}

// build returns the write for the set of fields that are present. It builds a write on first use
// and caches it: callers use few of all possible sets.
func (r *Rows[T]) build(insert bool, present values, extend func(*writer)) write {
	key := writeKey{insert: insert}
	for i, c := range r.noun.columns {
		if _, ok := present[c.Field]; ok && c.rule != nil {
			key.columns |= 1 << i
		}
	}
	if built, ok := r.writes.Load(key); ok {
		return built.(write)
	}
	first := 4 + originParams
	if !insert {
		first++ // the expected versions
	}
	w := r.newWriter(present, first)
	if extend != nil {
		extend(w)
	}
	text := ""
	if insert {
		text = r.inserting(w.insertText(r.noun.owner))
	} else {
		text = r.changing(r.updateText(w), updated, r.changedColumns(w))
	}
	built, _ := r.writes.LoadOrStore(key, write{text, w.params})
	return built.(write)
}

// insertText inserts one row, unless a predicate of the noun's own rules is false. owner is the
// noun's owner column.
func (w *writer) insertText(owner string) *bun.InsertQuery {
	row := w.db.NewSelect().ColumnExpr(insertedMerchant).ColumnExpr("$3 AS id").
		ColumnExpr("clock.now AS created_at").ColumnExpr("clock.now AS updated_at").
		TableExpr("(SELECT " + sqlNow + " AS now) AS clock")
	into := []string{"merchant_id", "id", "created_at", "updated_at"}
	if w.search != "" {
		w.set(searchKey, w.search)
	}
	for _, column := range w.columns {
		row = row.ColumnExpr(w.ref(column)+" AS ?", bun.Ident(column))
		into = append(into, column)
	}
	for _, a := range w.extra {
		row = row.ColumnExpr(a.expression+" AS ?", bun.Ident(a.column))
		into = append(into, a.column)
	}
	row = row.Where(w.boundInsert(owner))
	for _, predicate := range w.where {
		row = row.Where(predicate)
	}
	return w.db.NewInsert().Table(w.table).TableExpr("(?) AS fresh", row).Column(into...)
}

// updateText sets the columns of the row, and updated_at and the version if a value changes. Each
// set of fields has its own statement: one for all sets would write every column and compare every
// value, which takes Postgres longer than the update itself.
func (r *Rows[T]) updateText(w *writer) *bun.UpdateQuery {
	q := r.updating()
	changes := []string{"false"}
	for _, column := range w.columns {
		q = q.Set("? = "+w.ref(column), bun.Ident(column))
		changes = append(changes, "c."+column+" IS DISTINCT FROM "+w.ref(column))
	}
	if w.search != "" {
		q = q.Set(searchKey + " = " + w.search)
	}
	for _, a := range w.extra {
		q = q.Set(a.column + " = " + a.expression)
	}
	for _, predicate := range w.where {
		q = q.Where(predicate)
	}
	return q.Set("(updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, " + sqlNow +
		") ELSE c.updated_at END, c.version + t.changed::int FROM (SELECT " + strings.Join(changes, " OR ") + " AS changed) AS t)")
}

// updating starts an update of the live row whose id is $3.
func (r *Rows[T]) updating() *bun.UpdateQuery {
	return r.scope.db.NewUpdate().Model((*T)(nil)).TableExpr("old").Where(r.noun.scoped("c")).
		Where("c.deleted_at IS NULL").Where("c.id = $3").
		Where("$9::int8[] IS NULL OR old.version = ANY($9)")
}

// inserting completes a statement that inserts a row. It returns the receipt and the columns of the
// row, or nothing if the row was not inserted.
func (r *Rows[T]) inserting(insert *bun.InsertQuery) string {
	q := r.scope.db.NewSelect().With("new", insert.Returning(r.noun.returning())).TableExpr("new")
	return r.recorded(q, created, nil).ColumnExpr("new." + strings.Join(r.noun.columnNames(), ", new.")).String()
}

// changing makes an update the second part of a statement that first locks the row. The statement
// returns a row unless there is none to update: the version that the locked row had, whether it was
// updated, the receipt, and its columns after the update. So the version that the update compares is
// that of the locked row, and the reply tells why a row was not updated. before are the columns that
// the update may change.
func (r *Rows[T]) changing(update *bun.UpdateQuery, event event, before []string) string {
	old := r.scope.db.NewSelect().Model((*T)(nil)).Column(versionColumn).Column(before...).Where(r.noun.scoped("c")).
		Where("c.deleted_at IS NULL").Where("c.id = $3").For("NO KEY UPDATE")
	all := r.noun.columnNames()
	q := r.scope.db.NewSelect().With("old", old).With("new", update.Returning("c."+strings.Join(all, ", c."))).
		TableExpr("old").Join("LEFT JOIN new ON true").
		ColumnExpr("old.version").ColumnExpr("new.id IS NOT NULL AS updated")
	return r.recorded(q, event, before).ColumnExpr("new." + strings.Join(all, ", new.")).String()
}

// insert inserts a row with a new id. It returns nil if a predicate that extend adds is false.
// extend must depend on the set of fields only, because the write is cached.
func (r *Rows[T]) insert(ctx context.Context, v values, options WriteOptions, extend func(*writer)) (*T, error) {
	id, err := NewID(r.noun.prefix)
	if err != nil {
		return nil, err
	}
	// All fields are written, absent ones as null, so that there is one statement.
	for _, c := range r.noun.columns {
		if _, present := v[c.Field]; c.rule != nil && !present {
			v[c.Field] = nil
		}
	}
	w := r.build(true, v, extend)
	var inserted []T
	var receipt Receipt
	args := w.args(v, append([]any{id}, origin(ctx)...)...)
	err = r.scope.run(ctx, writes, w.text, args, func(row *wall.Row) {
		receipt = readReceipt(row)
		inserted = r.noun.appendRow(inserted, row)
	})
	if err != nil || len(inserted) == 0 {
		return nil, err
	}
	r.confirm(ctx, receipt, options)
	return &inserted[0], nil
}

// update changes the live row with this id. It returns the errors of change, and nil if a predicate
// that extend adds is false. extend must depend on the set of fields only, because the write is
// cached.
func (r *Rows[T]) update(
	ctx context.Context, id string, v values, options WriteOptions, extend func(*writer),
) (*T, error) {
	w := r.build(false, v, extend)
	return r.change(ctx, w.text, id, options, func(first ...any) []any { return w.args(v, first...) })
}

// softDelete marks the live row with this id as deleted (I3). It returns the errors of change.
func (r *Rows[T]) softDelete(ctx context.Context, id string, options WriteOptions) (*T, error) {
	return r.change(ctx, r.deleteText, id, options, func(first ...any) []any { return first })
}

// change executes a statement that changing has built, with the arguments that args adds to the
// first. It returns NotFound if there is no such live row, VersionConflict if the row has none of the
// expected versions, and nil if another predicate of the update is false.
func (r *Rows[T]) change(
	ctx context.Context, text, id string, options WriteOptions, args func(first ...any) []any,
) (*T, error) {
	first := append(append([]any{id}, origin(ctx)...), []int64(options.Expected))
	var changed []T
	var version int64
	var receipt Receipt
	err := r.scope.run(ctx, writes, text, args(first...), func(row *wall.Row) {
		version = row.Int()
		if row.Bool() {
			receipt = readReceipt(row)
			changed = r.noun.appendRow(changed, row)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case version == 0:
		return nil, r.noun.NewError(NotFound)
	case !options.Expected.allow(version):
		conflict := r.noun.NewError(VersionConflict)
		conflict.Version = version
		return nil, conflict
	case len(changed) == 0:
		return nil, nil
	}
	r.confirm(ctx, receipt, options)
	return &changed[0], nil
}

// readReceipt reads the columns that recorded selects.
func readReceipt(row *wall.Row) Receipt {
	return Receipt{Epoch: uint64(row.Int()), Sequence: row.Int()}
}

// confirm passes on the receipt of a committed write that changed something: to those who wait for
// changes, and to the caller unless it is bound.
func (r *Rows[T]) confirm(ctx context.Context, receipt Receipt, options WriteOptions) {
	if receipt.Sequence == 0 {
		return // nothing changed
	}
	merchant, owner := scopeFrom(ctx)
	r.scope.waker.wake(merchant, receipt.Sequence)
	if options.Receipt != nil && owner == "" {
		*options.Receipt = receipt
	}
}
