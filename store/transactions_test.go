package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/storetest"
	"lumen/store/wall"
)

// cost is what one operation made the server do, by the server's own count.
type cost struct {
	Transactions      int
	Preludes, Queries int // statements: those that make settings, and all others
	Locks             int // taken by the prelude or by a statement of their own
}

// each returns the cost of n statements, as many of which as locks take a lock.
func each(n, locks int) cost {
	return cost{Transactions: n, Preludes: n, Locks: locks, Queries: n}
}

// counted makes the server count the statements of later sessions of this database.
func counted(t *testing.T, db *storetest.Database) {
	t.Helper()
	for _, statement := range []string{
		`CREATE EXTENSION pg_stat_statements`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET pg_stat_statements.track = top', current_database()); END $$`,
	} {
		_, err := db.Superuser().Exec(t.Context(), statement)
		require.NoError(t, err)
	}
}

// reset resets the counts of this database.
func reset(t *testing.T, db *storetest.Database) {
	t.Helper()
	_, err := db.Superuser().Exec(t.Context(), `SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)`)
	require.NoError(t, err)
}

// statements returns the cost of the service's statements since the reset, without the
// transactions.
func statements(t *testing.T, db *storetest.Database) (c cost) {
	t.Helper()
	config, err := pgx.ParseConfig(db.AppURL())
	require.NoError(t, err)
	rows, err := db.Superuser().Query(t.Context(), `
		SELECT query, calls FROM pg_stat_statements
		WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND userid = $1::text::regrole`, config.User)
	require.NoError(t, err)
	var query string
	var calls int
	_, err = pgx.ForEachRow(rows, []any{&query, &calls}, func() error {
		switch verb, _, _ := strings.Cut(query, " "); {
		case verb == "BEGIN" || verb == "COMMIT" || verb == "SET": // behind a pooler, parts of one transaction
		case strings.HasPrefix(query, "SELECT pg_catalog.set_config("):
			c.Preludes += calls
			if strings.Contains(query, ", pg_catalog.pg_advisory_xact_lock(") {
				c.Locks += calls
			}
		case strings.HasPrefix(query, "SELECT pg_catalog.pg_advisory_xact_lock("): // behind a pooler
			c.Locks += calls
		default:
			c.Queries += calls
		}
		return nil
	})
	require.NoError(t, err)
	return c
}

// localID returns the number in a virtual transaction id. A session takes the next number for each
// transaction.
func localID(t *testing.T, id string) int {
	t.Helper()
	_, local, _ := strings.Cut(id, "/")
	n, err := strconv.Atoi(local)
	require.NoError(t, err)
	return n
}

// One operation is one transaction: the prelude, the lock if there is one, and the statement. The
// server counts them.
func TestOperationIsOneTransaction(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	counted(t, db)
	m := db.Merchant(t, "Acme")
	ctx := db.Context(t, m)
	_, err := db.Superuser().Exec(t.Context(), `
		INSERT INTO customers (merchant_id, id, email, email_key, email_shared, search_key, created_at, updated_at)
		SELECT $1, 'cust_' || n, n || '@example.com', n || '@example.com', false, '', now(), now() FROM generate_series(1, 1200) AS n`, m.ID)
	require.NoError(t, err)

	for way, connector := range map[string]func(*pgx.ConnConfig, wall.Scope) *wall.Connector{
		"prepared": wall.NewConnector,
		"as behind a pooler": func(config *pgx.ConnConfig, scope wall.Scope) *wall.Connector {
			return wall.NewPooledConnector(config, scope, "BEGIN", map[string]string{"lock_timeout": "2s"})
		},
	} {
		config, err := pgx.ParseConfig(db.AppURL())
		require.NoError(t, err)
		pool := sql.OpenDB(connector(config, func(ctx context.Context) (merchant, customer string) {
			credential, _ := store.CredentialFrom(ctx)
			return credential.Merchant.ID, credential.CustomerID
		}))
		defer func() { require.NoError(t, pool.Close()) }()
		pool.SetMaxOpenConns(1)
		customers := store.New(bun.NewDB(pool, pgdialect.New()), store.Options{}).Customers
		at := func() (session, transaction int) {
			var id string
			require.NoError(t, pool.QueryRowContext(ctx, `SELECT pid, virtualtransaction FROM pg_locks WHERE locktype = 'virtualxid' AND pid = pg_backend_pid()`).Scan(&session, &id))
			return session, localID(t, id)
		}

		page, err := customers.List(ctx, store.PageQuery{})
		require.NoError(t, err)
		cursor := page.Cursor(49)
		made, first := 0, map[bool]int{true: 500, false: 600}[way == "prepared"]
		for name, test := range map[string]struct {
			run  func(n int) error
			want cost
		}{
			"Get": {func(int) error { _, err := customers.Get(ctx, "cust_1"); return err }, each(1, 0)},
			"GetMany": {func(int) error {
				_, err := customers.GetMany(ctx, []string{"cust_1", "cust_2", "cust_none"})
				return err
			}, each(1, 0)},
			"Create": {func(n int) error {
				_, err := customers.Create(ctx, emailOf(fmt.Sprintf("%s.%d@example.com", way[:2], n)), store.WriteOptions{})
				return err
			}, each(1, 1)},
			"Update": {func(n int) error {
				_, err := customers.Update(ctx, "cust_1", store.Input{"name": fmt.Sprint(n)}, store.WriteOptions{})
				return err
			}, each(1, 0)},
			"Update of the email": {func(n int) error {
				_, err := customers.Update(ctx, "cust_2", emailOf(fmt.Sprintf("%s.other%d@example.com", way[:2], n)), store.WriteOptions{})
				return err
			}, each(1, 1)},
			"Delete": {func(n int) error {
				_, err := customers.Delete(ctx, fmt.Sprintf("cust_%d", first+n), store.WriteOptions{})
				return err
			}, each(1, 0)},
			"List":               {func(int) error { _, err := customers.List(ctx, store.PageQuery{}); return err }, each(1, 0)},
			"List from a cursor": {func(int) error { _, err := customers.List(ctx, store.PageQuery{After: &cursor}); return err }, each(1, 0)},
			"Count":              {func(int) error { _, err := customers.Count(ctx, store.Filter{}); return err }, each(1, 0)},
			"All, in three batches": {func(int) error {
				n := 0
				for batch, err := range customers.All(ctx, store.Filter{}) {
					if err != nil {
						return err
					}
					n += len(batch)
				}
				if n < 1190 || n > 1210 {
					return fmt.Errorf("%d customers", n)
				}
				return nil
			}, each(3, 0)},
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				requireCost(t, test.want, func() cost {
					made += 2
					require.NoError(t, test.run(made)) // prepares the statement
					reset(t, db)
					session, before := at()
					require.NoError(t, test.run(made+1))
					same, after := at()
					if same != session {
						return cost{}
					}
					got := statements(t, db)
					got.Transactions = after - before - 1
					got.Preludes, got.Queries = got.Preludes-2, got.Queries-2 // those of at
					return got
				})
			})
		}
	}
}

// requireCost counts again if the count differs from want, up to five times. On a busy machine, a
// connection may have been idle for a second, and is then pinged, which Postgres counts, or the
// statements may have used two sessions.
func requireCost(t *testing.T, want cost, count func() cost) {
	t.Helper()
	got := count()
	for try := 1; try < 5 && got != want; try++ {
		got = count()
	}
	require.Equal(t, want, got)
}

// Authentication is one statement, without settings. The first one within an hour also records that
// the key was used.
func TestAuthenticationIsOneTransaction(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	counted(t, db)
	m := db.Merchant(t, "Acme")
	for way, pooled := range map[string]bool{"prepared": false, "as behind a pooler": true} {
		t.Run(way, func(t *testing.T) {
			a := storetest.OpenAuth(t, storetest.Service(t, db.AppURL(), pooled), auth.Options{})
			authenticate := func() error { return lookUp(t, a) }
			require.NoError(t, authenticate())

			// at interrupts a lookup and returns its session and the number of its transaction, or
			// zeros if a busy machine did not see the lookup before it had waited for 2 s.
			at := func() (session, transaction int) {
				holder, err := db.Superuser().Begin(t.Context())
				require.NoError(t, err)
				defer func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) }()
				_, err = holder.Exec(t.Context(), "LOCK TABLE api_keys")
				require.NoError(t, err)
				ended := make(chan error, 1)
				go func() { ended <- authenticate() }()
				var id string
				for {
					err := db.Superuser().QueryRow(t.Context(), `SELECT pid, virtualtransaction FROM pg_locks
						WHERE NOT granted AND relation = 'api_keys'::regclass AND database =
							(SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&session, &id)
					if err == nil {
						break
					}
					require.ErrorIs(t, err, pgx.ErrNoRows)
					select {
					case err := <-ended:
						require.ErrorContains(t, err, "lock timeout")
						return 0, 0
					default:
					}
				}
				require.NoError(t, holder.Rollback(t.Context()))
				require.NoError(t, <-ended)
				return session, localID(t, id)
			}
			const times = 5
			want := cost{Transactions: times, Queries: times}
			if pooled {
				want.Preludes = times
			}
			requireCost(t, want, func() cost {
				reset(t, db)
				session, before := at()
				for range times {
					require.NoError(t, authenticate())
				}
				same, after := at()
				if same != session {
					return cost{}
				}
				got := statements(t, db)
				got.Transactions = after - before - 1
				got.Queries -= 2 // those of at
				got.Preludes = max(0, got.Preludes-2)
				return got
			})
		})
	}
	t.Run("two statements if the key was not used lately", func(t *testing.T) {
		requireCost(t, cost{Queries: 2}, func() cost {
			_, err := db.Superuser().Exec(t.Context(), "UPDATE api_keys SET last_used_at = NULL")
			require.NoError(t, err)
			a := db.Auth(t)
			reset(t, db)
			_, err = a.Authenticator.Authenticate(t.Context(), m.WriteKey)
			require.NoError(t, err)
			return statements(t, db)
		})
	})
}

// lookUp looks up a new key that does not exist.
func lookUp(t *testing.T, a *auth.Auth) error {
	_, err := a.Authenticator.Authenticate(t.Context(), auth.NewSecret())
	if store.AsError(err).Code == store.Unauthenticated {
		return nil
	}
	return err
}
