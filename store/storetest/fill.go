package storetest

import "testing"

// Filled returns a database in which three merchants have the same n customers each, so that query
// plans are those of a shared table. It also returns one of the merchants with the ids of its
// customers, newest first.
func Filled(t testing.TB, n int) (*Database, Merchant, []string) {
	t.Helper()
	d := New(t)
	for range 2 {
		d.Fill(t, d.Merchant(t, "Acme"), n)
	}
	m := d.Merchant(t, "Acme")
	return d, m, d.Fill(t, m, n)
}

// Fill gives the merchant n more customers and returns their ids, newest first. Each has all fields
// and is one minute younger than the one before. One statement makes them all: n calls of Create
// would take minutes.
func (d *Database) Fill(t testing.TB, m Merchant, n int) (ids []string) {
	t.Helper()
	err := d.Superuser().QueryRow(t.Context(), `WITH filled AS (
		INSERT INTO customers (merchant_id, id, email, email_key, email_shared, name, name_key,
			name_sort, user_id, billing_address_line1, billing_address_line2, billing_city, billing_postal_code,
			billing_country, tax_id, search_key, created_at, updated_at)
		SELECT $1, 'cust_' || lpad(i::text, 26, '0'), 'Filled' || i || '@example.com', 'filled' || i || '@example.com',
			false, 'Name ' || i, 'name ' || i, convert_to('Name ' || i, 'UTF8'), 'user_' || i, i || ' Long Street',
			'Floor ' || i % 30, 'Berlin', lpad((i % 100000)::text, 5, '0'),
			(ARRAY['CH', 'DE', 'FR', 'US'])[i % 4 + 1], 'DE' || lpad(i::text, 9, '0'),
			concat_ws(E'\n', 'filled' || i || '@example.com', 'name ' || i, 'user_' || i), at, at
		FROM (SELECT count(*) AS held FROM customers WHERE merchant_id = $1) AS before,
			LATERAL generate_series(held + 1, held + $2) AS i,
			LATERAL (SELECT timestamptz '2024-01-01' + i * interval '1 minute' AS at) AS made
		RETURNING id)
		SELECT array_agg(id ORDER BY id DESC) FROM filled`, m.ID, n).Scan(&ids)
	if err == nil { // plans are to be those of a table that has been in use
		_, err = d.Superuser().Exec(t.Context(), "VACUUM ANALYZE customers")
	}
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return ids
}
