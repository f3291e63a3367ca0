package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"lumen/store"
	"lumen/store/storetest"
	"lumen/store/wall"
)

var update = flag.Bool("update", false, "write testdata/statements.sql")

// recorder is a database that records the text of each statement that is sent to it.
type recorder struct {
	storetest.FakeDriver
	sent *[]string
}

func (r recorder) Connect(context.Context) (driver.Conn, error) { return r, nil }

func (r recorder) Query(ctx context.Context, query string, args []any, each func(*wall.Row)) error {
	*r.sent = append(*r.sent, query)
	return r.FakeDriver.Query(ctx, query, args, each)
}

// lines breaks a statement into lines. It changes only white space.
var lines = strings.NewReplacer(
	" FROM ", "\nFROM ", " SET ", "\nSET ", " WHERE ", "\nWHERE ", " AND ", "\n  AND ", " ORDER BY ", "\nORDER BY ",
	" RETURNING ", "\nRETURNING ", " SELECT ", "\nSELECT ",
)

// shape is a call and the name of the statements that it sends.
type shape struct {
	name string
	call func(context.Context) error
}

// testdata/statements.sql shows the SQL of each operation, so that reviewers can read it.
func TestStatements(t *testing.T) {
	t.Parallel()
	const file = "testdata/statements.sql"
	var sent []string
	db := bun.NewDB(sql.OpenDB(recorder{sent: &sent}), pgdialect.New())
	t.Cleanup(func() { _ = db.Close() })
	ctx := store.WithCredential(t.Context(), store.Credential{
		Access: store.WriteAccess, Merchant: store.Merchant{ID: "merchant_1"},
	})
	var b strings.Builder
	b.WriteString("-- One statement of each shape, as it is sent. go test ./store -run TestStatements -update writes this file.\n")
	seen := map[string]bool{}
	opened := store.New(db, store.Options{})
	for _, s := range append(customerShapes(opened.Customers), logShapes(opened)...) {
		sent = nil
		_ = s.call(ctx) // most calls find no row, which does not matter
		for i, text := range sent {
			if seen[text] {
				continue
			}
			seen[text] = true
			name := s.name
			if i > 0 {
				name += fmt.Sprintf(", statement %d", i+1)
			}
			fmt.Fprintf(&b, "\n-- %s\n%s;\n", name, lines.Replace(text))
		}
	}
	require.LessOrEqual(t, len(seen), 80)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

func logShapes(s *store.Store) []shape {
	return []shape{
		{"the log of changes", func(ctx context.Context) error { _, err := s.Changes.Page(ctx, store.FeedQuery{}); return err }},
		{"the history of a customer", func(ctx context.Context) error {
			_, err := s.Customers.History(ctx, "cust_1", store.HistoryQuery{})
			return err
		}},
		{"a customer as of a time", func(ctx context.Context) error {
			_, err := s.Customers.GetAsOf(ctx, "cust_1", time.Now())
			return err
		}},
	}
}

func customerShapes(c *store.Customers) []shape {
	input := store.Input{"email": "ann@example.com", "name": "Ann", "userId": "u", "taxId": nil}
	updating := func(in store.Input) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := c.Update(ctx, "cust_1", in, store.WriteOptions{})
			return err
		}
	}
	shapes := []shape{
		{"get", func(ctx context.Context) error { _, err := c.Get(ctx, "cust_1"); return err }},
		{"get many", func(ctx context.Context) error { _, err := c.GetMany(ctx, []string{"cust_1", "cust_2"}); return err }},
		{"create", func(ctx context.Context) error { _, err := c.Create(ctx, input, store.WriteOptions{}); return err }},
		{"update the email", updating(store.Input{"email": "ann@example.com"})},
		{"update the name", updating(store.Input{"name": "Ann"})},
		{"update the user id", updating(store.Input{"userId": "u"})},
		{"update the city", updating(store.Input{"billingCity": "Bonn"})},
		{"update several fields", updating(input)},
		{"update nothing", updating(store.Input{})},
		{"delete", func(ctx context.Context) error { _, err := c.Delete(ctx, "cust_1", store.WriteOptions{}); return err }},
		{"all", func(ctx context.Context) error {
			for _, err := range c.All(ctx, store.Filter{}) {
				return err
			}
			return nil
		}},
	}
	from := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, f := range []struct {
		name   string
		filter store.Filter
	}{
		{"no filter", store.Filter{}},
		{"an email", store.Filter{"email": "ann@example.com"}},
		{"a user id", store.Filter{"userId": "u"}},
		{"a country", store.Filter{"billingCountry": "de"}},
		{"a search", store.Filter{"search": "ann"}},
		{"a time of creation", store.Filter{"createdAt": store.TimeRange{From: &from, Before: &from}}},
		{"a time of change, deleted ones included", store.Filter{"updatedAt": store.TimeRange{From: &from}, "includeDeleted": true}},
	} {
		shapes = append(shapes,
			shape{"list with " + f.name, func(ctx context.Context) error {
				_, err := c.List(ctx, store.PageQuery{Filter: f.filter})
				return err
			}},
			shape{"count with " + f.name, func(ctx context.Context) error { _, err := c.Count(ctx, f.filter); return err }})
	}
	for _, field := range []store.SortField{store.SortCreatedAt, store.SortUpdatedAt, store.SortEmail, store.SortName} {
		for _, direction := range []store.SortDirection{store.Ascending, store.Descending} {
			sort := store.Sort{Field: field, Direction: direction}
			at := store.CursorOf("merchant_1", sort, &store.Customer{ID: "cust_1", CreatedAt: from, UpdatedAt: from, EmailKey: "ann@example.com", NameSort: ptr("\x15\xef")})
			shapes = append(shapes,
				shape{fmt.Sprintf("list by %s %s, the last before a cursor", field, direction), func(ctx context.Context) error {
					_, err := c.List(ctx, store.PageQuery{Sort: sort, Last: ptr(10), Before: &at})
					return err
				}},
				shape{fmt.Sprintf("list by %s %s, the first between cursors", field, direction), func(ctx context.Context) error {
					_, err := c.List(ctx, store.PageQuery{Sort: sort, First: ptr(7), After: &at, Before: &at})
					return err
				}})
		}
	}
	return shapes
}
