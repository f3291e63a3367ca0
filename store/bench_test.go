package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/storetest"
)

// BenchmarkCustomers measures each operation on a merchant with 10,000 customers, in a database
// with two other merchants. Operations that write come last, so that they do not affect the others.
func BenchmarkCustomers(b *testing.B) {
	const held = 10_000
	db, merchant, ids := storetest.Filled(b, held)
	customers, ctx := db.Store(b).Customers, db.Context(b, merchant)

	bench := func(name string, run func(*testing.B) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			require.NoError(b, run(b)) // opens the connection and prepares the statement
			for b.Loop() {
				if err := run(b); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	check := func(err error, holds bool) error {
		if err == nil && !holds {
			err = errors.New("unexpected result")
		}
		return err
	}
	count := 0
	next := func() int { count++; return count }

	bench("Get", func(*testing.B) error {
		c, err := customers.Get(ctx, ids[0])
		return check(err, c != nil && c.ID == ids[0])
	})
	bench("GetMany of 30", func(*testing.B) error {
		found, err := customers.GetMany(ctx, ids[:30])
		return check(err, len(found) == 30)
	})
	list := func(query store.PageQuery, size int, first string) func(*testing.B) error {
		return func(*testing.B) error {
			page, err := customers.List(ctx, query)
			return check(err, err == nil && len(page.Items) == size && page.Items[0].ID == first && page.HasNext)
		}
	}
	page, err := customers.List(ctx, store.PageQuery{})
	require.NoError(b, err)
	cursor, maxSize := page.Cursor(49), store.MaxPageSize
	bench("List of 50", list(store.PageQuery{}, 50, ids[0]))
	bench("List of 50 after a cursor", list(store.PageQuery{After: &cursor}, 50, ids[50]))
	bench("List of 250", list(store.PageQuery{First: &maxSize}, maxSize, ids[0]))
	bench("Count", func(*testing.B) error {
		n, err := customers.Count(ctx, store.Filter{})
		return check(err, n == held)
	})
	bench("All of 10000", func(*testing.B) error {
		n := 0
		for batch, err := range customers.All(ctx, store.Filter{}) {
			if err != nil {
				return err
			}
			n += len(batch)
		}
		return check(nil, n == held)
	})
	bench("Update", func(*testing.B) error {
		n := next()
		name := fmt.Sprintf("Renamed %d", n)
		c, err := customers.Update(ctx, ids[n%len(ids)], store.Input{"name": name}, store.WriteOptions{})
		return check(err, c != nil && *c.Name == name)
	})
	bench("Create", func(*testing.B) error {
		email := fmt.Sprintf("created%d@example.com", next())
		c, err := customers.Create(ctx, store.Input{
			"email": email, "name": "Name", "userId": "user", "billingCountry": "DE",
		}, store.WriteOptions{})
		return check(err, c != nil && c.Email == email)
	})
	bench("Delete", func(b *testing.B) error {
		if len(ids) == 0 {
			b.StopTimer()
			ids = db.Fill(b, merchant, held)
			b.StartTimer()
		}
		c, err := customers.Delete(ctx, ids[0], store.WriteOptions{})
		ids = ids[1:]
		return check(err, c != nil && c.DeletedAt != nil)
	})
}
