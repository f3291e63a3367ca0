package wall_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"lumen/store/wall"
)

func TestMerchantsTakeTurnsOnOneConnection(t *testing.T) {
	t.Parallel()
	require.Zero(t, takeTurns(t, open, 1, 500, 4).stray.Load())
}

func TestMerchantsTakeTurnsWithUnnamedStatements(t *testing.T) {
	t.Parallel()
	require.Zero(t, takeTurns(t, openUnnamed, 1, 250, 4).stray.Load())
}

// turns counts how operations ended. An operation is stray if it was cancelled on the server, or
// its connection broke, although its client did not cancel it. A pooler may cause this when another
// client's cancellation arrives late.
type turns struct {
	well                                      [2]atomic.Int64 // of each merchant
	cancelled, failed, panicked, looks, stray atomic.Int64
}

// takeTurns lets four clients of two merchants use the connections at the same time, with random
// operations: queries and updates, bound to a customer or not, with a lock or not, through
// database/sql or Query, read to the end or not. They succeed, fail or panic, and one in
// cancelledOneIn has little time. No client may see another merchant's row or setting, and between
// two statements a connection may carry no state.
func takeTurns(t *testing.T, open opener, connections, operations, cancelledOneIn int) *turns {
	t.Helper()
	db := setup(t)
	p := open(t, db, connections)
	const clients = 4
	start := time.Now()

	var ended turns
	faults := make(chan string, operations)
	client := func(who int, random *rand.Rand) {
		merchant := []string{m1, m2}[who]
		for range operations / clients {
			ctx, cancel := as(t.Context(), merchant), context.CancelFunc(func() {})
			if random.IntN(3) == 0 {
				ctx = bound(ctx, "cust_3")
			}
			if random.IntN(cancelledOneIn) == 0 {
				ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(1200))*time.Microsecond)
			}
			if random.IntN(8) == 0 {
				ctx = wall.WithLock(ctx, "key")
			}
			read, first := byDriver, firstRow
			if random.IntN(2) == 0 {
				read, first = byQuery, firstRowOfQuery
			}
			var got []string
			var err error
			var fails, panics bool
			switch random.IntN(8) {
			case 0:
				got, err = read(ctx, p, allCustomers)
				if err == nil && !slices.Equal(got, ownOf(ctx)) {
					faults <- fmt.Sprintf("%s, bound or not, saw %v", merchant, got)
				}
			case 1:
				got, err = read(ctx, p, allCustomers+" WHERE id >= $1", "cust_2")
			case 2:
				got, err = read(ctx, p, "UPDATE customers SET name = $1 WHERE id = $2 RETURNING merchant_id, current_setting('lumen.merchant_id')", merchant, "cust_3")
			case 3:
				fails = true
				got, err = read(ctx, p, "SELECT merchant_id, (1 / (3 - right(id, 1)::int))::text FROM customers WHERE id = 'cust_3' OR $1", false)
				if err == nil {
					faults <- "a division by zero went well"
				}
			case 4: // closed early
				got, err = first(ctx, p, func() {})
			case 5:
				func() {
					defer func() { panics = recover() == "between rows" }()
					got, err = first(ctx, p, func() { panic("between rows") })
				}()
			case 6: // inspects a connection
				var left residue
				if left, err = p.inspect(ctx); err == nil && left != clean {
					faults <- fmt.Sprintf("a connection carries %+v", left)
				}
				ended.looks.Add(1)
			default:
				const update = "UPDATE customers SET tax_id = $1"
				if random.IntN(2) == 0 {
					_, err = p.ExecContext(ctx, update, merchant)
				} else {
					_, err = read(ctx, p, update, merchant)
				}
			}
			for _, value := range got {
				if value != merchant {
					faults <- fmt.Sprintf("%s saw %v", merchant, got)
				}
			}
			var pgErr *pgconn.PgError
			switch {
			case panics:
				ended.panicked.Add(1)
			case err == nil:
				ended.well[who].Add(1)
			case ctx.Err() != nil || late(ctx):
				ended.cancelled.Add(1)
			case errors.Is(err, errLeft):
				ended.failed.Add(1)
			case fails && errors.As(err, &pgErr) && pgErr.Code == "22012":
				ended.failed.Add(1)
			case errors.As(err, &pgErr) && pgErr.Code != "57014" && pgErr.Code != "08P01":
				faults <- fmt.Sprintf("%s failed: %v", merchant, err)
			default:
				ended.stray.Add(1)
				t.Logf("not cancelled by its client: %v", err)
			}
			cancel()
		}
	}
	var running sync.WaitGroup
	for i := range uint64(clients) {
		running.Go(func() { client(int(i%2), rand.New(rand.NewPCG(1, i))) })
	}
	running.Wait()
	close(faults)
	for fault := range faults {
		t.Error(fault)
	}
	t.Logf("%d operations in %v: %d and %d succeeded, %d were cancelled, %d failed, %d panicked, %d inspected a connection, %d were stray; %d connections",
		operations, time.Since(start).Round(time.Millisecond), ended.well[0].Load(), ended.well[1].Load(), ended.cancelled.Load(),
		ended.failed.Load(), ended.panicked.Load(), ended.looks.Load(), ended.stray.Load(), p.opened.Load())
	require.Greater(t, ended.well[0].Load(), int64(operations/8))
	require.Greater(t, ended.well[1].Load(), int64(operations/8))
	for _, some := range []*atomic.Int64{&ended.failed, &ended.panicked, &ended.looks} {
		require.Greater(t, some.Load(), int64(operations/50))
	}
	require.Greater(t, ended.cancelled.Load(), int64(operations/cancelledOneIn/10))
	require.Greater(t, p.opened.Load(), int64(10), "cancelling broke no connection")
	require.Equal(t, clean, p.residue(t))

	var foreign int
	require.NoError(t, db.Superuser().QueryRow(t.Context(), `
		SELECT count(*) FROM customers WHERE COALESCE(tax_id, merchant_id) <> merchant_id
		OR name NOT IN ('Ann', merchant_id) OR merchant_id = 'merchant_3' AND (name, COALESCE(tax_id, '')) <> ('Ann', '')`).Scan(&foreign))
	require.Zero(t, foreign)
	return &ended
}

// late reports whether the deadline has passed. The network may notice it before the context does.
func late(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Now().After(deadline)
}

// firstRow reads the first of three rows and calls then. The rows are closed in any case.
func firstRow(ctx context.Context, p *pool, then func()) (values []string, err error) {
	var rows *sql.Rows
	if rows, err = p.QueryContext(ctx, allCustomers); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if rows.Next() {
		values = make([]string, 2)
		if err := rows.Scan(&values[0], &values[1]); err != nil {
			return nil, err
		}
	}
	then()
	return values, rows.Err()
}

// firstRowOfQuery is firstRow through Query, which can only be left early with a fault. It causes
// one in the second row.
func firstRowOfQuery(ctx context.Context, p *pool, then func()) (values []string, err error) {
	left := false
	err = wall.Query(ctx, p.DB, allCustomers, nil, func(row *wall.Row) {
		if values != nil {
			left = true
			row.Int()
			return
		}
		values = []string{row.Text(), row.Text()}
		then()
	})
	if left && err != nil && strings.HasPrefix(err.Error(), "wall: column merchant_id: ") {
		err = errLeft
	}
	return values, err
}

var errLeft = errors.New("a row was read with the wrong method on purpose")
