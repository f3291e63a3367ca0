package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
)

// presented returns a digest and a credential for a name.
func presented(name string) (Digest, store.Credential) {
	return sha256.Sum256([]byte(name)), store.Credential{
		KeyID: "key_" + name, Access: store.ReadAccess, Merchant: store.Merchant{ID: "merchant_" + name},
	}
}

// inBubble runs a test in which time passes only while every goroutine waits, so that all times are
// exact. It fails when a goroutine is left.
func inBubble(t *testing.T, name string, test func(*testing.T, *cache)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCache()
			defer c.close()
			test(t, c)
		})
	})
}

func TestCredentialCache(t *testing.T) {
	t.Parallel()
	digest, credential := presented("a")
	errRefused := store.NewError(store.Unauthenticated)
	// fetching returns a fetch that counts its calls, takes this time, and finds the credential or
	// fails.
	fetching := func(count *int, takes, lifetime time.Duration, err error) fetch {
		return func(context.Context) (store.Credential, time.Duration, error) {
			*count++
			time.Sleep(takes)
			if err != nil {
				return store.Credential{}, 0, err
			}
			return credential, lifetime, nil
		}
	}
	isCached := func(c *cache) bool { _, ok := c.cached(digest); return ok }

	for name, c := range map[string]struct{ takes, lifetime, cached time.Duration }{
		"a key for 5 s, counted from before it was looked up": {100 * time.Millisecond, credentialLifetime, 5 * time.Second},
		"what was found in no time for 5 s":                   {0, credentialLifetime, 5 * time.Second},
		"a token with a long life for 5 s":                    {time.Millisecond, time.Hour, 5 * time.Second},
		"a token that expires before only until then":         {10 * time.Millisecond, 30 * time.Millisecond, 30 * time.Millisecond},
		"a token that expires late only until then":           {10 * time.Millisecond, 4 * time.Second, 4 * time.Second},
		"nothing that took 5 s to find":                       {5500 * time.Millisecond, credentialLifetime, 0},
		"no token that expired while it was looked up":        {50 * time.Millisecond, 30 * time.Millisecond, 0},
	} {
		inBubble(t, "holds "+name, func(t *testing.T, cache *cache) {
			start, count := time.Now(), 0
			got, err := cache.load(t.Context(), digest, fetching(&count, c.takes, c.lifetime, nil))
			require.NoError(t, err)
			require.Equal(t, credential, got.Credential)
			require.Equal(t, c.cached > 0, isCached(cache))
			if c.cached > 0 {
				time.Sleep(c.cached - time.Since(start) - time.Nanosecond)
				got, ok := cache.cached(digest)
				require.True(t, ok)
				require.Equal(t, credential, got.Credential)
				time.Sleep(time.Nanosecond)
			}
			require.False(t, isCached(cache), "after %v", time.Since(start))
			require.Equal(t, 1, count)
			_, err = cache.load(t.Context(), digest, fetching(&count, 0, credentialLifetime, nil))
			require.NoError(t, err)
			require.Equal(t, 2, count)
		})
	}

	inBubble(t, "renews a credential that is used after half of its lifetime, and nobody waits", func(t *testing.T, c *cache) {
		start, count := time.Now(), 0
		at := func(instant time.Duration) { time.Sleep(instant - time.Since(start)) }
		use := func(ctx context.Context) {
			before := time.Now()
			got, err := c.get(ctx, digest, func() (fetch, error) { return fetching(&count, 100*time.Millisecond, credentialLifetime, nil), nil })
			require.NoError(t, err)
			require.Equal(t, credential, got.Credential)
			require.Equal(t, before, time.Now())
			synctest.Wait()
		}
		_, err := c.load(t.Context(), digest, fetching(new(int), 0, credentialLifetime, nil))
		require.NoError(t, err)
		at(2500*time.Millisecond - time.Nanosecond)
		use(t.Context())
		require.Zero(t, count)
		at(2500 * time.Millisecond)
		gone, leave := context.WithCancel(t.Context())
		leave()
		use(gone)
		require.Equal(t, 1, count)
		use(t.Context())
		at(5000*time.Millisecond - time.Nanosecond) // 2.5 s after the renewal began
		use(t.Context())
		require.Equal(t, 1, count, "one use of each age renews")
		at(5000 * time.Millisecond)
		use(t.Context())
		require.Equal(t, 2, count)
		at(10*time.Second - time.Nanosecond)
		require.True(t, isCached(c))
		at(10 * time.Second)
		require.False(t, isCached(c), "a credential that nobody uses is not renewed")
		require.Equal(t, 2, count)
	})

	inBubble(t, "renews once, and ends a credential as soon as it is refused", func(t *testing.T, c *cache) {
		for _, renewal := range []struct {
			err    error
			cached bool
		}{{errRefused, false}, {store.NewError(store.Unavailable), true}} {
			c.entries.Purge()
			count := 0
			prepare := func() (fetch, error) { return fetching(&count, 10*time.Millisecond, 0, renewal.err), nil }
			_, err := c.load(t.Context(), digest, fetching(&count, 0, credentialLifetime, nil))
			require.NoError(t, err)
			time.Sleep(4 * time.Second)
			_, err = c.get(t.Context(), digest, prepare)
			require.NoError(t, err)
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			require.Equal(t, 2, count)
			require.Equal(t, renewal.cached, isCached(c))
			for range 989 {
				time.Sleep(time.Millisecond)
				if renewal.cached {
					_, err = c.get(t.Context(), digest, prepare)
					require.NoError(t, err, "the last good answer is used to its end")
				}
			}
			require.Equal(t, 2, count)
			time.Sleep(time.Millisecond)
			require.False(t, isCached(c))
		}
	})

	inBubble(t, "does not renew a token that is about to expire", func(t *testing.T, c *cache) {
		_, err := c.load(t.Context(), digest, fetching(new(int), 0, 2*time.Second, nil))
		require.NoError(t, err)
		for range 1999 {
			time.Sleep(time.Millisecond)
			got, ok := c.cached(digest)
			require.True(t, ok)
			require.False(t, got.takeRenewal())
		}
		time.Sleep(time.Millisecond)
		require.False(t, isCached(c))
	})

	inBubble(t, "fetches once for all who ask at once, and for those who come just after", func(t *testing.T, c *cache) {
		count := 0
		fetch := fetching(&count, 20*time.Millisecond, credentialLifetime, nil)
		var callers sync.WaitGroup
		for range 200 {
			callers.Go(func() {
				if got, err := c.load(t.Context(), digest, fetch); err != nil || got.Credential != credential {
					t.Error(got, err)
				}
			})
		}
		callers.Wait()
		_, err := c.load(t.Context(), digest, fetch) // the cache missed just before
		require.NoError(t, err)
		require.Equal(t, 1, count)
	})

	inBubble(t, "waits for each caller as long as its context lasts, and for the fetch in any case", func(t *testing.T, c *cache) {
		count := 0
		fetch := fetching(&count, 100*time.Millisecond, credentialLifetime, nil)
		leaves := func(ctx context.Context, want error) {
			start := time.Now()
			got, err := c.load(ctx, digest, fetch)
			if store.AsError(err).Code != store.Unavailable || !errors.Is(err, want) || got != nil || time.Since(start) > 10*time.Millisecond {
				t.Error(got, err, time.Since(start))
			}
		}
		first, leave := context.WithCancel(t.Context())
		second, stop := context.WithTimeout(t.Context(), 9*time.Millisecond)
		defer stop()
		var callers sync.WaitGroup
		callers.Go(func() { leaves(first, context.Canceled) })
		synctest.Wait()
		callers.Go(func() { leaves(second, context.DeadlineExceeded) })
		callers.Go(func() {
			if got, err := c.load(t.Context(), digest, fetch); err != nil || got.Credential != credential {
				t.Error(got, err)
			}
		})
		synctest.Wait()
		leave()
		callers.Wait()
		require.Equal(t, 1, count)

		time.Sleep(credentialLifetime)
		leaves(first, context.Canceled)
		synctest.Wait()
		require.Equal(t, 1, count, "no fetch begins for a caller that has left")
		alone, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, leave)
		leaves(alone, context.Canceled)
		time.Sleep(100 * time.Millisecond)
		require.True(t, isCached(c), "though nobody waited any more")
		require.Equal(t, 2, count)
	})

	inBubble(t, "tells no caller an answer that is older than 5 s", func(t *testing.T, c *cache) {
		start := time.Now()
		at := func(instant time.Duration) { time.Sleep(instant - time.Since(start)) }
		// It looks up at once, and returns after 5.5 s. By then the key is revoked.
		slow := func(context.Context) (store.Credential, time.Duration, error) {
			at(5500 * time.Millisecond)
			return credential, credentialLifetime, nil
		}
		var callers sync.WaitGroup
		for _, instant := range []time.Duration{0, 4999 * time.Millisecond} {
			callers.Go(func() {
				at(instant)
				got, err := c.load(t.Context(), digest, slow)
				if err != nil || got.Credential != credential || time.Since(start) != 5500*time.Millisecond {
					t.Error(got, err, time.Since(start))
				}
			})
		}
		at(5001 * time.Millisecond)
		count := 0
		_, err := c.load(t.Context(), digest, fetching(&count, time.Millisecond, 0, errRefused))
		require.Equal(t, errRefused, err)
		require.Equal(t, 1, count)
		require.Equal(t, 5002*time.Millisecond, time.Since(start))
		callers.Wait()
		require.False(t, isCached(c))
	})

	inBubble(t, "holds what was looked up last", func(t *testing.T, c *cache) {
		var callers sync.WaitGroup
		callers.Go(func() {
			_, _ = c.load(t.Context(), digest, fetching(new(int), 5900*time.Millisecond, credentialLifetime, nil))
		})
		time.Sleep(5500 * time.Millisecond)
		_, err := c.load(t.Context(), digest, fetching(new(int), 100*time.Millisecond, credentialLifetime, nil))
		require.NoError(t, err)
		callers.Wait()
		time.Sleep(4600*time.Millisecond - time.Nanosecond)
		require.True(t, isCached(c))
		time.Sleep(time.Nanosecond)
		require.False(t, isCached(c))
	})

	inBubble(t, "admits nobody with a token that expired before they came", func(t *testing.T, c *cache) {
		first, second := 0, 0
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := c.load(t.Context(), digest, fetching(&first, 100*time.Millisecond, 30*time.Millisecond, nil)); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(30 * time.Millisecond)
		_, err := c.load(t.Context(), digest, fetching(&second, 0, 0, errRefused))
		require.Equal(t, errRefused, err)
		require.Equal(t, []int{1, 1}, []int{first, second})
		callers.Wait()
	})

	inBubble(t, "knows a credential from when it is found until it is refused", func(t *testing.T, c *cache) {
		require.Equal(t, tenantUnknown, c.tenant(digest))
		for range 2 {
			_, err := c.load(t.Context(), digest, fetching(new(int), 0, credentialLifetime, nil))
			require.NoError(t, err)
			require.Equal(t, tenantKnown, c.tenant(digest))
			time.Sleep(time.Hour)
			require.Equal(t, tenantKnown, c.tenant(digest))
			_, err = c.load(t.Context(), digest, fetching(new(int), 0, 0, store.NewError(store.Unavailable)))
			require.Error(t, err)
			require.Equal(t, tenantKnown, c.tenant(digest))
			_, err = c.load(t.Context(), digest, fetching(new(int), 0, 0, errRefused))
			require.Equal(t, errRefused, err)
			require.Equal(t, tenantUnknown, c.tenant(digest))
		}
	})

	inBubble(t, "gives fetches nothing of a request, and ends them when it is closed", func(t *testing.T, c *cache) {
		ctx := store.WithCredential(t.Context(), credential)
		time.AfterFunc(time.Second, c.close)
		_, err := c.load(ctx, digest, func(ctx context.Context) (store.Credential, time.Duration, error) {
			_, ok := store.CredentialFrom(ctx)
			_, ends := ctx.Deadline()
			if ok || ends {
				t.Error("it has a credential or a deadline of a request")
			}
			<-ctx.Done()
			return store.Credential{}, 0, store.Outage(ctx.Err())
		})
		require.Equal(t, store.Unavailable, store.AsError(err).Code)
	})

	inBubble(t, "survives a fetch that panics", func(t *testing.T, c *cache) {
		_, err := c.load(t.Context(), digest, func(context.Context) (store.Credential, time.Duration, error) { panic("at the disco") })
		require.ErrorContains(t, err, "panic: at the disco")
		require.Equal(t, store.Internal, store.AsError(err).Code)
		require.Equal(t, store.NewError(store.Internal).Message, store.AsError(err).Message)
		count := 0
		_, err = c.load(t.Context(), digest, fetching(&count, 0, credentialLifetime, nil))
		require.NoError(t, err)
	})

	inBubble(t, "is bounded, and junk leaves nothing in it", func(t *testing.T, c *cache) {
		require.Equal(t, 50_000, maxCredentials)
		count := 0
		find := func(name string) {
			digest, credential := presented(name)
			got, err := c.get(t.Context(), digest, func() (fetch, error) {
				return func(context.Context) (store.Credential, time.Duration, error) {
					count++
					return credential, credentialLifetime, nil
				}, nil
			})
			require.NoError(t, err)
			require.Equal(t, credential, got.Credential)
		}
		const more = maxCredentials + 10_000
		for i := range more {
			find(fmt.Sprint(i))
			find("used all the time")
			require.LessOrEqual(t, c.entries.Len(), maxCredentials)
		}
		require.Equal(t, maxCredentials, c.entries.Len())
		require.Equal(t, more+1, count, "a credential that is used is not evicted")

		c.entries.Purge()
		find("honest")
		refused := 0
		for i := range more {
			digest, _ := presented(fmt.Sprint("junk", i))
			_, err := c.load(t.Context(), digest, fetching(&refused, 0, 0, errRefused))
			require.Equal(t, errRefused, err)
		}
		require.Equal(t, more, refused)
		require.Equal(t, 1, c.entries.Len())
		find("honest")
		require.Equal(t, more+2, count)
	})
}
