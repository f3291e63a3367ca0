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

	"lumen/store"

	"github.com/stretchr/testify/require"
)

// presenting returns the digest of a secret of this name, and the credential that it stands for.
func presenting(name string) (Digest, store.Credential) {
	return sha256.Sum256([]byte(name)), store.Credential{KeyID: "key_" + name, Access: store.ReadAccess, Merchant: store.Merchant{ID: "merchant_" + name}}
}

// inBubble runs a test in which time passes only while everybody waits, so that instants are exact. It fails when a
// goroutine is left.
func inBubble(t *testing.T, name string, test func(*testing.T, *credentialCache)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCredentialCache()
			defer c.close()
			test(t, c)
		})
	})
}

func TestCredentialCache(t *testing.T) {
	t.Parallel()
	presented, credential := presenting("a")
	var (
		errRefused = store.NewError(store.Unauthenticated)
		looks      = func(count *int, takes, lifetime time.Duration, err error) credentialLook {
			return func(context.Context) (store.Credential, time.Duration, error) {
				*count++
				time.Sleep(takes)
				if err != nil {
					return store.Credential{}, 0, err
				}
				return credential, lifetime, nil
			}
		}
		isKept = func(c *credentialCache) bool { _, _, ok := c.get(presented); return ok }
	)

	for name, c := range map[string]struct{ takes, lifetime, kept time.Duration }{
		"a key's, counted from before it was looked up": {100 * time.Millisecond, credentialLifetime, 500 * time.Millisecond},
		"one found in no time":                          {0, credentialLifetime, 500 * time.Millisecond},
		"that of a token with a long life":              {time.Millisecond, time.Hour, 500 * time.Millisecond},
		"that of a token that expires before":           {10 * time.Millisecond, 30 * time.Millisecond, 30 * time.Millisecond},
		"one that was long in coming":                   {600 * time.Millisecond, credentialLifetime, 0},
		"that of a token that has expired meanwhile":    {50 * time.Millisecond, 30 * time.Millisecond, 0},
	} {
		inBubble(t, "keeps "+name, func(t *testing.T, cache *credentialCache) {
			start, count := time.Now(), 0
			got, err := cache.lookUp(t.Context(), presented, looks(&count, c.takes, c.lifetime, nil))
			require.NoError(t, err)
			require.Equal(t, credential, got.Credential)
			require.Equal(t, c.kept > 0, isKept(cache))
			if c.kept > 0 {
				time.Sleep(c.kept - time.Since(start) - time.Nanosecond)
				got, _, ok := cache.get(presented)
				require.True(t, ok)
				require.Equal(t, credential, got.Credential)
				time.Sleep(time.Nanosecond)
			}
			require.False(t, isKept(cache), "after %v", time.Since(start))
			require.Equal(t, 1, count)
			_, err = cache.lookUp(t.Context(), presented, looks(&count, 0, credentialLifetime, nil))
			require.NoError(t, err)
			require.Equal(t, 2, count)
		})
	}

	inBubble(t, "has one of those who come looked up again before the end, and nobody waits", func(t *testing.T, c *credentialCache) {
		start, count := time.Now(), 0
		at := func(instant time.Duration) { time.Sleep(instant - time.Since(start)) }
		look := looks(&count, 100*time.Millisecond, credentialLifetime, nil)
		ages := func() bool {
			got, ages, ok := c.get(presented)
			require.True(t, ok)
			require.Equal(t, credential, got.Credential)
			return ages
		}
		_, err := c.lookUp(t.Context(), presented, looks(new(int), 0, credentialLifetime, nil))
		require.NoError(t, err)
		at(350*time.Millisecond - time.Nanosecond)
		require.False(t, ages())
		at(350 * time.Millisecond)
		require.True(t, ages())
		require.False(t, ages(), "the others need not")
		gone, leave := context.WithCancel(t.Context())
		leave()
		c.renew(gone, presented, look)
		require.Equal(t, start.Add(350*time.Millisecond), time.Now())
		at(500*time.Millisecond - time.Nanosecond)
		require.False(t, ages())
		require.Equal(t, 1, count)
		at(700 * time.Millisecond) // 350 after the look began
		require.True(t, ages())
		at(850*time.Millisecond - time.Nanosecond)
		require.True(t, isKept(c))
		at(850 * time.Millisecond)
		require.False(t, isKept(c))
		require.Equal(t, 1, count)
	})

	inBubble(t, "ends a credential as soon as it is told, and keeps it to its end when nothing was told", func(t *testing.T, c *credentialCache) {
		for _, told := range []struct {
			err  error
			kept bool
		}{{errRefused, false}, {store.NewError(store.Unavailable), true}} {
			c.kept.Purge()
			count := 0
			_, err := c.lookUp(t.Context(), presented, looks(&count, 0, credentialLifetime, nil))
			require.NoError(t, err)
			time.Sleep(400 * time.Millisecond)
			c.renew(t.Context(), presented, looks(&count, 10*time.Millisecond, 0, told.err))
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			require.Equal(t, 2, count)
			require.Equal(t, told.kept, isKept(c))
			time.Sleep(90 * time.Millisecond)
			require.False(t, isKept(c))
		}
	})

	inBubble(t, "does not look again for a token that is about to expire", func(t *testing.T, c *credentialCache) {
		_, err := c.lookUp(t.Context(), presented, looks(new(int), 0, 450*time.Millisecond, nil))
		require.NoError(t, err)
		for range 449 {
			time.Sleep(time.Millisecond)
			_, ages, ok := c.get(presented)
			require.True(t, ok)
			require.False(t, ages)
		}
		time.Sleep(time.Millisecond)
		require.False(t, isKept(c))
	})

	inBubble(t, "looks once for all who ask at once, and for those who come just after", func(t *testing.T, c *credentialCache) {
		count := 0
		look := looks(&count, 20*time.Millisecond, credentialLifetime, nil)
		var callers sync.WaitGroup
		for range 200 {
			callers.Go(func() {
				if got, err := c.lookUp(t.Context(), presented, look); err != nil || got.Credential != credential {
					t.Error(got, err)
				}
			})
		}
		callers.Wait()
		_, err := c.lookUp(t.Context(), presented, look) // its get came too early
		require.NoError(t, err)
		require.Equal(t, 1, count)
	})

	inBubble(t, "waits for each caller as long as that does, and for the look-up in any case", func(t *testing.T, c *credentialCache) {
		count := 0
		look := looks(&count, 100*time.Millisecond, credentialLifetime, nil)
		leaves := func(ctx context.Context, want error) {
			start := time.Now()
			got, err := c.lookUp(ctx, presented, look)
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
			if got, err := c.lookUp(t.Context(), presented, look); err != nil || got.Credential != credential {
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
		require.Equal(t, 1, count, "nothing begins for who has left")
		alone, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, leave)
		leaves(alone, context.Canceled)
		time.Sleep(100 * time.Millisecond)
		require.True(t, isKept(c), "though nobody waited any more")
		require.Equal(t, 2, count)
	})

	inBubble(t, "tells nobody what was so long before", func(t *testing.T, c *credentialCache) {
		start := time.Now()
		at := func(instant time.Duration) { time.Sleep(instant - time.Since(start)) }
		// Looked up at once, and answered after two seconds. By then the key is revoked.
		slow := func(context.Context) (store.Credential, time.Duration, error) {
			at(2 * time.Second)
			return credential, credentialLifetime, nil
		}
		var callers sync.WaitGroup
		for _, instant := range []time.Duration{0, 499 * time.Millisecond} {
			callers.Go(func() {
				at(instant)
				if got, err := c.lookUp(t.Context(), presented, slow); err != nil || got.Credential != credential || time.Since(start) != 2*time.Second {
					t.Error(got, err, time.Since(start))
				}
			})
		}
		at(501 * time.Millisecond)
		count := 0
		_, err := c.lookUp(t.Context(), presented, looks(&count, time.Millisecond, 0, errRefused))
		require.Equal(t, errRefused, err)
		require.Equal(t, 1, count)
		require.Equal(t, 502*time.Millisecond, time.Since(start))
		callers.Wait()
		require.False(t, isKept(c))
	})

	inBubble(t, "keeps what was looked up last", func(t *testing.T, c *credentialCache) {
		var callers sync.WaitGroup
		callers.Go(func() {
			_, _ = c.lookUp(t.Context(), presented, looks(new(int), 900*time.Millisecond, credentialLifetime, nil))
		})
		time.Sleep(600 * time.Millisecond)
		_, err := c.lookUp(t.Context(), presented, looks(new(int), 100*time.Millisecond, credentialLifetime, nil))
		require.NoError(t, err)
		callers.Wait()
		time.Sleep(200*time.Millisecond - time.Nanosecond)
		require.True(t, isKept(c))
		time.Sleep(time.Nanosecond)
		require.False(t, isKept(c))
	})

	inBubble(t, "lets nobody in with a token that expired before they came", func(t *testing.T, c *credentialCache) {
		first, second := 0, 0
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := c.lookUp(t.Context(), presented, looks(&first, 100*time.Millisecond, 30*time.Millisecond, nil)); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(30 * time.Millisecond)
		_, err := c.lookUp(t.Context(), presented, looks(&second, 0, 0, errRefused))
		require.Equal(t, errRefused, err)
		require.Equal(t, []int{1, 1}, []int{first, second})
		callers.Wait()
	})

	inBubble(t, "gives look-ups nothing of a request, and ends them with the store", func(t *testing.T, c *credentialCache) {
		ctx := store.WithCredential(t.Context(), credential)
		time.AfterFunc(time.Second, c.close)
		_, err := c.lookUp(ctx, presented, func(ctx context.Context) (store.Credential, time.Duration, error) {
			_, ok := store.CredentialFrom(ctx)
			_, ends := ctx.Deadline()
			if ok || ends {
				t.Error("it has a credential or a deadline of somebody's")
			}
			<-ctx.Done()
			return store.Credential{}, 0, store.Outage(ctx.Err())
		})
		require.Equal(t, store.Unavailable, store.AsError(err).Code)
	})

	inBubble(t, "survives a look-up that panics", func(t *testing.T, c *credentialCache) {
		_, err := c.lookUp(t.Context(), presented, func(context.Context) (store.Credential, time.Duration, error) { panic("at the disco") })
		require.ErrorContains(t, err, "panic: at the disco")
		require.Equal(t, store.Internal, store.AsError(err).Code)
		require.Equal(t, store.NewError(store.Internal).Message, store.AsError(err).Message)
		count := 0
		_, err = c.lookUp(t.Context(), presented, looks(&count, 0, credentialLifetime, nil))
		require.NoError(t, err)
	})

	inBubble(t, "is bounded, and junk leaves nothing in it", func(t *testing.T, c *credentialCache) {
		count := 0
		find := func(name string) {
			presented, credential := presenting(name)
			if _, _, ok := c.get(presented); ok {
				return
			}
			got, err := c.lookUp(t.Context(), presented, func(context.Context) (store.Credential, time.Duration, error) {
				count++
				return credential, credentialLifetime, nil
			})
			require.NoError(t, err)
			require.Equal(t, credential, got.Credential)
		}
		for i := range 3 * maxCredentials {
			find(fmt.Sprint(i))
			find("used all the time")
			require.LessOrEqual(t, c.kept.Len(), maxCredentials)
		}
		require.Equal(t, maxCredentials, c.kept.Len())
		require.Equal(t, 3*maxCredentials+1, count, "who is used is not pushed out")

		c.kept.Purge()
		find("honest")
		refused := 0
		for i := range 3 * maxCredentials {
			presented, _ := presenting(fmt.Sprint("junk", i))
			_, err := c.lookUp(t.Context(), presented, looks(&refused, 0, 0, errRefused))
			require.Equal(t, errRefused, err)
		}
		require.Equal(t, 3*maxCredentials, refused)
		require.Equal(t, 1, c.kept.Len())
		find("honest")
		require.Equal(t, 3*maxCredentials+2, count)
	})
}
