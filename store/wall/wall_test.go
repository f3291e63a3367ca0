package wall_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
	"lumen/store/wall"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// The merchants have identical customers.
const (
	m1 = "merchant_1"
	m2 = "merchant_2"
	m3 = "merchant_3"
)

type merchantKey struct{}

func as(ctx context.Context, merchant string) context.Context {
	return context.WithValue(ctx, merchantKey{}, merchant)
}

type customerKey struct{}

// bound returns ctx for a caller who is bound to a customer.
func bound(ctx context.Context, customer string) context.Context {
	return context.WithValue(ctx, customerKey{}, customer)
}

func scopeOf(ctx context.Context) (merchant, customer string) {
	merchant, _ = ctx.Value(merchantKey{}).(string)
	customer, _ = ctx.Value(customerKey{}).(string)
	return merchant, customer
}

// setup returns a database with three merchants, each of which has three customers.
func setup(t *testing.T) *storetest.Database {
	t.Helper()
	db := storetest.New(t)
	change(t, db, `INSERT INTO merchants (id, name) SELECT 'merchant_' || m, 'Acme' FROM generate_series(1, 3) AS m`)
	change(t, db, `
		INSERT INTO customers (merchant_id, id, email, email_key, email_shared, name, name_key, search_key, created_at, updated_at)
		SELECT 'merchant_' || m, 'cust_' || c, c || '@example.com', c || '@example.com', false, 'Ann', 'ann', '', now(), now()
		FROM generate_series(1, 3) AS m, generate_series(1, 3) AS c`)
	return db
}

// change runs a statement as the superuser, to whom row-level security does not apply.
func change(t *testing.T, db *storetest.Database, statement string) {
	t.Helper()
	_, err := db.Superuser().Exec(t.Context(), statement)
	require.NoError(t, err)
}

// pool is a pool of the driver's connections. It can also look at a connection without the driver.
type pool struct {
	*sql.DB
	name   string       // the application_name of its connections, also behind a pooler
	sent   atomic.Int64 // bytes, on all connections
	opened atomic.Int64 // connections
	newest atomic.Pointer[pgconn.PgConn]
	beside chan *pgconn.PgConn // holds a connection for inspect, if the pool has several connections
}

type countingConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.sent.Add(int64(len(b)))
	return c.Conn.Write(b)
}

// opener opens a pool with a number of connections.
type opener func(t *testing.T, db *storetest.Database, connections int) *pool

// open opens a pool that works as without a pooler.
func open(t *testing.T, db *storetest.Database, connections int) *pool {
	t.Helper()
	return openWall(t, db.AppURL(), connections, wall.NewConnector)
}

// openUnnamed opens a pool that works as behind a pooler, without one.
func openUnnamed(t *testing.T, db *storetest.Database, connections int) *pool {
	t.Helper()
	return openWall(t, db.AppURL(), connections, pooled(settings))
}

// settings differ from the server's own, so that a setting which remains is noticed.
var settings = map[string]string{"statement_timeout": "50s", "lock_timeout": "40s", "synchronous_commit": "on", "search_path": "public"}

func pooled(settings map[string]string) func(*pgx.ConnConfig, wall.Scope) *wall.Connector {
	return func(config *pgx.ConnConfig, scope wall.Scope) *wall.Connector {
		return wall.NewPooledConnector(config, scope, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", settings)
	}
}

var pools atomic.Int64

func openWall(t *testing.T, url string, connections int, connector func(*pgx.ConnConfig, wall.Scope) *wall.Connector) *pool {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	p := &pool{name: fmt.Sprintf("pool %d", pools.Add(1))}
	config.RuntimeParams["application_name"] = p.name
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return countingConn{conn, &p.sent}, nil
	}
	config.AfterConnect = func(_ context.Context, pg *pgconn.PgConn) error {
		p.opened.Add(1)
		p.newest.Store(pg)
		return nil
	}
	p.DB = sql.OpenDB(connector(config, scopeOf))
	p.SetMaxOpenConns(connections)
	p.SetMaxIdleConns(connections)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// residue is the state of a connection between two statements.
type residue struct{ Setting, Binding, Locks, Rows, Timeouts, Path, InTransaction string }

// residue returns the state of the pool's only connection, while no statement can use it.
func (p *pool) residue(t *testing.T) residue {
	t.Helper()
	left, err := p.inspect(t.Context())
	require.NoError(t, err)
	return left
}

func (p *pool) inspect(ctx context.Context) (left residue, err error) {
	var pg *pgconn.PgConn
	if p.beside != nil {
		ctx = context.WithoutCancel(ctx)
		pg = <-p.beside
		defer func() { p.beside <- pg }()
	} else {
		conn, err := p.Conn(ctx)
		if err != nil {
			return left, err
		}
		defer func() { err = errors.Join(err, conn.Close()) }()
		pg = p.newest.Load()
	}
	status := string(pg.TxStatus())
	results, err := pg.Exec(ctx, `
		SELECT COALESCE(current_setting('lumen.merchant_id', true), ''), COALESCE(current_setting('lumen.customer_id', true), ''),
		       (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
		       (SELECT count(*) FROM customers), current_setting('statement_timeout') || ' ' || current_setting('lock_timeout'),
		       current_setting('search_path')`).ReadAll()
	if err != nil {
		return left, err
	}
	row := results[0].Rows[0]
	return residue{string(row[0]), string(row[1]), string(row[2]), string(row[3]), string(row[4]), string(row[5]), status}, nil
}

var clean = residue{Setting: "", Binding: "", Locks: "0", Rows: "0", Timeouts: "0 0", Path: `"$user", public`, InTransaction: "I"}

// activity returns the number of statements that Postgres runs for this pool. If wait is not "",
// only statements with this wait event count.
func (p *pool) activity(t *testing.T, db *storetest.Database, wait string) (n int) {
	t.Helper()
	require.NoError(t, db.Superuser().QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
		WHERE application_name = $1 AND state = 'active' AND $2 IN ('', wait_event)`, p.name, wait).Scan(&n))
	return n
}

const allCustomers = `SELECT merchant_id, current_setting('lumen.merchant_id') FROM customers`

// seen returns the merchant and the setting of each row that the query returns.
func seen(ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string, args ...any) (values []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var merchant, setting string
		if err := rows.Scan(&merchant, &setting); err != nil {
			return values, err
		}
		values = append(values, merchant, setting)
	}
	return values, rows.Err()
}

// reader runs a query as seen does, in one of the two ways that the driver offers.
type reader func(ctx context.Context, p *pool, query string, args ...any) ([]string, error)

func byDriver(ctx context.Context, p *pool, query string, args ...any) ([]string, error) {
	return seen(ctx, p, query, args...)
}

func byQuery(ctx context.Context, p *pool, query string, args ...any) (values []string, err error) {
	err = wall.Query(ctx, p.DB, query, args, func(row *wall.Row) { values = append(values, row.Text(), row.Text()) })
	return values, err
}

// eachWay runs a test with both readers.
func eachWay(t *testing.T, test func(*testing.T, reader)) {
	t.Helper()
	for name, read := range map[string]reader{"through database/sql": byDriver, "through Query": byQuery} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, read) })
	}
}

func own(merchant string) []string { return slices.Repeat([]string{merchant}, 6) }

// ownOf returns the expected result of allCustomers in this context.
func ownOf(ctx context.Context) []string {
	merchant, customer := scopeOf(ctx)
	if customer != "" {
		return own(merchant)[:2]
	}
	return own(merchant)
}

func TestNoMerchant(t *testing.T) {
	t.Parallel()
	p := open(t, setup(t), 1)
	got, err := seen(as(t.Context(), m1), p, allCustomers)
	require.NoError(t, err)
	require.Equal(t, own(m1), got)

	raw := func(ctx context.Context, use func(driver.Conn) error) error {
		conn, err := p.Conn(ctx)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		return conn.Raw(func(c any) error { return use(c.(driver.Conn)) })
	}
	held := func(ctx context.Context, use func(*sql.Conn) error) error {
		conn, err := p.Conn(ctx)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		return use(conn)
	}
	const insert = `INSERT INTO customers DEFAULT VALUES`
	uses := map[string]func(context.Context) error{
		"a query": func(ctx context.Context) error { _, err := seen(ctx, p, allCustomers); return err },
		"a query with arguments": func(ctx context.Context) error {
			_, err := seen(ctx, p, allCustomers+" WHERE id = $1", "cust_1")
			return err
		},
		"a query that touches no table": func(ctx context.Context) error {
			return p.QueryRowContext(ctx, "SELECT 1").Scan(new(int))
		},
		"a query under a lock": func(ctx context.Context) error {
			_, err := seen(wall.WithLock(ctx, "key"), p, allCustomers)
			return err
		},
		"Query": func(ctx context.Context) error { _, err := byQuery(ctx, p, allCustomers); return err },
		"Query with arguments": func(ctx context.Context) error {
			_, err := byQuery(ctx, p, allCustomers+" WHERE id = $1", "cust_1")
			return err
		},
		"Query with arguments that can't be encoded": func(ctx context.Context) error {
			_, err := byQuery(ctx, p, "SELECT $1::int8", struct{}{})
			return err
		},
		"Query that touches no table": func(ctx context.Context) error { _, err := byQuery(ctx, p, "SELECT 'a', 'b'"); return err },
		"Query that changes something": func(ctx context.Context) error {
			_, err := byQuery(ctx, p, insert)
			return err
		},
		"Query under a lock": func(ctx context.Context) error {
			_, err := byQuery(wall.WithLock(ctx, "key"), p, allCustomers)
			return err
		},
		"Query for one customer": func(ctx context.Context) error { _, err := byQuery(bound(ctx, "cust_1"), p, allCustomers); return err },
		"Query on the driver's connection": func(ctx context.Context) error {
			return raw(ctx, func(c driver.Conn) error {
				return c.(wall.Querier).Query(ctx, allCustomers, nil, func(*wall.Row) { t.Error("there was a row") })
			})
		},
		"Query on a connection held for a merchant": func(ctx context.Context) error {
			return raw(as(ctx, m1), func(c driver.Conn) error {
				return c.(wall.Querier).Query(ctx, allCustomers+" WHERE $1", []any{true}, func(*wall.Row) { t.Error("there was a row") })
			})
		},
		"an exec":                func(ctx context.Context) error { _, err := p.ExecContext(ctx, insert); return err },
		"an exec with arguments": func(ctx context.Context) error { _, err := p.ExecContext(ctx, "SELECT $1::text", "a"); return err },
		"a query on a held connection": func(ctx context.Context) error {
			return held(ctx, func(c *sql.Conn) error { _, err := seen(ctx, c, allCustomers); return err })
		},
		"an exec on a held connection": func(ctx context.Context) error {
			return held(ctx, func(c *sql.Conn) error { _, err := c.ExecContext(ctx, insert); return err })
		},
		"a query on the driver's connection": func(ctx context.Context) error {
			return raw(ctx, func(c driver.Conn) error {
				_, err := c.(driver.QueryerContext).QueryContext(ctx, allCustomers, nil)
				return err
			})
		},
		"an exec on the driver's connection": func(ctx context.Context) error {
			return raw(ctx, func(c driver.Conn) error {
				_, err := c.(driver.ExecerContext).ExecContext(ctx, insert, nil)
				return err
			})
		},
	}
	for name, use := range uses {
		for merchant, ctx := range map[string]context.Context{"no merchant": t.Context(), "an empty merchant": as(t.Context(), "")} {
			t.Run("refuses "+name+" with "+merchant+" and sends no bytes", func(t *testing.T) {
				before := p.sent.Load()
				require.ErrorIs(t, use(ctx), wall.ErrNoMerchant)
				require.Equal(t, before, p.sent.Load())
			})
		}
	}

	// These would bypass the pipeline, so they are refused with and without a merchant.
	closed := map[string]func(context.Context) error{
		"to prepare":      func(ctx context.Context) error { _, err := p.PrepareContext(ctx, allCustomers); return err },
		"a transaction":   func(ctx context.Context) error { _, err := p.BeginTx(ctx, nil); return err },
		"a read-only one": func(ctx context.Context) error { _, err := p.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); return err },
		"the driver's Prepare": func(ctx context.Context) error {
			return raw(ctx, func(c driver.Conn) error { _, err := c.Prepare(allCustomers); return err })
		},
		"the driver's old Begin": func(ctx context.Context) error {
			//lint:ignore SA1019 it is what is tested
			return raw(ctx, func(c driver.Conn) error { _, err := c.Begin(); return err })
		},
		"to prepare on a connection": func(ctx context.Context) error {
			return held(ctx, func(c *sql.Conn) error { _, err := c.PrepareContext(ctx, allCustomers); return err })
		},
		"a transaction on a connection": func(ctx context.Context) error {
			return held(ctx, func(c *sql.Conn) error { _, err := c.BeginTx(ctx, nil); return err })
		},
	}
	for name, use := range closed {
		for merchant, ctx := range map[string]context.Context{"without a merchant": t.Context(), "with one": as(t.Context(), m1)} {
			t.Run("refuses "+name+" "+merchant+" and sends no bytes", func(t *testing.T) {
				before := p.sent.Load()
				require.ErrorContains(t, use(ctx), "wall: ")
				require.Equal(t, before, p.sent.Load())
			})
		}
	}

	t.Run("the count of sent bytes works", func(t *testing.T) {
		before := p.sent.Load()
		_, err := seen(as(t.Context(), m1), p, allCustomers)
		require.NoError(t, err)
		require.Greater(t, p.sent.Load(), before)
		require.Equal(t, int64(1), p.opened.Load())
	})

	t.Run("cannot be opened by name", func(t *testing.T) {
		_, err := p.Driver().Open("postgres://")
		require.ErrorContains(t, err, "wall: ")
	})
}

// A connection returns to the pool without any state of its merchant, however the statement ended.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]opener{"with prepared statements": open, "with unnamed statements": openUnnamed} {
		t.Run(name, func(t *testing.T) { t.Parallel(); testNothingIsLeft(t, open) })
	}
}

func testNothingIsLeft(t *testing.T, open opener) {
	eachWay(t, func(t *testing.T, read reader) { testNothingIsLeftAfter(t, open, read) })
}

func testNothingIsLeftAfter(t *testing.T, open opener, read reader) {
	db := setup(t)
	query := func(ctx context.Context, t *testing.T, p *pool, query string, args ...any) *sql.Rows {
		t.Helper()
		rows, err := p.QueryContext(ctx, query, args...)
		require.NoError(t, err)
		return rows
	}
	asleep := func(t *testing.T, p *pool) {
		t.Helper()
		require.Eventually(t, func() bool { return p.activity(t, db, "PgSleep") == 1 }, 10*time.Second, 2*time.Millisecond)
	}

	// This result is far larger than the connection's buffers.
	const many = "SELECT repeat('x', 1000), NULL FROM generate_series(1, 10000)"
	faults := map[string]func(*wall.Row){
		"a column of another type":            func(row *wall.Row) { row.Int() },
		"a null":                              func(row *wall.Row) { row.Text(); row.Text() },
		"too many columns":                    func(row *wall.Row) { row.Text(); row.NullableText(); row.NullableText() },
		"a fault, after which reads are zero": func(row *wall.Row) { row.Time(); row.Bool(); row.Int(); row.Text(); row.NullableTime() },
	}
	endings := map[string]func(context.Context, *testing.T, *pool){
		"rows read to the end": func(ctx context.Context, t *testing.T, p *pool) {
			got, err := read(ctx, p, allCustomers)
			require.NoError(t, err)
			require.Equal(t, ownOf(ctx), got)
		},
		"an exec": func(ctx context.Context, t *testing.T, p *pool) {
			_, err := p.ExecContext(ctx, "UPDATE customers SET name = 'Ann' WHERE id = $1", "cust_1")
			require.NoError(t, err)
		},
		"a statement under a lock": func(ctx context.Context, t *testing.T, p *pool) {
			_, err := read(wall.WithLock(ctx, "key"), p, allCustomers)
			require.NoError(t, err)
		},
		"an SQL error before the first row": func(ctx context.Context, t *testing.T, p *pool) {
			_, err := read(ctx, p, "SELECT merchant_id, (1/0)::text FROM customers")
			require.ErrorContains(t, err, "22012")
		},
		"an SQL error after the first row": func(ctx context.Context, t *testing.T, p *pool) {
			_, err := read(wall.WithLock(ctx, "key"), p, "SELECT 'a', (1 / (2000 - n))::text FROM generate_series(1, 3000) AS n")
			require.ErrorContains(t, err, "22012")
		},
		"a statement that begins a transaction": func(ctx context.Context, t *testing.T, p *pool) {
			_, err := read(wall.WithLock(ctx, "key"), p, "BEGIN")
			if err != nil { // behind a pooler it is inside a transaction, where it is a warning
				require.ErrorContains(t, err, "before the commit was confirmed")
			}
		},
		"an SQL error in an exec": func(ctx context.Context, t *testing.T, p *pool) {
			_, err := p.ExecContext(ctx, "INSERT INTO customers DEFAULT VALUES")
			require.ErrorContains(t, err, "42501")
		},
		"a statement that does not parse": func(ctx context.Context, t *testing.T, p *pool) {
			_, err := read(ctx, p, "SELEC $1", 1)
			require.ErrorContains(t, err, "42601")
		},
		"an argument that cannot be encoded": func(ctx context.Context, t *testing.T, p *pool) {
			_, err := read(ctx, p, "SELECT 'a', ($1::int8)::text", struct{}{})
			require.ErrorContains(t, err, "encode")
		},
		"too few arguments": func(ctx context.Context, t *testing.T, p *pool) {
			_, err := read(ctx, p, "SELECT $1::text, $2::text", "a")
			require.Regexp(t, "argument|08P01", err) // from pgx or from Postgres
		},
		"a value that cannot be decoded": func(ctx context.Context, t *testing.T, p *pool) {
			_, err := read(ctx, p, "SELECT merchant_id, 1.5::float8 FROM customers")
			require.ErrorContains(t, err, "wall: column")
		},
		"a cancelled query": func(ctx context.Context, t *testing.T, p *pool) {
			ctx, cancel := context.WithCancel(ctx)
			ended := make(chan error)
			go func() { _, err := read(wall.WithLock(ctx, "key"), p, "SELECT 'a', pg_sleep(60)::text"); ended <- err }()
			asleep(t, p)
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
		},
		"a cancelled exec": func(ctx context.Context, t *testing.T, p *pool) {
			ctx, cancel := context.WithCancel(ctx)
			ended := make(chan error)
			go func() { _, err := p.ExecContext(ctx, "SELECT pg_sleep($1)", 60); ended <- err }()
			asleep(t, p)
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
		},
		"a context that was already cancelled": func(ctx context.Context, t *testing.T, p *pool) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			_, err := read(ctx, p, allCustomers)
			require.ErrorIs(t, err, context.Canceled)
		},
		"a context cancelled while rows are read": func(ctx context.Context, t *testing.T, p *pool) {
			ctx, cancel := context.WithCancel(ctx)
			rows := query(ctx, t, p, "SELECT repeat('x', 1000) FROM generate_series(1, 10000)")
			require.True(t, rows.Next())
			cancel()
			for rows.Next() {
			}
			require.ErrorIs(t, rows.Err(), context.Canceled)
		},
		"a panic in the code that scans": func(ctx context.Context, t *testing.T, p *pool) {
			require.PanicsWithValue(t, "scan", func() {
				rows := query(ctx, t, p, allCustomers)
				defer func() { _ = rows.Close() }()
				require.True(t, rows.Next())
				panic("scan") // not inside Scan, because then database/sql itself never closes the rows
			})
		},
		"Query cancelled while rows are read": func(ctx context.Context, t *testing.T, p *pool) {
			ctx, cancel := context.WithCancel(wall.WithLock(ctx, "key"))
			rows := 0
			err := wall.Query(ctx, p.DB, many, nil, func(*wall.Row) {
				if rows++; rows == 1 {
					cancel()
				}
			})
			require.ErrorIs(t, err, context.Canceled)
			require.Less(t, rows, 10000)
		},
		"Query and a panic at the first row": func(ctx context.Context, t *testing.T, p *pool) {
			require.PanicsWithValue(t, "each", func() {
				_ = wall.Query(wall.WithLock(ctx, "key"), p.DB, allCustomers, nil, func(*wall.Row) { panic("each") })
			})
		},
		"Query and a panic among many rows": func(ctx context.Context, t *testing.T, p *pool) {
			rows := 0
			require.PanicsWithValue(t, "each", func() {
				_ = wall.Query(wall.WithLock(ctx, "key"), p.DB, many+" WHERE $1", []any{true}, func(*wall.Row) {
					if rows++; rows == 2000 {
						panic("each")
					}
				})
			})
		},
		"Query and runtime.Goexit": func(ctx context.Context, t *testing.T, p *pool) {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = wall.Query(wall.WithLock(ctx, "key"), p.DB, many, nil, func(*wall.Row) { runtime.Goexit() })
			}()
			<-ended
		},
		"Query and a panic that database/sql does not see": func(ctx context.Context, t *testing.T, p *pool) {
			held, err := p.Conn(ctx)
			require.NoError(t, err)
			require.NoError(t, held.Raw(func(c any) error {
				defer func() { require.Equal(t, "each", recover()) }()
				return c.(wall.Querier).Query(wall.WithLock(ctx, "key"), many, nil, func(*wall.Row) { panic("each") })
			}))
			require.NoError(t, held.Close())
		},
		"rows that were never closed": func(ctx context.Context, t *testing.T, p *pool) {
			held, err := p.Conn(ctx)
			require.NoError(t, err)
			require.NoError(t, held.Raw(func(c any) error {
				_, err := c.(driver.QueryerContext).QueryContext(wall.WithLock(ctx, "key"), many, nil)
				return err
			}))
			require.NoError(t, held.Close())
		},
		"Query with an argument that panics": func(ctx context.Context, t *testing.T, p *pool) {
			require.PanicsWithValue(t, "value", func() { _, _ = byQuery(ctx, p, "SELECT 'a', $1::text", panicking{}) })
		},
		"rows closed before the first": func(ctx context.Context, t *testing.T, p *pool) {
			require.NoError(t, query(ctx, t, p, allCustomers).Close())
		},
		"rows closed after the first": func(ctx context.Context, t *testing.T, p *pool) {
			rows := query(wall.WithLock(ctx, "key"), t, p, "SELECT repeat('x', 1000) FROM generate_series(1, 10000) WHERE $1", true)
			require.True(t, rows.Next())
			require.NoError(t, rows.Close())
		},
		"a backend that was terminated": func(ctx context.Context, t *testing.T, p *pool) {
			ended := make(chan error)
			go func() { _, err := read(ctx, p, "SELECT 'a', pg_sleep(60)::text"); ended <- err }()
			asleep(t, p)
			change(t, db, fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '%s'", p.name))
			require.ErrorContains(t, <-ended, "57P01")
		},
	}
	for name, fault := range faults {
		endings["Query and "+name] = func(ctx context.Context, t *testing.T, p *pool) {
			rows := 0
			err := wall.Query(wall.WithLock(ctx, "key"), p.DB, many, nil, func(row *wall.Row) {
				if rows++; rows == 2000 {
					fault(row)
				}
			})
			require.ErrorContains(t, err, "wall: ")
			require.Equal(t, 2000, rows, "rows after the fault")
			require.Equal(t, int64(1), p.opened.Load())
		}
	}
	// Each case runs with a bound caller or with one who is not, and in the long form with both.
	for i, name := range slices.Sorted(maps.Keys(endings)) {
		for j, whose := range []string{"", " by a bound caller"} {
			if (i+j)%2 == 1 && !storetest.Long() {
				continue
			}
			ending, customer := endings[name], []string{"", "cust_1"}[j]
			t.Run("after "+name+whose, func(t *testing.T) {
				t.Parallel()
				p := open(t, db, 1)
				_, err := read(as(t.Context(), m3), p, allCustomers) // opens the connection
				require.NoError(t, err)

				ending(bound(as(t.Context(), m1), customer), t, p)

				require.Eventually(t, func() bool { return p.activity(t, db, "") == 0 }, 10*time.Second, 2*time.Millisecond)
				require.Equal(t, clean, p.residue(t))
				for _, merchant := range []string{m1, m2} { // the same merchant, not bound, and another
					got, err := read(as(t.Context(), merchant), p, allCustomers)
					require.NoError(t, err)
					require.Equal(t, own(merchant), got)
				}
				_, err = read(t.Context(), p, allCustomers)
				require.ErrorIs(t, err, wall.ErrNoMerchant)
				require.Equal(t, clean, p.residue(t))
			})
		}
	}

	t.Run("the setting is there while a statement runs", func(t *testing.T) {
		t.Parallel()
		got, err := read(as(t.Context(), m1), open(t, db, 1), allCustomers)
		require.NoError(t, err)
		require.Equal(t, own(m1), got)
	})
}

// panicking is an argument whose encoding panics.
type panicking struct{}

func (panicking) Value() (driver.Value, error) { panic("value") }

// A caller who is bound to one customer sees no other, whatever the statement is. The policy
// ensures it.
func TestBoundToOneCustomer(t *testing.T) {
	t.Parallel()
	eachWay(t, testBoundToOneCustomer)
}

func testBoundToOneCustomer(t *testing.T, read reader) {
	db := setup(t)
	held, bare := open(t, db, 1), open(t, setupWithoutRowSecurity(t), 1)
	const (
		insert = `INSERT INTO customers (merchant_id, id, email, email_key, email_shared, search_key, created_at, updated_at)
			VALUES ('merchant_1', $1, 'n', 'n', false, '', now(), now()) RETURNING merchant_id, id`
		list   = `SELECT id, current_setting('lumen.customer_id') FROM customers WHERE merchant_id = 'merchant_1' ORDER BY id`
		update = `UPDATE customers SET name = 'Bea' WHERE merchant_id = 'merchant_1' AND id <> $1 RETURNING id, name`
	)
	for customer, want := range map[string][]string{
		"cust_1": {"cust_1", "cust_1"}, "cust_3": {"cust_3", "cust_3"}, "cust_4": nil, "": {"cust_1", "", "cust_2", "", "cust_3", ""},
	} {
		got, err := read(bound(as(t.Context(), m1), customer), held, list)
		require.NoError(t, err)
		require.Equal(t, want, got, customer)
	}
	ctx := bound(as(t.Context(), m1), "cust_1")
	got, err := read(ctx, held, update, "cust_1")
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = read(ctx, held, insert, "cust_9")
	require.ErrorContains(t, err, "42501")

	// Without the policies the same statements reach the other customers.
	got, err = read(ctx, bare, list)
	require.NoError(t, err)
	require.Len(t, got, 6)
	got, err = read(ctx, bare, update, "cust_1")
	require.NoError(t, err)
	require.Len(t, got, 4)
	_, err = read(ctx, bare, insert, "cust_9")
	require.NoError(t, err)
}

func setupWithoutRowSecurity(t *testing.T) *storetest.Database {
	t.Helper()
	db := setup(t)
	change(t, db, "ALTER TABLE customers DISABLE ROW LEVEL SECURITY")
	return db
}

func TestCommitThatFails(t *testing.T) {
	t.Parallel()
	db := setup(t)
	change(t, db, `CREATE FUNCTION refuse_late() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'too late' USING ERRCODE = '23514', CONSTRAINT = 'late'; END $$`)
	change(t, db, `CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON customers DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW WHEN (NEW.name = 'late') EXECUTE FUNCTION refuse_late()`)
	const update = `UPDATE customers SET name = 'late' RETURNING merchant_id, name`

	refused := func(t *testing.T, err error) {
		t.Helper()
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr)
		require.Equal(t, []string{"23514", "late"}, []string{pgErr.Code, pgErr.ConstraintName})
	}
	cases := map[string]func(*testing.T, context.Context, *pool){
		"is reported by the end of the rows": func(t *testing.T, ctx context.Context, p *pool) {
			rows, err := p.QueryContext(ctx, update)
			require.NoError(t, err)
			read := 0
			for rows.Next() {
				read++
			}
			require.Equal(t, 3, read)
			refused(t, rows.Err())
		},
		"is reported by the end of the rows of a prepared statement": func(t *testing.T, ctx context.Context, p *pool) {
			_, err := seen(ctx, p, `UPDATE customers SET name = $1 RETURNING merchant_id, name`, "late")
			refused(t, err)
		},
		"is reported by rows closed early": func(t *testing.T, ctx context.Context, p *pool) {
			rows, err := p.QueryContext(ctx, update)
			require.NoError(t, err)
			refused(t, rows.Close())
		},
		"is reported by Query, although there were rows": func(t *testing.T, ctx context.Context, p *pool) {
			got, err := byQuery(ctx, p, update)
			require.Equal(t, []string{m1, "late", m1, "late", m1, "late"}, got)
			refused(t, err)
		},
		"is reported by Query of a prepared statement under a lock": func(t *testing.T, ctx context.Context, p *pool) {
			got, err := byQuery(wall.WithLock(ctx, "key"), p, `UPDATE customers SET name = $1 RETURNING merchant_id, name`, "late")
			require.Len(t, got, 6)
			refused(t, err)
		},
		"is reported by Query without rows": func(t *testing.T, ctx context.Context, p *pool) {
			_, err := byQuery(ctx, p, `UPDATE customers SET name = 'late'`)
			refused(t, err)
		},
		"is hidden by a fault of the row": func(t *testing.T, ctx context.Context, p *pool) {
			err := wall.Query(ctx, p.DB, update, nil, func(row *wall.Row) { row.Int() })
			require.ErrorContains(t, err, "wall: column merchant_id: ")
		},
		"is reported by Exec": func(t *testing.T, ctx context.Context, p *pool) {
			_, err := p.ExecContext(ctx, update)
			refused(t, err)
		},
	}
	for name, act := range cases {
		for how, open := range map[string]opener{"": open, ", unnamed": openUnnamed} {
			t.Run(name+how, func(t *testing.T) {
				t.Parallel()
				p := open(t, db, 1)
				act(t, as(t.Context(), m1), p)

				require.Equal(t, clean, p.residue(t))
				require.Equal(t, int64(1), p.opened.Load())
				var late int
				require.NoError(t, db.Superuser().QueryRow(t.Context(), "SELECT count(*) FROM customers WHERE name = 'late'").Scan(&late))
				require.Zero(t, late)
			})
		}
	}
}

func TestPreparedStatements(t *testing.T) {
	t.Parallel()
	db := setup(t)
	prepared := func(t *testing.T, p *pool) (n int) {
		t.Helper()
		require.NoError(t, p.QueryRowContext(as(t.Context(), m1), "SELECT count(*) FROM pg_prepared_statements").Scan(&n))
		return n
	}
	const preludes = 2

	t.Run("texts without arguments are not prepared", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		for i := range 100 {
			var got int
			require.NoError(t, p.QueryRowContext(as(t.Context(), m1), fmt.Sprintf("SELECT %d", i)).Scan(&got))
			require.Equal(t, i, got)
		}
		require.Equal(t, preludes, prepared(t, p))
	})

	t.Run("a text with arguments is prepared once", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		for range 10 {
			_, err := seen(as(t.Context(), m1), p, allCustomers+" WHERE id = $1", "cust_1")
			require.NoError(t, err)
		}
		require.Equal(t, preludes+1, prepared(t, p))
	})

	t.Run("a text that does not parse is not prepared and costs no connection", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		for range 3 {
			_, err := seen(as(t.Context(), m1), p, "SELECT nothing, $1::text FROM customers", "a")
			require.ErrorContains(t, err, "42703")
		}
		_, err := seen(as(t.Context(), m1), p, allCustomers+" WHERE id = $1", "cust_1")
		require.NoError(t, err)
		require.Equal(t, preludes+1, prepared(t, p))
		require.Equal(t, int64(1), p.opened.Load())
	})

	t.Run("only 64 texts stay prepared, and all work", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		type answer struct {
			N     int64
			Text  string
			Flag  bool
			At    time.Time
			Among bool
			Null  *string
		}
		at := time.Date(2026, 2, 3, 4, 5, 6, 789000000, time.UTC)
		for i := range 100 {
			var got answer
			require.NoError(t, p.QueryRowContext(as(t.Context(), m1),
				fmt.Sprintf("SELECT $1::int8 + %d, $2::text, $3::bool, $4::timestamptz, 'b' = ANY($5::text[]), $6::text", i),
				int64(1000), "tëxt", true, at, []string{"a", "b"}, nil,
			).Scan(&got.N, &got.Text, &got.Flag, &got.At, &got.Among, &got.Null))
			require.Equal(t, answer{int64(1000 + i), "tëxt", true, at, true, nil}, got)
		}
		require.Equal(t, preludes+64, prepared(t, p))
		require.Equal(t, int64(1), p.opened.Load())
	})

	eachWay(t, testRecovery)
}

func TestPreparedStatementsUsedLeast(t *testing.T) {
	t.Parallel()
	eachWay(t, testLeastRecentlyUsed)
}

// A connection, and the server, keep only the statements that were used last.
func testLeastRecentlyUsed(t *testing.T, read reader) {
	db := setup(t)
	const kept = 64
	text := func(i int) string { return fmt.Sprintf("SELECT $1::text, '%d'", i) }
	run := func(t *testing.T, p *pool, i int) {
		t.Helper()
		got, err := read(as(t.Context(), m1), p, text(i), "a")
		require.NoError(t, err)
		require.Equal(t, []string{"a", strconv.Itoa(i)}, got)
	}
	// held returns the server's names of the prepared statements, by their texts.
	held := func(t *testing.T, p *pool) map[string]string {
		t.Helper()
		conn, err := p.Conn(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		results, err := p.newest.Load().Exec(t.Context(), "SELECT statement, name FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1::text%'").ReadAll()
		require.NoError(t, err)
		names := make(map[string]string)
		for _, row := range results[0].Rows {
			names[string(row[0])] = string(row[1])
		}
		return names
	}

	t.Run("the least recently used statement is deallocated, and works again", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		ever := make(map[string]string) // texts, by their names so far
		var order []int                 // least recently used first
		use := func(i int) {
			run(t, p, i)
			if at := slices.Index(order, i); at >= 0 {
				order = slices.Delete(order, at, at+1)
			} else if len(order) == kept {
				order = order[1:]
			}
			order = append(order, i)
		}
		same := func() {
			t.Helper()
			names := held(t, p)
			require.Len(t, names, len(order))
			for _, i := range order {
				name := names[text(i)]
				require.NotEmpty(t, name, "%d is not prepared", i)
				if ever[name] != "" {
					require.Equal(t, ever[name], text(i), "the name %s was used twice", name)
				}
				ever[name] = text(i)
			}
		}
		for i := range kept {
			use(i)
		}
		same()
		first := held(t, p)[text(0)]
		for i := kept; i < 3*kept; i++ {
			use(0) // stays in use
			use(i)
			same()
		}
		require.Equal(t, first, held(t, p)[text(0)])
		require.NotContains(t, order, 1)
		use(1)
		same()
		random := rand.New(rand.NewPCG(1, 2))
		for range 300 {
			use(random.IntN(kept + 8))
		}
		same()
		require.Equal(t, int64(1), p.opened.Load())
	})

	t.Run("if deallocating fails, the connection is closed", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		for i := range kept {
			run(t, p, i)
		}
		ctx, cancel := context.WithCancel(as(t.Context(), m1))
		cancel()
		conn, err := p.Conn(t.Context())
		require.NoError(t, err)
		require.ErrorIs(t, conn.Raw(func(c any) error { return c.(wall.Querier).Query(ctx, text(kept), []any{"a"}, nil) }), context.Canceled)
		require.NoError(t, conn.Close())
		run(t, p, kept)
		require.Len(t, held(t, p), 1)
		require.Equal(t, int64(2), p.opened.Load())
		require.Equal(t, clean, p.residue(t))
	})

	t.Run("a statement that cannot be prepared costs no connection", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		for i := range kept {
			run(t, p, i)
		}
		for range 3 {
			_, err := read(as(t.Context(), m1), p, "SELECT nothing, $1::text", "a")
			require.ErrorContains(t, err, "42703")
		}
		names := held(t, p)
		require.Len(t, names, kept-1) // one was deallocated to make room
		require.NotContains(t, names, text(0))
		require.Equal(t, int64(1), p.opened.Load())
	})
}

func testRecovery(t *testing.T, read reader) {
	db := setup(t)
	const shape = "SELECT merchant_id, value FROM shapes WHERE $1"
	t.Run("a statement whose result type changed fails once and then works", func(t *testing.T) {
		t.Parallel()
		db := setup(t)
		p := open(t, db, 1)
		change(t, db, `CREATE TABLE shapes (merchant_id text, value varchar)`)
		change(t, db, `INSERT INTO shapes VALUES ('a', '7'); GRANT SELECT ON shapes TO lumen_app`)
		for range 2 {
			got, err := read(as(t.Context(), m1), p, shape, true)
			require.NoError(t, err)
			require.Equal(t, []string{"a", "7"}, got)
			if p.opened.Load() == 2 {
				break
			}
			change(t, db, "ALTER TABLE shapes ALTER value TYPE text")
			_, err = read(as(t.Context(), m1), p, shape, true)
			require.ErrorContains(t, err, "0A000")
		}
		require.Equal(t, int64(2), p.opened.Load())
		require.Equal(t, clean, p.residue(t))
	})

	t.Run("a statement that was deallocated fails once and then works", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		_, err := read(as(t.Context(), m1), p, allCustomers)
		require.NoError(t, err)
		_, err = p.newest.Load().Exec(t.Context(), "DEALLOCATE ALL").ReadAll()
		require.NoError(t, err)

		_, err = read(as(t.Context(), m1), p, allCustomers)
		require.ErrorContains(t, err, "26000")
		got, err := read(as(t.Context(), m1), p, allCustomers)
		require.NoError(t, err)
		require.Equal(t, own(m1), got)
		require.Equal(t, clean, p.residue(t))
	})

	t.Run("a connection that accepts no writes fails once and is replaced", func(t *testing.T) {
		t.Parallel()
		db := setup(t)
		p := open(t, db, 1)
		const write = "INSERT INTO notes (merchant_id, value) SELECT current_setting('lumen.merchant_id'), $1::text RETURNING merchant_id, value"
		change(t, db, "CREATE TABLE notes (merchant_id text, value text)")
		change(t, db, "GRANT SELECT, INSERT ON notes TO lumen_app")
		_, err := read(as(t.Context(), m1), p, write, "before")
		require.NoError(t, err)
		_, err = p.newest.Load().Exec(t.Context(), "SET default_transaction_read_only = on").ReadAll()
		require.NoError(t, err)

		_, err = read(as(t.Context(), m1), p, write, "refused")
		require.ErrorContains(t, err, "25006")
		got, err := read(as(t.Context(), m1), p, write, "after")
		require.NoError(t, err)
		require.Equal(t, []string{m1, "after"}, got)
		require.Equal(t, int64(2), p.opened.Load())
	})
}

func TestWithLock(t *testing.T) {
	t.Parallel()
	eachWay(t, testWithLock)
}

func testWithLock(t *testing.T, read reader) {
	db := setup(t)
	change(t, db, "CREATE TABLE ledger (n int8 NOT NULL)")
	change(t, db, "GRANT SELECT, INSERT ON ledger TO lumen_app")
	// waiting returns the number of sessions that wait for an advisory lock of this database.
	waiting := func(t *testing.T) (n int) {
		t.Helper()
		require.NoError(t, db.Superuser().QueryRow(t.Context(), `SELECT count(*) FROM pg_locks
			WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n))
		return n
	}

	t.Run("statements with the same key wait, others do not", func(t *testing.T) {
		p := open(t, db, 3)
		holder, err := db.Superuser().Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) }()
		_, err = holder.Exec(t.Context(), "SELECT pg_advisory_xact_lock(hashtextextended('key', 0))")
		require.NoError(t, err)

		type end struct {
			got []string
			err error
		}
		ends := make(chan end, 2)
		for _, merchant := range []string{m1, m2} {
			go func() {
				got, err := read(wall.WithLock(as(t.Context(), merchant), "key"), p, allCustomers)
				ends <- end{got, err}
			}()
		}
		require.Eventually(t, func() bool { return waiting(t) == 2 }, 10*time.Second, 2*time.Millisecond)
		_, err = read(as(t.Context(), m1), p, allCustomers)
		require.NoError(t, err)
		_, err = read(wall.WithLock(as(t.Context(), m1), "another key"), p, allCustomers)
		require.NoError(t, err)
		require.Empty(t, ends)

		require.NoError(t, holder.Rollback(t.Context()))
		for range 2 {
			e := <-ends
			require.NoError(t, e.err)
			require.Len(t, e.got, 6)
		}
		require.Zero(t, waiting(t))
	})

	t.Run("each statement sees what the one before it committed", func(t *testing.T) {
		const each = 150
		p := open(t, db, 2)
		faults := make(chan error, 2*each)
		var writers sync.WaitGroup
		for _, merchant := range []string{m1, m2} {
			writers.Go(func() {
				for range each {
					// Without the lock, two statements would read the same maximum.
					if _, err := read(wall.WithLock(as(t.Context(), merchant), "ledger"), p,
						"INSERT INTO ledger SELECT COALESCE(max(n), 0) + 1 FROM ledger WHERE $1", true); err != nil {
						faults <- err
					}
				}
			})
		}
		writers.Wait()
		close(faults)
		for err := range faults {
			t.Error(err)
		}
		var rows, highest int
		require.NoError(t, db.Superuser().QueryRow(t.Context(), "SELECT count(*), max(n) FROM ledger").Scan(&rows, &highest))
		require.Equal(t, []int{2 * each, 2 * each}, []int{rows, highest})
		require.Equal(t, int64(2), p.opened.Load())
	})

	t.Run("a cancelled wait leaves no lock", func(t *testing.T) {
		p := open(t, db, 1)
		holder, err := db.Superuser().Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) }()
		_, err = holder.Exec(t.Context(), "SELECT pg_advisory_xact_lock(hashtextextended('key', 0))")
		require.NoError(t, err)

		ctx, cancel := context.WithCancel(as(t.Context(), m1))
		ended := make(chan error)
		go func() { _, err := read(wall.WithLock(ctx, "key"), p, allCustomers); ended <- err }()
		require.Eventually(t, func() bool { return waiting(t) == 1 }, 10*time.Second, 2*time.Millisecond)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Equal(t, clean, p.residue(t))
		require.Eventually(t, func() bool { return waiting(t) == 0 }, 10*time.Second, 2*time.Millisecond)
	})
}

func TestDecoding(t *testing.T) {
	t.Parallel()
	p := open(t, setup(t), 1)
	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339Nano, text)
		require.NoError(t, err)
		return when.UTC()
	}
	// one reads a row of one column with the method for the type of like.
	one := func(query string, args []any, like any) (got any, err error) {
		err = wall.Query(as(t.Context(), m1), p.DB, query, args, func(row *wall.Row) {
			switch like.(type) {
			case string:
				got = row.Text()
			case bool:
				got = row.Bool()
			case int64:
				got = row.Int()
			case time.Time:
				got = row.Time()
			default:
				if text := row.NullableText(); text != nil {
					got = text
				}
			}
		})
		if err != nil {
			return nil, err
		}
		return got, nil
	}
	for expression, want := range map[string]any{
		"''::text":                     "",
		"E'a\\n\\u00e9'::text":         "a\né",
		"'abc'::varchar":               "abc",
		"'abc'::varchar(3)":            "abc",
		"true":                         true,
		"false":                        false,
		"0":                            int64(0),
		"-1":                           int64(-1),
		"2147483647":                   int64(math.MaxInt32),
		"'-2147483648'::int4":          int64(math.MinInt32),
		"9223372036854775807::int8":    int64(math.MaxInt64),
		"'-9223372036854775808'::int8": int64(math.MinInt64),
		"'2026-01-02T03:04:05.678901Z'::timestamptz":   at("2026-01-02T03:04:05.678901Z"),
		"'2000-01-01T00:00:00Z'::timestamptz":          at("2000-01-01T00:00:00Z"),
		"'1999-12-31T23:59:59.999999Z'::timestamptz":   at("1999-12-31T23:59:59.999999Z"),
		"'1969-12-31T23:59:59.999999Z'::timestamptz":   at("1969-12-31T23:59:59.999999Z"),
		"'0001-01-01T00:00:00Z'::timestamptz":          at("0001-01-01T00:00:00Z"),
		"'9999-12-31T23:59:59.999999Z'::timestamptz":   at("9999-12-31T23:59:59.999999Z"),
		"'294276-12-31T23:59:59.999999Z'::timestamptz": at("2026-12-31T23:59:59.999999Z").AddDate(294276-2026, 0, 0),
		"'4713-01-01T00:00:00Z BC'::timestamptz":       time.Date(-4712, 1, 1, 0, 0, 0, 0, time.UTC),
		"NULL::text":                                   nil, "NULL::varchar": nil, "NULL::bool": nil, "NULL::int4": nil, "NULL::int8": nil, "NULL::timestamptz": nil,
		"NULL::numeric": nil,
	} {
		t.Run("reads "+expression, func(t *testing.T) {
			for query, args := range map[string][]any{"SELECT " + expression: nil, "SELECT " + expression + " WHERE $1": {true}} {
				var got any
				require.NoError(t, p.QueryRowContext(as(t.Context(), m1), query, args...).Scan(&got))
				require.Equal(t, want, got)
				got, err := one(query, args, want)
				if want != nil || strings.HasSuffix(expression, "text") || strings.HasSuffix(expression, "char") {
					require.NoError(t, err)
					require.Equal(t, want, got)
				} else {
					require.ErrorContains(t, err, "wall: column ")
				}
			}
		})
	}
	for _, expression := range []string{
		"1::int2", "1.5::float4", "1.5::float8", "1.5::numeric", "'a'::bytea", "'2026-01-02'::date", "now()::timestamp", "'1s'::interval",
		"'{}'::jsonb", "'{}'::json", "'{a}'::text[]", "gen_random_uuid()", "'a'::bpchar", "'a'::name", "'a'::\"char\"",
		"'infinity'::timestamptz", "'-infinity'::timestamptz",
	} {
		t.Run("refuses "+expression, func(t *testing.T) {
			for query, args := range map[string][]any{
				"SELECT " + expression + " AS value": nil, "SELECT " + expression + " AS value WHERE $1": {true},
			} {
				var got any
				err := p.QueryRowContext(as(t.Context(), m1), query, args...).Scan(&got)
				require.ErrorContains(t, err, "wall: column value: ")
				require.Nil(t, got)
				for _, like := range []any{"", true, int64(0), time.Time{}, nil} {
					got, err := one(query, args, like)
					require.ErrorContains(t, err, "wall: column value: ")
					require.Nil(t, got)
				}
			}
			require.Equal(t, clean, p.residue(t))
		})
	}
	require.Equal(t, int64(1), p.opened.Load())
}

// The values that Query passed on stay valid when the connection reads more.
func TestRowsOutliveConnection(t *testing.T) {

	t.Parallel()
	p := open(t, setup(t), 1)
	const rows = 5000
	type record struct {
		Text        string
		First, Then *string
		At          time.Time
		Maybe       *time.Time
	}
	var got, want []record
	read := func(prefix string) {
		got = nil
		require.NoError(t, wall.Query(as(t.Context(), m1), p.DB, `
			SELECT $1 || n, CASE WHEN n % 3 <> 0 THEN 'first ' || n END, 'then ' || n, to_timestamp(n), CASE WHEN n % 2 = 0 THEN to_timestamp(-n) END
			FROM generate_series(1, 5000) AS n`, []any{prefix}, func(row *wall.Row) {
			got = append(got, record{row.Text(), row.NullableText(), row.NullableText(), row.Time(), row.NullableTime()})
		}))
	}
	for n := range int64(rows) {
		n++
		r := record{Text: fmt.Sprint("text ", n), At: time.Unix(n, 0).UTC()}
		then, first, maybe := fmt.Sprint("then ", n), fmt.Sprint("first ", n), time.Unix(-n, 0).UTC()
		if r.Then = &then; n%3 != 0 {
			r.First = &first
		}
		if n%2 == 0 {
			r.Maybe = &maybe
		}
		want = append(want, r)
	}
	read("text ")
	before := got
	read("####")
	require.NoError(t, p.Close())
	require.Equal(t, want, before)
	require.NotEqual(t, want, got)
	places := make(map[*string]bool)
	for _, r := range before {
		places[r.Then] = true
		places[r.First] = true
	}
	require.Len(t, places, rows+rows-rows/3+1) // nil counts once
}

func TestPool(t *testing.T) {
	t.Parallel()
	db := setup(t)

	t.Run("pings without a merchant", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		require.NoError(t, p.PingContext(t.Context()))
		require.Equal(t, clean, p.residue(t))
	})

	t.Run("returns the statement's number of affected rows", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		result, err := p.ExecContext(wall.WithLock(as(t.Context(), m1), "key"), "UPDATE customers SET billing_city = $1", "Rome")
		require.NoError(t, err)
		n, err := result.RowsAffected()
		require.NoError(t, err)
		require.Equal(t, int64(3), n)
	})

	t.Run("returns the names of the columns", func(t *testing.T) {
		t.Parallel()
		rows, err := open(t, db, 1).QueryContext(as(t.Context(), m1), `SELECT 1 AS "one", 2 AS "Two"`)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		names, err := rows.Columns()
		require.NoError(t, err)
		require.Equal(t, []string{"one", "Two"}, names)
	})

	eachWay(t, testPoolRecovery)
}

func testPoolRecovery(t *testing.T, read reader) {
	db := setup(t)
	t.Run("a login that is refused is reported", func(t *testing.T) {
		t.Parallel()
		config, err := pgx.ParseConfig(db.URLFor("lumen_test_nobody", "wrong"))
		require.NoError(t, err)
		p := &pool{DB: sql.OpenDB(wall.NewConnector(config, scopeOf))}
		defer func() { require.NoError(t, p.Close()) }()
		_, err = read(as(t.Context(), m1), p, allCustomers)
		var refused *pgconn.ConnectError
		require.ErrorAs(t, err, &refused)
	})

	t.Run("a connection that was closed while it was idle is not used", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		_, err := read(as(t.Context(), m1), p, allCustomers)
		require.NoError(t, err)
		pg := p.newest.Load()
		require.NoError(t, pg.Close(t.Context()))
		got, err := read(as(t.Context(), m2), p, allCustomers)
		require.NoError(t, err)
		require.Equal(t, own(m2), got)
		require.Equal(t, int64(2), p.opened.Load())
	})

	t.Run("a connection that the server ended while it was idle is pinged and not used", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		_, err := read(as(t.Context(), m1), p, allCustomers)
		require.NoError(t, err)
		change(t, db, fmt.Sprintf("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = '%s'", p.name))
		time.Sleep(1100 * time.Millisecond) // longer than a connection may be idle without a ping
		got, err := read(as(t.Context(), m2), p, allCustomers)
		require.NoError(t, err)
		require.Equal(t, own(m2), got)
		require.Equal(t, int64(2), p.opened.Load())
	})

	t.Run("the wait for a connection ends with the context", func(t *testing.T) {
		t.Parallel()
		p := open(t, db, 1)
		held, err := p.Conn(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(as(t.Context(), m1))
		ended := make(chan error)
		go func() { _, err := read(ctx, p, allCustomers); ended <- err }()
		require.Eventually(t, func() bool { return p.Stats().WaitCount == 1 }, 10*time.Second, time.Millisecond)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, held.Close())
		got, err := read(as(t.Context(), m1), p, allCustomers)
		require.NoError(t, err)
		require.Equal(t, own(m1), got)
		require.Equal(t, int64(1), p.opened.Load())
	})
}
