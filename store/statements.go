package store

import (
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"lumen/store/wall"
)

// uniqueEmail is the index that holds I2 when two writers meet.
const uniqueEmail = "customers_email_unique"

// statements are the fixed ones, built once by Bun. In all of them $1 is the merchant, $2 the customer that the caller is
// bound to, or empty, and $3 the customer's id, or ids.
type statements struct {
	get, getMany, create, update, delete string
}

// columns are what every statement returns, by name, so that a column added by a later migration disturbs nobody, and
// how each is read.
var columns = []struct {
	name string
	scan func(*wall.Row, *Customer)
}{
	{"id", func(row *wall.Row, c *Customer) { c.ID = row.Text() }},
	{"email", func(row *wall.Row, c *Customer) { c.Email = row.Text() }},
	{"name", func(row *wall.Row, c *Customer) { c.Name = row.NullableText() }},
	{"user_id", func(row *wall.Row, c *Customer) { c.UserID = row.NullableText() }},
	{"billing_address_line1", func(row *wall.Row, c *Customer) { c.BillingAddressLine1 = row.NullableText() }},
	{"billing_address_line2", func(row *wall.Row, c *Customer) { c.BillingAddressLine2 = row.NullableText() }},
	{"billing_city", func(row *wall.Row, c *Customer) { c.BillingCity = row.NullableText() }},
	{"billing_postal_code", func(row *wall.Row, c *Customer) { c.BillingPostalCode = row.NullableText() }},
	{"billing_country", func(row *wall.Row, c *Customer) { c.BillingCountry = row.NullableText() }},
	{"tax_id", func(row *wall.Row, c *Customer) { c.TaxID = row.NullableText() }},
	{"merchant_id", func(row *wall.Row, c *Customer) { c.MerchantID = row.Text() }},
	{"created_at", func(row *wall.Row, c *Customer) { c.CreatedAt = row.Time() }},
	{"updated_at", func(row *wall.Row, c *Customer) { c.UpdatedAt = row.Time() }},
	{"deleted_at", func(row *wall.Row, c *Customer) { c.DeletedAt = row.NullableTime() }},
	{"email_shared", func(row *wall.Row, c *Customer) { c.EmailShared = row.Bool() }},
	{"email_key", func(row *wall.Row, c *Customer) { c.EmailKey = row.Text() }},
	{"name_key", func(row *wall.Row, c *Customer) { c.NameKey = row.NullableText() }},
}

var columnNames = func() []string {
	var names []string
	for _, column := range columns {
		names = append(names, column.name)
	}
	return names
}()

// appendCustomer appends the customer that a row begins with.
func appendCustomer(to []Customer, row *wall.Row) []Customer {
	to = append(to, Customer{})
	for _, column := range columns {
		column.scan(row, &to[len(to)-1])
	}
	return to
}

// written are the columns that create and update give values to, in the order of CustomerInput.values: the fields, then
// what is derived from them.
var written = func() []string {
	var names []string
	for _, f := range fields {
		names = append(names, f.column)
	}
	return append(names, "email_key", "name_key")
}()

// The parameters after the merchant ($1), the customer that the caller is bound to ($2), and the id ($3).
var (
	firstValue = 4
	searchable = firstValue + len(written) // folded email, name and user id, three parameters
	flag       = searchable + 3            // the dangerous flag
	presence   = flag + 1                  // update only: whether each field was said
)

func param(n int, sqlType string) string { return "$" + strconv.Itoa(n) + "::" + sqlType }

// now is the one clock (I5).
const now = "date_trunc('milliseconds', clock_timestamp())"

func buildStatements(db *bun.DB) statements {
	returning := strings.Join(columnNames, ", ")
	live := "merchant_id = $1 AND deleted_at IS NULL"

	selecting := func() *bun.SelectQuery {
		return db.NewSelect().Model((*Customer)(nil)).Column(columnNames...).Where("c.merchant_id = $1").Where(bound("c.id")).Where("c.deleted_at IS NULL")
	}
	return statements{
		get:     selecting().Where("c.id = $3").String(),
		getMany: selecting().Where("c.id = ANY($3)").String(),
		create:  buildCreate(db).Returning(returning).String(),
		update:  buildUpdate(db).Where(live).Where(bound("c.id")).Where("c.id = $3").Returning(returning).String(),
		delete: db.NewUpdate().Model((*Customer)(nil)).
			Set("(deleted_at, updated_at) = (SELECT t.now, t.now FROM (SELECT GREATEST(c.updated_at, " + now + ") AS now) AS t)").
			Where(live).Where(bound("c.id")).Where("c.id = $3").Returning(returning).String(),
	}
}

// bound keeps a caller who is bound to one customer to it.
func bound(id string) string { return "($2::text = '' OR " + id + " = $2::text)" }

// buildCreate inserts one row, unless the flag is not set and a live row holds the address.
func buildCreate(db *bun.DB) *bun.InsertQuery {
	row := db.NewSelect().
		ColumnExpr("$1 AS merchant_id").ColumnExpr("$3 AS id").
		ColumnExpr(param(flag, "bool")+" AS email_shared").
		ColumnExpr(searchKey(func(_ string, n int) string { return param(n, "text") })+" AS search_key").
		ColumnExpr("clock.now AS created_at").ColumnExpr("clock.now AS updated_at").
		TableExpr("(SELECT "+now+" AS now) AS clock").
		Where(bound("$3")).
		Where(param(flag, "bool")+" OR NOT EXISTS (?)", holders(db))
	into := []string{"merchant_id", "id", "email_shared", "search_key", "created_at", "updated_at"}
	for i, column := range written {
		row = row.ColumnExpr(param(firstValue+i, "text")+" AS ?", bun.Ident(column))
		into = append(into, column)
	}
	return db.NewInsert().Table("customers").TableExpr("(?) AS fresh", row).Column(into...)
}

// buildUpdate changes the fields that are present, unless the address changes to one that a live row holds and the flag
// is not set.
func buildUpdate(db *bun.DB) *bun.UpdateQuery {
	said := make(map[string]string, len(written)) // column -> whether the caller said it
	for i, f := range fields {
		said[f.column] = param(presence+i, "bool")
	}
	said["email_key"], said["name_key"] = said["email"], said["name"]

	newKey := param(firstValue+len(fields), "text")
	moves := said["email"] + " AND c.email_key <> " + newKey

	q := db.NewUpdate().Model((*Customer)(nil))
	var changes []string
	for i, column := range written {
		value := param(firstValue+i, "text")
		q = q.Set("? = CASE WHEN "+said[column]+" THEN "+value+" ELSE c.? END", bun.Ident(column), bun.Ident(column))
		changes = append(changes, said[column]+" AND c."+column+" IS DISTINCT FROM "+value)
	}
	return q.
		Set("email_shared = CASE WHEN "+moves+" THEN "+param(flag, "bool")+" ELSE c.email_shared END").
		Set("search_key = "+searchKey(func(column string, n int) string {
			return "CASE WHEN " + said[column] + " THEN " + param(n, "text") +
				" ELSE split_part(c.search_key, E'\\n', " + strconv.Itoa(n-searchable+1) + ") END"
		})).
		Set("updated_at = CASE WHEN "+strings.Join(changes, " OR ")+" THEN GREATEST(c.updated_at, "+now+") ELSE c.updated_at END").
		// Not the row itself: when this waited for a writer that moved the row away, the check still sees the row as it was.
		Where("NOT ("+moves+") OR "+param(flag, "bool")+" OR NOT EXISTS (?)", holders(db).Where("holder.id <> c.id"))
}

// holders finds the live rows of the merchant that hold the new address.
func holders(db *bun.DB) *bun.SelectQuery {
	return db.NewSelect().TableExpr("customers AS holder").ColumnExpr("1").
		Where("holder.merchant_id = $1").
		Where(bound("holder.id")).
		Where("holder.email_key = " + param(firstValue+len(fields), "text")).
		Where("holder.deleted_at IS NULL")
}

// searchKey joins the three lines of the column that search reads.
func searchKey(line func(column string, n int) string) string {
	var lines []string
	for i, column := range []string{"email", "name", "user_id"} {
		lines = append(lines, line(column, searchable+i))
	}
	return strings.Join(lines, " || E'\\n' || ")
}

// values are the parameters from firstValue to flag, of a normalized input.
func (in CustomerInput) values() []any {
	var values []any
	for _, f := range fields {
		values = append(values, nullable(f.of(&in).Ptr()))
	}
	email, name := in.Email.Ptr(), in.Name.Ptr()
	if email == nil {
		values = append(values, nil)
	} else {
		values = append(values, mustEmailKey(*email))
	}
	values = append(values, nullable(nameKey(name)))
	for _, text := range []*string{email, name, in.UserID.Ptr()} {
		if text == nil {
			values = append(values, "")
		} else {
			values = append(values, fold(*text))
		}
	}
	return append(values, in.DangerouslyAllowSameEmailForDifferentCustomers)
}

// presence are the parameters from presence on.
func (in CustomerInput) presence() []any {
	var said []any
	for _, f := range fields {
		said = append(said, f.of(&in).Present())
	}
	return said
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
	key := strings.ReplaceAll(fold(*name), lastName, "\U0010FFFE")
	return &key
}

// mustEmailKey is emailKey for an address that normalize has accepted.
func mustEmailKey(email string) string {
	key, err := emailKey(email)
	if err != nil {
		panic("store: a normalized input holds an address without a key")
	}
	return key
}
