package store

import (
	"strings"

	"github.com/uptrace/bun"

	"lumen/store/wall"
)

// uniqueEmail is the index that holds I2 when two writers meet.
const uniqueEmail = "customers_email_unique"

// statements are the fixed ones, built once by Bun. In all of them $1 is the merchant, $2 the customer that the caller is
// bound to, or empty, and $3 the customer's id, or ids. Those of writes.go are like them.
type statements struct {
	get, getMany, create, delete string
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

// liveOnes are the customers that there are to change.
const liveOnes = "merchant_id = $1 AND deleted_at IS NULL"

// now is the one clock (I5).
const now = "date_trunc('milliseconds', clock_timestamp())"

func buildStatements(db *bun.DB) statements {
	returning := strings.Join(columnNames, ", ")

	selecting := func() *bun.SelectQuery {
		return db.NewSelect().Model((*Customer)(nil)).Column(columnNames...).Where("c.merchant_id = $1").Where(bound("c.id")).Where("c.deleted_at IS NULL")
	}
	return statements{
		get:     selecting().Where("c.id = $3").String(),
		getMany: selecting().Where("c.id = ANY($3)").String(),
		create:  buildCreate(db).Returning(returning).String(),
		delete: db.NewUpdate().Model((*Customer)(nil)).
			Set("(deleted_at, updated_at) = (SELECT t.now, t.now FROM (SELECT GREATEST(c.updated_at, " + now + ") AS now) AS t)").
			Where(liveOnes).Where(bound("c.id")).Where("c.id = $3").Returning(returning).String(),
	}
}

// bound keeps a caller who is bound to one customer to it.
func bound(id string) string { return "($2::text = '' OR " + id + " = $2::text)" }
