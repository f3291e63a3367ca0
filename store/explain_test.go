package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/storetest"
)

// plan is a node of Postgres's JSON plan.
type plan struct {
	NodeType     string  `json:"Node Type"`
	Relation     string  `json:"Relation Name"`
	Alias        string  `json:"Alias"`
	Index        string  `json:"Index Name"`
	Rows         float64 `json:"Actual Rows"`
	Loops        float64 `json:"Actual Loops"`
	Removed      float64 `json:"Rows Removed by Filter"`
	RemovedIndex float64 `json:"Rows Removed by Index Recheck"`
	Plans        []plan
}

// found sums up the plans of one call.
type found struct {
	read    float64 // total rows of customers
	sorts   int
	scans   []string
	indexes []string
}

func (f *found) add(p plan) {
	if p.Relation == "customers" && p.NodeType != "ModifyTable" || p.NodeType == "Bitmap Index Scan" {
		if p.NodeType != "Bitmap Heap Scan" {
			f.indexes = append(f.indexes, p.Index)
		}
		if p.NodeType != "Bitmap Index Scan" {
			f.read += p.Loops * (p.Rows + p.Removed + p.RemovedIndex)
		}
		f.scans = append(f.scans, p.NodeType)
	}
	if strings.Contains(p.NodeType, "Sort") {
		f.sorts++
	}
	for _, child := range p.Plans {
		f.add(child)
	}
}

// explain runs the statements again, with the credential's settings, under EXPLAIN ANALYZE, and
// rolls them back.
func explain(t *testing.T, ctx context.Context, conn *pgconn.PgConn, c store.Credential, statements []storetest.Sent) found {
	t.Helper()
	var all found
	for _, one := range statements {
		_, err := conn.Exec(ctx, "BEGIN").ReadAll()
		require.NoError(t, err)
		set := conn.ExecParams(ctx, `SELECT set_config('lumen.merchant_id', $1, true), set_config('lumen.customer_id', $2, true)`,
			[][]byte{[]byte(c.Merchant.ID), []byte(c.CustomerID)}, nil, nil, nil).Read()
		require.NoError(t, set.Err)
		result := conn.ExecParams(ctx, "EXPLAIN (ANALYZE, FORMAT JSON) "+one.SQL, one.Values, nil, one.Formats, nil).Read()
		require.NoError(t, result.Err, one.SQL)
		_, err = conn.Exec(ctx, "ROLLBACK").ReadAll()
		require.NoError(t, err)
		var described []struct{ Plan plan }
		require.NoError(t, json.Unmarshal(result.Rows[0][0], &described))
		all.add(described[0].Plan)
	}
	return all
}

// The database has 100 merchants with 1,000 customers each. A statement may read only about as many
// rows as it returns: no statement scans the table, and no page is sorted. Each statement is
// explained with a custom plan, for its values, and with a generic one, which Postgres uses for a
// prepared statement after a while.
func TestPlans(t *testing.T) {
	t.Parallel()
	start := time.Now()
	db := storetest.New(t)
	merchant := db.Merchant(t, "Acme")
	ctx := db.Context(t, merchant)
	fill(t, db, merchant)
	t.Logf("filled in %v", time.Since(start).Round(time.Millisecond))

	w, address := storetest.Tap(t, db.AppURL())
	s := storetest.Open(t, storetest.Service(t, address, false), store.Options{MaxConnections: 1})
	customers := s.Customers
	conn, err := pgconn.Connect(ctx, db.AppURL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })

	credential := store.Credential{Merchant: merchant.Merchant, Access: store.WriteAccess}
	check := func(name string, limit float64, sorts int, call func() error) {
		t.Helper()
		w.Taken("customers")
		require.NoError(t, call(), name)
		statements := w.Taken("customers")
		require.NotEmpty(t, statements, name)
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			_, err := conn.Exec(ctx, "SET plan_cache_mode = "+mode).ReadAll()
			require.NoError(t, err)
			got := explain(t, ctx, conn, credential, statements)
			t.Logf("%-45s %-18s %6.0f rows of %4.0f, %d sorts, %v %v", name, mode, got.read, limit, got.sorts, slices.Compact(got.scans), slices.Compact(got.indexes))
			if slices.Contains(got.scans, "Seq Scan") {
				t.Errorf("%s, %s: scans the table", name, mode)
			}
			if got.sorts > sorts {
				t.Errorf("%s, %s: sorts", name, mode)
			}
			if got.read > limit {
				t.Errorf("%s, %s: reads %.0f rows, more than %.0f", name, mode, got.read, limit)
			}
		}
	}

	page, err := customers.List(ctx, store.PageQuery{First: ptr(250)})
	require.NoError(t, err)
	some := page.Items[100]
	check("get", 1, 0, func() error { _, err := customers.Get(ctx, some.ID); return err })
	check("get many", 30, 0, func() error { _, err := customers.GetMany(ctx, ids(page.Items[:30])); return err })
	check("create", 1, 0, func() error {
		_, err := customers.Create(ctx, emailOf("new@example.com"), store.WriteOptions{})
		return err
	})
	check("create, taken", 3, 0, func() error {
		if _, err := customers.Create(ctx, emailOf(some.Email), store.WriteOptions{}); store.AsError(err).Code != store.EmailTaken {
			return fmt.Errorf("it was not taken: %w", err)
		}
		return nil
	})
	check("update of a field", 2, 0, func() error {
		_, err := customers.Update(ctx, some.ID, store.Input{"name": "Other"}, store.WriteOptions{})
		return err
	})
	check("update of the address", 3, 0, func() error {
		_, err := customers.Update(ctx, some.ID, emailOf("moved@example.com"), store.WriteOptions{})
		return err
	})
	check("delete", 2, 0, func() error { _, err := customers.Delete(ctx, page.Items[101].ID, store.WriteOptions{}); return err })

	credential.TokenID, credential.CustomerID = "token", page.Items[102].ID
	bound := store.WithCredential(ctx, credential)
	check("get, bound", 1, 0, func() error { _, err := customers.Get(bound, credential.CustomerID); return err })
	check("get many, bound", 1, 0, func() error { _, err := customers.GetMany(bound, ids(page.Items[:30])); return err })
	check("update, bound", 2, 0, func() error {
		_, err := customers.Update(bound, credential.CustomerID, store.Input{"name": "Other"}, store.WriteOptions{})
		return err
	})
	credential.CustomerID = ""

	edges := make(map[store.Sort][2]*string)
	for _, sort := range everySort {
		start, err := customers.List(ctx, store.PageQuery{Sort: sort, First: ptr(20)})
		require.NoError(t, err)
		end, err := customers.List(ctx, store.PageQuery{Sort: sort, Last: ptr(20)})
		require.NoError(t, err)
		edges[sort] = [2]*string{ptr(start.Cursor(19)), ptr(end.Cursor(0))}
		for _, size := range []int{50, 250} {
			for _, backwards := range []bool{false, true} {
				query := store.PageQuery{Sort: sort}
				name := fmt.Sprintf("%s %s, first %d", sort.Field, sort.Direction, size)
				if query.First = &size; backwards {
					name = fmt.Sprintf("%s %s, last %d", sort.Field, sort.Direction, size)
					query.First, query.Last = nil, &size
				}
				limit := float64(2*size + 2)
				var page *store.Page[store.Customer]
				next := func() error {
					var err error
					page, err = customers.List(ctx, query)
					return err
				}
				check(name, limit, 0, next)
				for range 450 / size {
					if cursor := page.Cursor(len(page.Items) - 1); backwards {
						query.Before = ptr(page.Cursor(0))
					} else {
						query.After = &cursor
					}
					require.NoError(t, next())
				}
				check(name+", in the middle", limit, 0, next)
				middle := page
				query.After, query.Before = edges[sort][0], edges[sort][1]
				check(name+", between two cursors", limit, 0, next)
				// A short range may be read whole and sorted.
				query.After, query.Before = ptr(middle.Cursor(0)), ptr(middle.Cursor(45))
				check(name+", between two close cursors", limit, 1, next)
				query.Before = query.After
				check(name+", between a cursor and itself", 8, 1, next)
			}
		}
	}

	for _, backwards := range []bool{false, true} {
		query := store.PageQuery{First: ptr(50)}
		way := ""
		if backwards {
			query, way = store.PageQuery{Last: ptr(50)}, ", from the end"
		}
		for name, filter := range map[string]store.Filter{
			"by email": {"email": page.Items[3].Email}, "by user id": {"userId": "user 7"},
		} {
			query.Filter = filter
			check(name+way, 102, 1, func() error { _, err := customers.List(ctx, query); return err })
			check(name+way+", counted", 102, 0, func() error { _, err := customers.Count(ctx, filter); return err })
		}
		// Every fifth customer is in this country. Without an index, a page of 50 would read 250
		// rows.
		query.Filter = store.Filter{"billingCountry": "DE"}
		check("by country"+way, 102, 0, func() error { _, err := customers.List(ctx, query); return err })
		query.Filter = store.Filter{"updatedAt": store.TimeRange{From: ptr(longAgo)}}
		query.Sort.Field = store.SortUpdatedAt
		check("by time"+way, 102, 0, func() error { _, err := customers.List(ctx, query); return err })
	}
	check("by country, counted", 250, 0, func() error {
		_, err := customers.Count(ctx, store.Filter{"billingCountry": "DE"})
		return err
	})
	check("count", 1001, 0, func() error { _, err := customers.Count(ctx, store.Filter{}); return err })
	// A batch is half of the merchant's rows, so sorting all of them is as good as using the index.
	check("all", 2*1001, 1, func() error {
		for _, err := range customers.All(ctx, store.Filter{}) {
			if err != nil {
				return err
			}
		}
		return nil
	})
	t.Logf("%v in all", time.Since(start).Round(time.Millisecond))
}

// fill adds customers, so that this merchant and 99 others have 1,000 each. One in 20 is deleted,
// one in 10 has no name, one in 50 has the same user id as customers of the other merchants, and
// one in 5 is in Germany.
func fill(t *testing.T, db *storetest.Database, merchant storetest.Merchant) {
	t.Helper()
	for _, sql := range []string{
		`INSERT INTO merchants (id, name) SELECT 'merchant_other' || n, 'Other' FROM generate_series(1, 99) AS n`,
		`INSERT INTO customers (merchant_id, id, email, email_key, email_shared, name, name_key, name_sort, user_id, billing_country,
			search_key, created_at, updated_at, deleted_at)
		SELECT m.id, 'cust_' || md5(m.id || n), 'User' || n || '@Example.com', 'user' || n || '@example.com', false,
			t.name, lower(t.name), convert_to(t.name, 'UTF8'), user_id, (ARRAY['DE', 'FR', 'US', 'CH', NULL])[n % 5 + 1],
			'user' || n || '@example.com' || E'\n' || COALESCE(lower(t.name), '') || E'\n' || COALESCE(user_id, ''),
			made, made + n % 100 * interval '1 hour', CASE WHEN n % 20 = 0 THEN made + n % 100 * interval '1 hour' END
		FROM merchants AS m, generate_series(1, 1000) AS n,
			LATERAL (SELECT timestamptz '2026-01-01 00:00:00Z' + n / 3 * interval '1 minute' AS made,
				CASE WHEN n % 10 <> 3 THEN 'Name ' || n % 300 END AS name, 'user ' || n % 50 AS user_id) AS t`,
		`ANALYZE customers`,
	} {
		_, err := db.Superuser().Exec(t.Context(), sql)
		require.NoError(t, err)
	}
}
