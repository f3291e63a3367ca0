package store

import (
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"lumen/store/address"
)

// written are the parameters of a write from $4 on, by name: the columns of the fields that the caller says, what is
// derived from them, the lines of the search key, and the flag where the address is among them.
type written []string

// The names of parameters that are no columns of fields.
const (
	emailKeyColumn = "email_key"
	nameKeyColumn  = "name_key"
	searchLine     = "search " // and the column of the field whose folded text it is
	flagParameter  = "flag"
)

// searchLines are the lines of the search key.
var searchLines = []string{"email", "name", "user_id"}

func newWritten(says func(field) bool) written {
	var names, lines written
	for _, f := range fields {
		if says(f) {
			names = append(names, f.column)
		}
	}
	for _, column := range searchLines {
		if slices.Contains(names, column) {
			lines = append(lines, searchLine+column)
		}
	}
	said := slices.Clone(names)
	if slices.Contains(said, "email") {
		names, lines = append(names, emailKeyColumn), append(lines, flagParameter)
	}
	if slices.Contains(said, "name") {
		names = append(names, nameKeyColumn)
	}
	return append(names, lines...)
}

// columns are those that get the parameter of their name.
func (w written) columns() []string {
	return slices.DeleteFunc(slices.Clone(w), func(name string) bool { return name == flagParameter || strings.HasPrefix(name, searchLine) })
}

// param is a parameter in the text of a statement, "" when it has none of that name.
func (w written) param(name string) string {
	i := slices.Index(w, name)
	if i < 0 {
		return ""
	}
	sqlType := "text"
	if name == flagParameter {
		sqlType = "bool"
	}
	return "$" + strconv.Itoa(i+4) + "::" + sqlType
}

// values are the parameters' values, of a normalized input.
func (w written) values(in CustomerInput) []any {
	values := make([]any, len(w))
	for i, name := range w {
		line, isLine := strings.CutPrefix(name, searchLine)
		switch {
		case isLine:
			values[i] = ""
			if text := in.column(line); text != nil {
				values[i] = address.Fold(*text)
			}
		case name == flagParameter:
			values[i] = in.DangerouslyAllowSameEmailForDifferentCustomers
		case name == nameKeyColumn:
			values[i] = nullable(nameKey(in.Name.Ptr()))
		case name == emailKeyColumn:
			values[i] = address.MustKey(*in.Email.Ptr()) // who says the email says one
		default:
			values[i] = nullable(in.column(name))
		}
	}
	return values
}

// column is what the input says of a field.
func (in CustomerInput) column(column string) *string {
	i := slices.IndexFunc(fields, func(f field) bool { return f.column == column })
	return fields[i].of(&in).Ptr()
}

// everything is what a create says.
var everything = newWritten(func(field) bool { return true })

// buildCreate inserts one row, unless the flag is not set and a live row holds the address.
func buildCreate(db *bun.DB) *bun.InsertQuery {
	flag := everything.param(flagParameter)
	row := db.NewSelect().
		ColumnExpr("$1 AS merchant_id").ColumnExpr("$3 AS id").
		ColumnExpr(flag+" AS email_shared").
		ColumnExpr(everything.searchKey()+" AS search_key").
		ColumnExpr("clock.now AS created_at").ColumnExpr("clock.now AS updated_at").
		TableExpr("(SELECT "+now+" AS now) AS clock").
		Where(bound("$3")).
		Where(flag+" OR NOT EXISTS (?)", everything.holders(db))
	into := []string{"merchant_id", "id", "email_shared", "search_key", "created_at", "updated_at"}
	for _, column := range everything.columns() {
		row = row.ColumnExpr(everything.param(column)+" AS ?", bun.Ident(column))
		into = append(into, column)
	}
	return db.NewInsert().Table("public.customers").TableExpr("(?) AS fresh", row).Column(into...)
}

// update is an update of one set of fields. One statement for all sets would write every column and compare every value,
// which takes Postgres longer than the update does.
type update struct {
	text string
	says written
}

// updating returns the update of the fields that an input says. It is built when its set is first met, and then kept: of
// the 512 that there are, callers use few.
func (c *Customers) updating(in CustomerInput) update {
	set := 0
	for i, f := range fields {
		if f.of(&in).Present() {
			set |= 1 << i
		}
	}
	if built, ok := c.updates.Load(set); ok {
		return built.(update)
	}
	says := newWritten(func(f field) bool { return f.of(&in).Present() })
	text := buildUpdate(c.scope.db, says).Where(liveOnes).Where(bound("c.id")).Where("c.id = $3").
		Returning(strings.Join(columnNames, ", ")).String()
	built, _ := c.updates.LoadOrStore(set, update{text, says})
	return built.(update)
}

// buildUpdate changes the fields that are said, unless the address changes to one that a live row holds and the flag is
// not set.
func buildUpdate(db *bun.DB, says written) *bun.UpdateQuery {
	q := db.NewUpdate().Model((*Customer)(nil))
	changes := []string{"false"}
	for _, column := range says.columns() {
		q = q.Set("? = "+says.param(column), bun.Ident(column))
		changes = append(changes, "c."+column+" IS DISTINCT FROM "+says.param(column))
	}
	if slices.ContainsFunc(searchLines, func(column string) bool { return slices.Contains(says, column) }) {
		q = q.Set("search_key = " + says.searchKey())
	}
	if flag := says.param(flagParameter); flag != "" {
		moves := "c.email_key <> " + says.param(emailKeyColumn)
		q = q.Set("email_shared = CASE WHEN "+moves+" THEN "+flag+" ELSE c.email_shared END").
			// Not the row itself: when this waited for a writer that moved the row away, the check still sees the row as it was.
			Where("NOT ("+moves+") OR "+flag+" OR NOT EXISTS (?)", says.holders(db).Where("holder.id <> c.id"))
	}
	return q.Set("updated_at = CASE WHEN " + strings.Join(changes, " OR ") + " THEN GREATEST(c.updated_at, " + now + ") ELSE c.updated_at END")
}

// holders finds the live rows of the merchant that hold the new address.
func (w written) holders(db *bun.DB) *bun.SelectQuery {
	return db.NewSelect().TableExpr("public.customers AS holder").ColumnExpr("1").
		Where("holder.merchant_id = $1").
		Where(bound("holder.id")).
		Where("holder.email_key = " + w.param(emailKeyColumn)).
		Where("holder.deleted_at IS NULL")
}

// searchKey joins the lines of the column that search reads: what is said, else what is there.
func (w written) searchKey() string {
	var lines []string
	for i, column := range searchLines {
		line := w.param(searchLine + column)
		if line == "" {
			line = "split_part(c.search_key, E'\\n', " + strconv.Itoa(i+1) + ")"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, " || E'\\n' || ")
}

func nullable(text *string) any {
	if text == nil {
		return nil
	}
	return *text
}

// nameKey is what a name sorts by: folded, and never as high as the stand-in for a missing one.
func nameKey(name *string) *string {
	if name == nil {
		return nil
	}
	key := strings.ReplaceAll(address.Fold(*name), lastName, "\U0010FFFE")
	return &key
}
