package auth

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
)

// 10,000 keys take turns at 2,500 requests/s, so that each is used every 4 s. From its second use
// on, at least 95 of 100 requests find the credential in the cache, though no answer is older than
// 5 s.
func TestTenThousandKeysInTurnAreCached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const keys, rate, rounds = 10_000, 2_500, 16 // rounds of 4 s
		c := newCache()
		defer c.close()
		fetches := 0
		var digests [keys]Digest
		for i := range digests {
			digests[i], _ = presented(fmt.Sprint(i))
		}
		var mu sync.Mutex
		fetchedAt := make(map[Digest]time.Time)
		var callers sync.WaitGroup
		for n := range rounds * keys {
			digest := digests[n%keys]
			if n == keys {
				callers.Wait()
				require.Zero(t, c.hits.Load())
				require.EqualValues(t, keys, c.misses.Swap(0))
				fetches = 0
			}
			callers.Go(func() {
				_, err := c.get(t.Context(), digest, func() (fetch, error) {
					return func(context.Context) (store.Credential, time.Duration, error) {
						started := time.Now()
						time.Sleep(3 * time.Millisecond)
						mu.Lock()
						defer mu.Unlock()
						fetches++
						fetchedAt[digest] = started
						return store.Credential{}, credentialLifetime, nil
					}, nil
				})
				mu.Lock()
				defer mu.Unlock()
				if age := time.Since(fetchedAt[digest]); err != nil || age >= credentialLifetime {
					t.Errorf("%v, an answer that is %v old", err, age)
				}
			})
			time.Sleep(time.Second / rate)
		}
		callers.Wait()
		time.Sleep(time.Second)
		synctest.Wait() // until the last renewals have ended
		uses := c.hits.Load() + c.misses.Load()
		require.EqualValues(t, (rounds-1)*keys, uses)
		require.GreaterOrEqual(t, float64(c.hits.Load())/float64(uses), 0.95)
		require.LessOrEqual(t, fetches, (rounds-1)*keys, "at most one query for each use")
	})
}
