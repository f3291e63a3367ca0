package store

import (
	"context"
	"crypto/sha256"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/singleflight"
)

// credentialLifetime is how long a credential may be taken for what it was: what is revoked, expired or disabled works no
// longer than that. It is counted from before the look-up was sent, by the monotonic clock.
const credentialLifetime = 500 * time.Millisecond

// maxCredentials bounds how many credentials are kept. Those used least recently make room.
const maxCredentials = 10_000

// digest stands for what was presented, a secret or the whole text of a token, which is kept nowhere.
type digest [sha256.Size]byte

// credentialCache keeps the credentials that look-ups found. It keeps no refusals: junk neither fills it nor pushes
// anybody out.
type credentialCache struct {
	kept    *lru.Cache[digest, keptCredential]
	flights singleflight.Group

	// lookUps is what look-ups run on. They are for all who wait for them, so they end with none of their requests and carry
	// nothing of any but, for traces, the span of the one that came first; they end with the store.
	lookUps context.Context
	close   context.CancelFunc

	hits, misses atomic.Uint64 // of what had the form of a credential
}

type keptCredential struct {
	Credential
	until time.Time
}

// credentialLook asks the database for a credential, and says how long that is good for if nobody ends it.
type credentialLook func(context.Context) (Credential, time.Duration, error)

func newCredentialCache() *credentialCache {
	kept, err := lru.New[digest, keptCredential](maxCredentials)
	if err != nil {
		panic(err) // the size is a constant
	}
	c := &credentialCache{kept: kept}
	c.lookUps, c.close = context.WithCancel(context.Background())
	return c
}

// get returns the credential that is kept for what was presented.
func (c *credentialCache) get(presented digest) (Credential, bool) {
	kept, ok := c.kept.Get(presented)
	if !ok || !time.Now().Before(kept.until) {
		return Credential{}, false
	}
	return kept.Credential, true
}

// party is as whom what was presented is looked up: known when it was good not long ago.
func (c *credentialCache) party(presented digest) string {
	if c.kept.Contains(presented) {
		return known
	}
	return unknown
}

// lookUp returns what look finds and keeps it for as long as look says, at most for credentialLifetime. Those who present
// the same meanwhile share one look, for which each waits until its own context ends: that is Unavailable.
func (c *credentialCache) lookUp(ctx context.Context, presented digest, look credentialLook) (Credential, error) {
	c.misses.Add(1)
	arrived, key := time.Now(), string(presented[:])
	for ctx.Err() == nil {
		flight := c.flights.DoChan(key, func() (any, error) {
			// Who comes later must not be told what was so before: they look again.
			defer time.AfterFunc(credentialLifetime, func() { c.flights.Forget(key) }).Stop()
			return c.keep(trace.ContextWithSpan(c.lookUps, trace.SpanFromContext(ctx)), presented, look)
		})
		select {
		case <-ctx.Done():
		case result := <-flight:
			if result.Err != nil {
				return Credential{}, result.Err
			}
			// A timer may be late, and a token may expire while somebody waits.
			if found := result.Val.(keptCredential); arrived.Before(found.until) {
				return found.Credential, nil
			}
		}
	}
	return Credential{}, unavailable(ctx.Err())
}

func (c *credentialCache) keep(ctx context.Context, presented digest, look credentialLook) (_ keptCredential, err error) {
	defer recovered(&err)
	started := time.Now()
	if kept, ok := c.kept.Get(presented); ok && started.Before(kept.until) {
		return kept, nil // by a look-up that ended after this one was found to be needed
	}
	credential, lifetime, err := look(ctx)
	if err != nil {
		return keptCredential{}, err
	}
	found := keptCredential{credential, started.Add(min(lifetime, credentialLifetime))}
	c.kept.Add(presented, found)
	return found, nil
}
