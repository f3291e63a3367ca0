package store

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// tightGate is one where every statement is one too many.
func tightGate(connections, share int) *gate {
	g := newGate(connections, 1)
	g.share, g.atOnce = share, 0
	return g
}

// So many as may be here at once wait as long as that takes; one more does not.
func TestGateLetsThoseWaitWhoMayBeHere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(16, 64)
		require.Equal(t, 12, g.share)
		inside := []*party{}
		for range 12 {
			inside = append(inside, (<-arrives(t.Context(), g, "a")).party)
		}
		var waiting []<-chan entry
		for range 53 {
			waiting = append(waiting, arrives(t.Context(), g, "a"))
			synctest.Wait()
		}
		other := <-arrives(t.Context(), g, "b")
		require.NoError(t, other.err)
		g.leave(other.party, nil) // the database answers
		more := <-waiting[52]
		require.Equal(t, RateLimited, AsError(more.err).Code)
		require.Equal(t, maxWait, more.after)
		time.Sleep(maxStay - maxWait - time.Millisecond)
		g.leave(inside[0], nil)
		require.NoError(t, (<-waiting[0]).err)
		for _, w := range waiting[1:52] {
			e := <-w
			require.Equal(t, RateLimited, AsError(e.err).Code)
			require.Equal(t, maxStay, e.after)
		}
	})
}

// entry is how somebody fared at a gate.
type entry struct {
	party *party
	err   error
	after time.Duration
}

// arrives sends somebody to the gate.
func arrives(ctx context.Context, g *gate, name string) <-chan entry {
	result := make(chan entry, 1)
	began := time.Now()
	go func() {
		p, err := g.enter(ctx, name)
		result <- entry{p, err, time.Since(began)}
	}()
	return result
}

func TestGateLeavesSomethingToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tightGate(4, 3)
		var inside []*party
		for range 3 {
			e := <-arrives(t.Context(), g, "many")
			require.NoError(t, e.err)
			inside = append(inside, e.party)
		}
		fourth := arrives(t.Context(), g, "many")
		synctest.Wait()
		other := <-arrives(t.Context(), g, "other")
		require.NoError(t, other.err, "one connection is left")
		require.Zero(t, other.after)

		// The pool is full now: who waits for it waits for anybody, who waits for their own share for their own.
		third := arrives(t.Context(), g, "third")
		time.Sleep(maxWait / 2)
		g.leave(other.party, nil)
		e := <-third
		require.NoError(t, e.err)
		require.Equal(t, maxWait/2, e.after)
		refused := <-fourth
		require.Equal(t, RateLimited, AsError(refused.err).Code, "it is their own doing")
		require.Equal(t, maxWait, refused.after)

		g.leave(inside[0], nil)
		again := <-arrives(t.Context(), g, "many")
		require.NoError(t, again.err)
		late := <-arrives(t.Context(), g, "other")
		require.Equal(t, Unavailable, AsError(late.err).Code)
		require.Equal(t, maxWait, late.after)

		for _, p := range []*party{inside[1], inside[2], again.party, e.party} {
			g.leave(p, nil)
		}
		require.Empty(t, g.parties, "who is gone is forgotten")
		require.Empty(t, g.pool.places)
		require.EqualValues(t, 1, g.crowded.Load())
		require.EqualValues(t, 1, g.overloads.Load())
	})
}

func TestGateDoesNotWaitInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tightGate(1, 1)
		inside := <-arrives(t.Context(), g, "a")
		var waiting []<-chan entry
		for range maxWaiting / 2 {
			waiting = append(waiting, arrives(t.Context(), g, "a"))
		}
		synctest.Wait()
		require.Equal(t, Unavailable, AsError(g.admit("a")).Code)
		require.NoError(t, g.admit("b"), "there is room for others")
		one := <-arrives(t.Context(), g, "a")
		require.Equal(t, Unavailable, AsError(one.err).Code)
		require.Zero(t, one.after, "at once")

		// Who has begun something waits all the same, and for longer.
		began := arrives(continues(t.Context()), g, "a")
		for _, w := range waiting { // the database has answered nobody: it may be that which is slow
			require.Equal(t, Unavailable, AsError((<-w).err).Code)
		}
		time.Sleep(patience - maxWait - time.Millisecond)
		g.leave(inside.party, nil)
		e := <-began
		require.NoError(t, e.err)
		g.leave(e.party, nil)
		require.Empty(t, g.parties)
	})
}

// What a merchant continues, such as its lists, leaves the pool to what others and the merchant itself begin.
func TestGateLetsLittleBeContinuedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(16, 64)
		var waiting []<-chan entry
		inside := []*party{}
		for range 2 {
			inside = append(inside, (<-arrives(continues(t.Context()), g, "a")).party)
		}
		for range 20 {
			waiting = append(waiting, arrives(continues(t.Context()), g, "a"))
		}
		synctest.Wait()
		require.Len(t, g.pool.places, 2)
		for range 12 {
			e := <-arrives(t.Context(), g, "a")
			require.NoError(t, e.err)
			require.Zero(t, e.after)
			inside = append(inside, e.party)
		}
		for _, p := range inside {
			g.leave(p, nil)
		}
		var served sync.WaitGroup
		for _, w := range waiting {
			served.Go(func() {
				e := <-w
				require.NoError(t, e.err)
				g.leave(e.party, nil)
			})
		}
		served.Wait()
		require.Empty(t, g.parties)
	})
}

// Lists that many read at once, and what waits to be continued with them, leave the room that others wait in as it is.
func TestGateHasRoomBesideWhatIsContinued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(16, 64)
		ctx, cancel := context.WithCancel(t.Context())
		var reading []<-chan entry
		for range 2 * maxWaiting {
			reading = append(reading, arrives(continues(ctx), g, "a"))
		}
		synctest.Wait()
		require.Equal(t, 2*maxWaiting-2, g.stats(sql.DBStats{}).Waiting)
		require.NoError(t, g.admit("b"))
		for range g.share {
			e := <-arrives(t.Context(), g, "b")
			require.NoError(t, e.err)
			require.Zero(t, e.after)
			defer g.leave(e.party, nil)
		}
		cancel()
		for _, e := range reading {
			if e := <-e; e.err == nil {
				g.leave(e.party, nil)
			}
		}
	})
}

func TestGateSharesLeaveAConnection(t *testing.T) {
	t.Parallel()
	for connections, share := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 6: 4, 8: 6, 16: 12, 64: 48} {
		g := newGate(connections, 64)
		require.Equal(t, share, g.share, connections)
		if connections > 2 {
			require.Less(t, g.share+g.rest, connections)
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
		time.Sleep(maxWait * 6 / 10)
		g.leave(first.party, nil)
		e := <-second
		require.NoError(t, e.err)
		time.Sleep(maxWait * 6 / 10)
		newcomer := arrives(t.Context(), g, "c") // waits for the pool ahead of the third
		synctest.Wait()
		g.leave(e.party, nil)
		c := <-newcomer
		require.NoError(t, c.err)
		time.Sleep(maxWait / 10)
		g.leave(other.party, nil)
		e = <-third
		require.NoError(t, e.err)
		require.Equal(t, maxWait*13/10, e.after)
		g.leave(e.party, nil)
		g.leave(c.party, nil)
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
			g.leave(inside.party, nil)
			inside = <-w
			require.NoError(t, inside.err, i)
			require.Equal(t, time.Duration(i+1)*700*time.Millisecond, inside.after)
		}
		last := <-waiting[4]
		require.Equal(t, RateLimited, AsError(last.err).Code)
		require.Equal(t, maxStay, last.after)

		// What fails for want of a database is no movement.
		stuck := arrives(t.Context(), g, "a")
		time.Sleep(maxWait - time.Millisecond)
		other := arrives(t.Context(), g, "b")
		synctest.Wait()
		g.leave(inside.party, context.DeadlineExceeded)
		e := <-other
		require.NoError(t, e.err)
		late := <-stuck
		require.Equal(t, Unavailable, AsError(late.err).Code)
		require.Equal(t, maxWait, late.after)
		g.leave(e.party, nil)
		require.Empty(t, g.parties)
	})
}

// However many flood, who comes anew may wait for a turn, and gets it before those who flood get all of theirs.
func TestGateHasRoomForNewcomers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tightGate(4, 3)
		for i := range 2 * maxWaiting {
			go func() {
				if p, err := g.enter(t.Context(), string(rune('a'+i%10))); err == nil {
					time.Sleep(time.Millisecond)
					g.leave(p, nil)
				}
			}()
		}
		synctest.Wait()
		require.Greater(t, g.waiting.Load(), int32(maxWaiting*9/10))
		require.LessOrEqual(t, g.waiting.Load(), int32(maxWaiting))
		require.NoError(t, g.admit("new"))
		e := <-arrives(t.Context(), g, "new")
		require.NoError(t, e.err)
		require.Less(t, e.after, maxWaiting/4*time.Millisecond)
		g.leave(e.party, nil)
		time.Sleep(maxStay)
		synctest.Wait()
		require.Empty(t, g.parties)
		require.Zero(t, g.waiting.Load())
	})
}

// Where many flood, each a little, nobody waits for long: who would have to is refused at once, but for who comes anew.
func TestGateRefusesWhoWouldWaitForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const takes, flooding = 40 * time.Millisecond, 3 * time.Second
		g := newGate(4, 64)
		var mu sync.Mutex
		var everybody sync.WaitGroup
		var served, refused int
		var longest, longestRefusal time.Duration
		visit := func(name string) error {
			e := <-arrives(t.Context(), g, name)
			if e.err == nil {
				time.Sleep(takes)
				g.leave(e.party, nil)
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
		require.NoError(t, g.admit("new"))
		require.NoError(t, visit("new"))
		everybody.Wait()
		require.Greater(t, served, int(100*flooding/time.Second), "nothing stood still")
		require.Greater(t, refused, 400)
		require.Less(t, longest, 2*maxDelay, "a little more, until the pace is known")
		require.Zero(t, longestRefusal, "they hear at once")
		require.Empty(t, g.parties)
	})
}

// A moment in which nothing moves, as when the machine stands still, makes no slow pool; a pool that has become slow is known soon.
func TestPaceIsThatOfASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &newGate(1, 1).pace
		moves := func(length, each time.Duration) {
			for range length / each {
				time.Sleep(each)
				p.freed(true)
			}
		}
		moves(5*time.Second, time.Millisecond)
		require.InDelta(t, time.Millisecond, p.mean(), float64(time.Millisecond/50))
		time.Sleep(200 * time.Millisecond)
		p.freed(true)
		require.Less(t, p.mean(), 5*time.Millisecond/4)
		p.freed(false)
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
			require.Equal(t, Unavailable, AsError(e.err).Code)
			require.ErrorIs(t, e.err, context.Canceled)
		}
		require.Zero(t, g.overloads.Load()+g.crowded.Load(), "nobody refused them")
		g.leave(inside.party, nil)
		next := <-arrives(t.Context(), g, "b")
		require.NoError(t, next.err)
		require.Zero(t, next.after)
		g.leave(next.party, nil)
		require.Empty(t, g.parties)
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
			p, err := g.enter(t.Context(), name)
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
			g.leave(p, nil)
		})
	}
	everybody.Wait()
	require.Empty(t, g.parties)
	require.Empty(t, g.pool.places)
	require.Zero(t, g.waiting.Load())
}
