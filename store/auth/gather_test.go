package auth

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

type onlyNumber struct{ number }

// When the statement of many goes wrong each of them is told, and those who come next are not held up by it.
func TestGathererSurvives(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lets bool          // the statement have its turn
		last time.Duration // when the last of them comes
		want Code
	}{
		"a panic":               {true, 0, Internal},
		"that nobody is let in": {false, maxWait, Unavailable}, // as the first gives up
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, asked := &lookUps{gate: tightGate(1, 1)}, 0
				a := &Authenticator{keys: newGatherer[Digest, foundKey](l, "", func(all []Digest) []any { asked = len(all); panic("at the disco") })}
				for range 2 {
					asked = 0
					holds, err := l.gate.enter(t.Context(), "other")
					require.NoError(t, err)
					var callers sync.WaitGroup
					for i := range 10 {
						callers.Go(func() {
							if i == 9 {
								time.Sleep(c.last)
							}
							if _, err := a.lookUpKey(context.Background(), known, digest{byte(i)}); AsError(err).Code != c.want {
								t.Error(err)
							}
						})
					}
					time.Sleep(maxWait / 2)
					require.EqualValues(t, 1, l.gate.waiting.Load(), "of all of them")
					if c.lets {
						l.gate.leave(holds, nil)
					}
					callers.Wait()
					if !c.lets {
						l.gate.leave(holds, nil)
					}
					require.Equal(t, c.lets, asked == 10)
					require.Empty(t, a.keys.waiting)
					require.Zero(t, a.keys.asking[known])
					require.Empty(t, l.gate.parties)
				}
			})
		})
	}
}

// However many statements their questions make, no more callers wait than may, and others find room.
func TestGathererIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &lookUps{gate: tightGate(1, 1)}
		holds, err := l.gate.enter(t.Context(), "other")
		require.NoError(t, err)
		g := newGatherer[int, onlyNumber](l, "", func([]int) []any { panic("nobody is let in") })
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for i := range maxAsking {
			callers.Go(func() { _, _ = g.ask(ctx, unknown, i) })
		}
		synctest.Wait()
		require.EqualValues(t, maxAsking/maxGathered, l.gate.waiting.Load())
		start := time.Now()
		_, err = g.ask(ctx, unknown, 0)
		require.Equal(t, Unavailable, AsError(err).Code)
		require.Equal(t, start, time.Now())
		require.EqualValues(t, 1, l.gate.overloads.Load())
		callers.Go(func() { _, _ = g.ask(ctx, known, 0) })
		synctest.Wait()
		require.EqualValues(t, maxAsking/maxGathered+1, l.gate.waiting.Load())
		cancel()
		callers.Wait()
		require.Zero(t, g.asking[unknown]+g.asking[known])
		l.gate.leave(holds, nil)
	})
}
