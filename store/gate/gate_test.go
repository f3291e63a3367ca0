package gate

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// tightGate returns a gate at which every statement exceeds its tenant's concurrency.
func tightGate(connections, limit int) *Gate {
	g := New(connections, 1)
	g.limit, g.concurrency = limit, 0
	return g
}

// Statements within the tenant's concurrency wait for up to maxWait. One more waits for maxStall.
func TestGateWaitsWithinConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(16, 64)
		require.Equal(t, 12, g.limit)
		inside := []*Tenant{}
		for range 12 {
			inside = append(inside, (<-arrives(t.Context(), g, "a")).tenant)
		}
		var waiting []<-chan entry
		for range 53 {
			waiting = append(waiting, arrives(t.Context(), g, "a"))
			synctest.Wait()
		}
		other := <-arrives(t.Context(), g, "b")
		require.NoError(t, other.err)
		g.Leave(other.tenant, true) // the database answers
		more := <-waiting[52]
		require.Equal(t, ErrTenantLimit, more.err)
		require.Equal(t, maxStall, more.after)
		time.Sleep(maxWait - maxStall - time.Millisecond)
		g.Leave(inside[0], true)
		require.NoError(t, (<-waiting[0]).err)
		for _, w := range waiting[1:52] {
			e := <-w
			require.Equal(t, ErrTenantLimit, e.err)
			require.Equal(t, maxWait, e.after)
		}
	})
}

// entry is the result of one call of Enter.
type entry struct {
	tenant *Tenant
	err    error
	after  time.Duration
}

// arrives calls Enter in a goroutine and returns a channel for the result.
func arrives(ctx context.Context, g *Gate, name string) <-chan entry {
	result := make(chan entry, 1)
	began := time.Now()
	go func() {
		p, err := g.Enter(ctx, name)
		result <- entry{p, err, time.Since(began)}
	}()
	return result
}

func TestGateLeavesConnectionsToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tightGate(4, 3)
		var inside []*Tenant
		for range 3 {
			e := <-arrives(t.Context(), g, "many")
			require.NoError(t, e.err)
			inside = append(inside, e.tenant)
		}
		fourth := arrives(t.Context(), g, "many")
		synctest.Wait()
		other := <-arrives(t.Context(), g, "other")
		require.NoError(t, other.err, "one connection is free")
		require.Zero(t, other.after)

		// The pool is full. A statement that waits for the pool can follow any statement, one that
		// waits for its tenant's limit only its tenant's.
		third := arrives(t.Context(), g, "third")
		time.Sleep(maxStall / 2)
		g.Leave(other.tenant, true)
		e := <-third
		require.NoError(t, e.err)
		require.Equal(t, maxStall/2, e.after)
		refused := <-fourth
		require.Equal(t, ErrTenantLimit, refused.err, "its tenant's own limit is the reason")
		require.Equal(t, maxStall, refused.after)

		g.Leave(inside[0], true)
		again := <-arrives(t.Context(), g, "many")
		require.NoError(t, again.err)
		late := <-arrives(t.Context(), g, "other")
		require.Equal(t, ErrOverloaded, late.err)
		require.Equal(t, maxStall, late.after)

		for _, p := range []*Tenant{inside[1], inside[2], again.tenant, e.tenant} {
			g.Leave(p, true)
		}
		require.Empty(t, g.tenants, "a tenant without statements is removed")
		require.Empty(t, g.pool.places)
		require.EqualValues(t, 1, g.tenantLimits.Load())
		require.EqualValues(t, 1, g.overloads.Load())
	})
}

func TestGateRefusesWhenQueueIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tightGate(1, 1)
		inside := <-arrives(t.Context(), g, "a")
		var waiting []<-chan entry
		for range maxQueue / 2 {
			waiting = append(waiting, arrives(t.Context(), g, "a"))
		}
		synctest.Wait()
		require.Equal(t, ErrOverloaded, g.Admit("a"))
		require.NoError(t, g.Admit("b"), "another tenant finds room")
		one := <-arrives(t.Context(), g, "a")
		require.Equal(t, ErrOverloaded, one.err)
		require.Zero(t, one.after, "at once")

		// Continued work waits nevertheless, and longer.
		began := arrives(Continue(t.Context()), g, "a")
		for _, w := range waiting { // the database answered no statement, so it may be the reason
			require.Equal(t, ErrOverloaded, (<-w).err)
		}
		time.Sleep(statementTimeout - maxStall - time.Millisecond)
		g.Leave(inside.tenant, true)
		e := <-began
		require.NoError(t, e.err)
		g.Leave(e.tenant, true)
		require.Empty(t, g.tenants)
	})
}

// Continued work of a merchant, such as lists, leaves the pool to new statements, also to those of
// the same merchant.
func TestGateLimitsContinuedWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(16, 64)
		var waiting []<-chan entry
		inside := []*Tenant{}
		for range 2 {
			inside = append(inside, (<-arrives(Continue(t.Context()), g, "a")).tenant)
		}
		for range 20 {
			waiting = append(waiting, arrives(Continue(t.Context()), g, "a"))
		}
		synctest.Wait()
		require.Len(t, g.pool.places, 2)
		for range 12 {
			e := <-arrives(t.Context(), g, "a")
			require.NoError(t, e.err)
			require.Zero(t, e.after)
			inside = append(inside, e.tenant)
		}
		for _, p := range inside {
			g.Leave(p, true)
		}
		var served sync.WaitGroup
		for _, w := range waiting {
			served.Go(func() {
				e := <-w
				require.NoError(t, e.err)
				g.Leave(e.tenant, true)
			})
		}
		served.Wait()
		require.Empty(t, g.tenants)
	})
}

// Many lists that are read at once, and their waiting batches, take no room from other waiting
// statements.
func TestGateContinuedWorkTakesNoRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(16, 64)
		ctx, cancel := context.WithCancel(t.Context())
		var reading []<-chan entry
		for range 2 * maxQueue {
			reading = append(reading, arrives(Continue(ctx), g, "a"))
		}
		synctest.Wait()
		require.Equal(t, 2*maxQueue-2, g.Stats().Waiting)
		require.NoError(t, g.Admit("b"))
		for range g.limit {
			e := <-arrives(t.Context(), g, "b")
			require.NoError(t, e.err)
			require.Zero(t, e.after)
			defer g.Leave(e.tenant, true)
		}
		cancel()
		for _, e := range reading {
			if e := <-e; e.err == nil {
				g.Leave(e.tenant, true)
			}
		}
	})
}

func TestGateLimitsLeaveAConnection(t *testing.T) {
	t.Parallel()
	for connections, limit := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 6: 4, 8: 6, 16: 12, 64: 48} {
		g := New(connections, 64)
		require.Equal(t, limit, g.limit, connections)
		if connections > 2 {
			require.Less(t, g.limit+g.continuedLimit, connections)
		}
	}
}

// A statement that waited for its tenant's limit, which moved, may then wait as long for the pool.
func TestGateTimesEachQueueSeparately(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tightGate(2, 1)
		first := <-arrives(t.Context(), g, "a")
		other := <-arrives(t.Context(), g, "b")
		second := arrives(t.Context(), g, "a")
		synctest.Wait()
		third := arrives(t.Context(), g, "a")
		time.Sleep(maxStall * 6 / 10)
		g.Leave(first.tenant, true)
		e := <-second
		require.NoError(t, e.err)
		time.Sleep(maxStall * 6 / 10)
		newcomer := arrives(t.Context(), g, "c") // waits for the pool before the third statement
		synctest.Wait()
		g.Leave(e.tenant, true)
		c := <-newcomer
		require.NoError(t, c.err)
		time.Sleep(maxStall / 10)
		g.Leave(other.tenant, true)
		e = <-third
		require.NoError(t, e.err)
		require.Equal(t, maxStall*13/10, e.after)
		g.Leave(e.tenant, true)
		g.Leave(c.tenant, true)
	})
}

// Statements wait in a queue that moves, in order, for up to maxWait.
func TestGateWaitsWhileQueueMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tightGate(1, 1)
		inside := <-arrives(t.Context(), g, "a")
		var waiting []<-chan entry
		for range 5 {
			waiting = append(waiting, arrives(t.Context(), g, "a"))
			synctest.Wait()
		}
		for i, w := range waiting[:4] { // one every 700 ms
			time.Sleep(700 * time.Millisecond)
			g.Leave(inside.tenant, true)
			inside = <-w
			require.NoError(t, inside.err, i)
			require.Equal(t, time.Duration(i+1)*700*time.Millisecond, inside.after)
		}
		last := <-waiting[4]
		require.Equal(t, ErrTenantLimit, last.err)
		require.Equal(t, maxWait, last.after)

		// A statement that the database did not answer does not count as progress.
		stuck := arrives(t.Context(), g, "a")
		time.Sleep(maxStall - time.Millisecond)
		other := arrives(t.Context(), g, "b")
		synctest.Wait()
		g.Leave(inside.tenant, false)
		e := <-other
		require.NoError(t, e.err)
		late := <-stuck
		require.Equal(t, ErrOverloaded, late.err)
		require.Equal(t, maxStall, late.after)
		g.Leave(e.tenant, true)
		require.Empty(t, g.tenants)
	})
}

// However many statements flood the gate, a new tenant's statement may wait, and is served before
// all of them are.
func TestGateHasRoomForNewTenants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tightGate(4, 3)
		for i := range 2 * maxQueue {
			go func() {
				if p, err := g.Enter(t.Context(), string(rune('a'+i%10))); err == nil {
					time.Sleep(time.Millisecond)
					g.Leave(p, true)
				}
			}()
		}
		synctest.Wait()
		require.Greater(t, g.waiting.Load(), int32(maxQueue*9/10))
		require.LessOrEqual(t, g.waiting.Load(), int32(maxQueue))
		require.NoError(t, g.Admit("new"))
		e := <-arrives(t.Context(), g, "new")
		require.NoError(t, e.err)
		require.Less(t, e.after, maxQueue/4*time.Millisecond)
		g.Leave(e.tenant, true)
		time.Sleep(maxWait)
		synctest.Wait()
		require.Empty(t, g.tenants)
		require.Zero(t, g.waiting.Load())
	})
}

// If many tenants flood the gate with few statements each, no statement waits for long: one that
// would is refused at once, unless its tenant is new.
func TestGateRefusesLongWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const takes, flooding = 40 * time.Millisecond, 3 * time.Second
		g := New(4, 64)
		var mu sync.Mutex
		var everybody sync.WaitGroup
		var served, refused int
		var longest, longestRefusal time.Duration
		visit := func(name string) error {
			e := <-arrives(t.Context(), g, name)
			if e.err == nil {
				time.Sleep(takes)
				g.Leave(e.tenant, true)
			}
			mu.Lock()
			defer mu.Unlock()
			if e.err == nil {
				longest = max(longest, e.after)
				served++
			} else {
				refused++
				longestRefusal = max(longestRefusal, e.after)
			}
			return e.err
		}
		for i := range int(300 * flooding / time.Second) { // three times the capacity
			everybody.Go(func() { _ = visit(string(rune('a' + i%10))) })
			time.Sleep(time.Second / 300)
		}
		require.NoError(t, g.Admit("new"))
		require.NoError(t, visit("new"))
		everybody.Wait()
		require.Greater(t, served, int(100*flooding/time.Second), "the gate kept serving")
		require.Greater(t, refused, 400)
		require.Less(t, longest, 2*maxExpectedWait, "waits are longer until the service rate is known")
		require.Zero(t, longestRefusal, "refusals are immediate")
		require.Empty(t, g.tenants)
	})
}

// A pause of the whole machine does not make the pool count as slow. A pool that becomes slow
// counts as slow soon.
func TestServiceRateDecays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &New(1, 1).rate
		moves := func(length, each time.Duration) {
			for range length / each {
				time.Sleep(each)
				p.observe(true)
			}
		}
		moves(5*time.Second, time.Millisecond)
		require.InDelta(t, time.Millisecond, p.mean(), float64(time.Millisecond/50))
		time.Sleep(200 * time.Millisecond)
		p.observe(true)
		require.Less(t, p.mean(), 5*time.Millisecond/4)
		p.observe(false)
		time.Sleep(time.Hour) // no statement waits
		moves(time.Second, time.Millisecond)
		require.Less(t, p.mean(), 5*time.Millisecond/4)
		moves(2*time.Second, 4*time.Millisecond)
		require.Greater(t, p.mean(), 5*time.Millisecond/2)
	})
}

func TestGateForgetsCancelledWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tightGate(1, 1)
		inside := <-arrives(t.Context(), g, "a")
		for _, name := range []string{"a", "b"} { // one waits for the tenant's limit, one for the pool
			ctx, cancel := context.WithCancel(t.Context())
			gone := arrives(ctx, g, name)
			synctest.Wait()
			cancel()
			e := <-gone
			require.Equal(t, context.Canceled, e.err)
		}
		require.Zero(t, g.overloads.Load()+g.tenantLimits.Load(), "a cancelled wait is no refusal")
		g.Leave(inside.tenant, true)
		next := <-arrives(t.Context(), g, "b")
		require.NoError(t, next.err)
		require.Zero(t, next.after)
		g.Leave(next.tenant, true)
		require.Empty(t, g.tenants)
	})
}

// Under load, no tenant exceeds its limit, the pool is never exceeded, and afterwards the gate is
// empty.
func TestGateUnderLoad(t *testing.T) {
	t.Parallel()
	g := tightGate(5, 3)
	var mu sync.Mutex
	inside, of := 0, map[string]int{}
	var everybody sync.WaitGroup
	for i := range 200 {
		everybody.Go(func() {
			name := string(rune('a' + i%4))
			p, err := g.Enter(t.Context(), name)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside++
			of[name]++
			if inside > 5 || of[name] > 3 {
				t.Errorf("%d inside, %d of %s", inside, of[name], name)
			}
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			inside--
			of[name]--
			mu.Unlock()
			g.Leave(p, true)
		})
	}
	everybody.Wait()
	require.Empty(t, g.tenants)
	require.Empty(t, g.pool.places)
	require.Zero(t, g.waiting.Load())
}
