package gate

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// tightGate is one where every statement is one too many.
func tightGate(connections, share int) *Gate {
	g := New(connections, 1)
	g.limit, g.concurrency = share, 0
	return g
}

// So many as may be here at once wait as long as that takes; one more does not.
func TestGateLetsThoseWaitWhoMayBeHere(t *testing.T) {
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

// entry is how somebody fared at a gate.
type entry struct {
	tenant *Tenant
	err    error
	after  time.Duration
}

// arrives sends somebody to the gate.
func arrives(ctx context.Context, g *Gate, name string) <-chan entry {
	result := make(chan entry, 1)
	began := time.Now()
	go func() {
		p, err := g.Enter(ctx, name)
		result <- entry{p, err, time.Since(began)}
	}()
	return result
}

func TestGateLeavesSomethingToOthers(t *testing.T) {
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
		require.NoError(t, other.err, "one connection is left")
		require.Zero(t, other.after)

		// The pool is full now: who waits for it waits for anybody, who waits for their own share for their own.
		third := arrives(t.Context(), g, "third")
		time.Sleep(maxStall / 2)
		g.Leave(other.tenant, true)
		e := <-third
		require.NoError(t, e.err)
		require.Equal(t, maxStall/2, e.after)
		refused := <-fourth
		require.Equal(t, ErrTenantLimit, refused.err, "it is their own doing")
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
		require.Empty(t, g.tenants, "who is gone is forgotten")
		require.Empty(t, g.pool.places)
		require.EqualValues(t, 1, g.tenantLimits.Load())
		require.EqualValues(t, 1, g.overloads.Load())
	})
}

func TestGateDoesNotWaitInVain(t *testing.T) {
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
		require.NoError(t, g.Admit("b"), "there is room for others")
		one := <-arrives(t.Context(), g, "a")
		require.Equal(t, ErrOverloaded, one.err)
		require.Zero(t, one.after, "at once")

		// Who has begun something waits all the same, and for longer.
		began := arrives(Continue(t.Context()), g, "a")
		for _, w := range waiting { // the database has answered nobody: it may be that which is slow
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

// What a merchant continues, such as its lists, leaves the pool to what others and the merchant itself begin.
func TestGateLetsLittleBeContinuedAtOnce(t *testing.T) {
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

// Lists that many read at once, and what waits to be continued with them, leave the room that others wait in as it is.
func TestGateHasRoomBesideWhatIsContinued(t *testing.T) {
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

func TestGateSharesLeaveAConnection(t *testing.T) {
	t.Parallel()
	for connections, share := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 6: 4, 8: 6, 16: 12, 64: 48} {
		g := New(connections, 64)
		require.Equal(t, share, g.limit, connections)
		if connections > 2 {
			require.Less(t, g.limit+g.continuedLimit, connections)
		}
	}
}

// Who has waited for their share, where it moved, has as long to wait for the pool.
func TestGateGivesEachQueueItsTime(t *testing.T) {
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
		newcomer := arrives(t.Context(), g, "c") // waits for the pool ahead of the third
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

// A queue that moves is worth waiting in, for a while, and is served in its order.
func TestGateWaitsWhereSomethingMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tightGate(1, 1)
		inside := <-arrives(t.Context(), g, "a")
		var waiting []<-chan entry
		for range 5 {
			waiting = append(waiting, arrives(t.Context(), g, "a"))
			synctest.Wait()
		}
		for i, w := range waiting[:4] { // one every seven tenths of a second
			time.Sleep(700 * time.Millisecond)
			g.Leave(inside.tenant, true)
			inside = <-w
			require.NoError(t, inside.err, i)
			require.Equal(t, time.Duration(i+1)*700*time.Millisecond, inside.after)
		}
		last := <-waiting[4]
		require.Equal(t, ErrTenantLimit, last.err)
		require.Equal(t, maxWait, last.after)

		// What fails for want of a database is no movement.
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

// However many flood, who comes anew may wait for a turn, and gets it before those who flood get all of theirs.
func TestGateHasRoomForNewcomers(t *testing.T) {
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

// Where many flood, each a little, nobody waits for long: who would have to is refused at once, but for who comes anew.
func TestGateRefusesWhoWouldWaitForLong(t *testing.T) {
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
		for i := range int(300 * flooding / time.Second) { // three times what can be answered
			everybody.Go(func() { _ = visit(string(rune('a' + i%10))) })
			time.Sleep(time.Second / 300)
		}
		require.NoError(t, g.Admit("new"))
		require.NoError(t, visit("new"))
		everybody.Wait()
		require.Greater(t, served, int(100*flooding/time.Second), "nothing stood still")
		require.Greater(t, refused, 400)
		require.Less(t, longest, 2*maxExpectedWait, "a little more, until the pace is known")
		require.Zero(t, longestRefusal, "they hear at once")
		require.Empty(t, g.tenants)
	})
}

// A moment in which nothing moves, as when the machine stands still, makes no slow pool; a pool that has become slow is known soon.
func TestPaceIsThatOfASecond(t *testing.T) {
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
		time.Sleep(time.Hour) // nobody waits
		moves(time.Second, time.Millisecond)
		require.Less(t, p.mean(), 5*time.Millisecond/4)
		moves(2*time.Second, 4*time.Millisecond)
		require.Greater(t, p.mean(), 5*time.Millisecond/2)
	})
}

func TestGateLetsGoOfWhoLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tightGate(1, 1)
		inside := <-arrives(t.Context(), g, "a")
		for _, name := range []string{"a", "b"} { // one waits for the share, one for the pool
			ctx, cancel := context.WithCancel(t.Context())
			gone := arrives(ctx, g, name)
			synctest.Wait()
			cancel()
			e := <-gone
			require.Equal(t, context.Canceled, e.err)
		}
		require.Zero(t, g.overloads.Load()+g.tenantLimits.Load(), "nobody refused them")
		g.Leave(inside.tenant, true)
		next := <-arrives(t.Context(), g, "b")
		require.NoError(t, next.err)
		require.Zero(t, next.after)
		g.Leave(next.tenant, true)
		require.Empty(t, g.tenants)
	})
}

// However they come and go, never more are inside than may be, and nothing is left behind.
func TestGateUnderACrowd(t *testing.T) {
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
