package store

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

type onlyNumber struct{ number }

// When the statement of many goes wrong each of them is told, and those who come next are not held up by it.
func TestGathererSurvives(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ends func(*gate, *party)
		want Code
	}{
		"a panic":               {func(g *gate, holds *party) { g.leave(holds, nil) }, Internal},
		"that nobody is let in": {func(*gate, *party) {}, Unavailable}, // until they have waited for too long
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &lookUps{gate: tightGate(1, 1)}
				asked := 0
				g := newGatherer[int, onlyNumber](l, "", func(all []int) []any { asked = len(all); panic("at the disco") })
				for range 2 {
					asked = 0
					holds, err := l.gate.enter(t.Context(), "other")
					require.NoError(t, err)
					var callers sync.WaitGroup
					for i := range 10 {
						callers.Go(func() {
							if _, err := g.ask(context.Background(), known, i); AsError(err).Code != c.want {
								t.Error(err)
							}
						})
					}
					synctest.Wait()
					require.EqualValues(t, 1, l.gate.waiting.Load(), "of ten")
					c.ends(l.gate, holds)
					callers.Wait()
					require.Equal(t, c.want == Internal, asked == 10)
					if c.want == Unavailable {
						l.gate.leave(holds, nil)
					}
					require.Empty(t, g.waiting)
					require.Empty(t, l.gate.parties)
				}
			})
		})
	}
}
