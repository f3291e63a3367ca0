package store

import (
	"slices"
	"strings"

	"github.com/uptrace/bun"
)

// Each write records its change in the log, in the same statement. These are the parts of the
// statement, in the order in which they run:
//
//	old    the row before an update, locked
//	new    the row after the write
//	head   the merchant's counter, which is one more than before
//	log    the change, with the counter's value as its sequence
//
// A part may read a table that another part writes only if it comes before and the writer reads from
// it: all parts see the same snapshot. The one exception is the merchant_id of merchant_heads, which
// never changes. The log takes it from there because a distributed database inserts rows on the node
// that holds them only if their distribution column comes from a table that is distributed alike.
//
// The head is locked last, so that writers of one merchant wait for each other's commits only.

// event is what a write does to a row.
type event string

const (
	created event = "created"
	updated event = "updated"
	deleted event = "deleted"
)

// headTable holds the counters of the merchants' changes, logTable the changes.
const (
	headTable = "public.merchant_heads"
	logTable  = "public.changes"
)

// recorded adds to q, whose part new writes a row, the parts that record the change. It selects the
// epoch and the sequence of the change, or 0 if nothing changed. before are the columns of the part
// old, whose values the change keeps; nil for a new row, which has no part old.
func (r *Rows[T]) recorded(q *bun.SelectQuery, event event, before []string) *bun.SelectQuery {
	parts, hasChanged := "new", "new.id IS NOT NULL"
	if before != nil {
		parts, hasChanged = "old, new", "new.version > old.version"
	}
	db := r.scope.db
	head := db.NewUpdate().TableExpr(headTable + " AS h").TableExpr(parts).Set("sequence = h.sequence + 1").
		Where(headScoped("h")).Where(hasChanged).Returning("h.epoch, h.sequence")
	row := db.NewSelect().TableExpr(headTable + " AS a, " + parts + ", head").Where(headScoped("a"))
	var into []string
	for _, value := range r.logged(event, before) {
		row = row.ColumnExpr(value.expression+" AS ?", bun.Ident(value.column))
		into = append(into, value.column)
	}
	log := db.NewInsert().TableExpr(logTable+" AS x").TableExpr("(?) AS fresh", row).Column(into...).
		Returning("x.sequence")
	// A merchant without a head has no counter. Then the cast fails, and the write with it.
	return q.With("head", head).With("log", log).
		ColumnExpr("COALESCE(head.epoch, 0) AS epoch").
		ColumnExpr("CASE WHEN " + hasChanged + " THEN COALESCE(log.sequence::text, 'the merchant has no head')::int8" +
			" ELSE 0 END AS sequence").
		Join("LEFT JOIN head ON true").Join("LEFT JOIN log ON true")
}

// logged returns the columns of a change and the expressions of their values.
func (r *Rows[T]) logged(event event, before []string) []assignment {
	n := r.noun
	customer := "NULL::text"
	if n.owner != "" {
		customer = "new." + n.owner
	}
	values := []assignment{
		{"merchant_id", "a.merchant_id"}, {"sequence", "head.sequence"},
		{"entity", "'" + n.name + "'"}, {"entity_id", "new.id"}, {"customer_id", customer},
		{"version", "new.version"}, {"type", "'" + n.name + "." + string(event) + "'"}, {"at", "new.updated_at"},
		{"actor_kind", "$4::text"}, {"actor_id", "$5::text"}, {"actor_name", "$6::text"},
		{"request_id", "$7::text"}, {"reason", "$8::text"}, {"data", n.dataJSON("new")},
	}
	if before == nil {
		return values
	}
	// The time changes with every change, and so begins the object.
	previous := ""
	for _, name := range before {
		switch c := n.column(name); {
		case !c.isLogged():
		case name == "updated_at":
			previous = "jsonb_build_object('" + c.Field + "', " + c.json("old") + ")" + previous
		default:
			previous += " || CASE WHEN old." + name + " IS DISTINCT FROM new." + name +
				" THEN jsonb_build_object('" + c.Field + "', " + c.json("old") + ") ELSE '{}' END"
		}
	}
	return append(values, assignment{"previous", previous})
}

// dataJSON returns the expression for the logged columns of a row as JSON, without those that are null.
func (n *noun[T]) dataJSON(alias string) string {
	var members []string
	for i := range n.columns {
		if c := &n.columns[i]; c.isLogged() {
			members = append(members, "'"+c.Field+"', "+c.json(alias))
		}
	}
	return "jsonb_strip_nulls(jsonb_build_object(" + strings.Join(members, ", ") + "))"
}

// isLogged reports whether changes hold the column's values. They hold the version apart.
func (c *Column[T]) isLogged() bool { return c.Field != "" && c.name != versionColumn }

// json returns the expression for the value that the JSON of both APIs has.
func (c *Column[T]) json(alias string) string {
	if c.sqlType == "timestamptz" {
		return "to_char(" + alias + "." + c.name + ` AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
	}
	return alias + "." + c.name
}

// changedColumns returns the columns whose old values the change of this update keeps.
func (r *Rows[T]) changedColumns(w *writer) []string {
	names := slices.Clone(w.columns)
	for _, a := range w.extra {
		if slices.ContainsFunc(r.noun.columns, func(c Column[T]) bool { return c.name == a.column && c.isLogged() }) {
			names = append(names, a.column)
		}
	}
	return append(names, "updated_at")
}
