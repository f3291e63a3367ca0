package auth

import (
	"context"
	"sync/atomic"
	"time"

	"lumen/store"
	"lumen/store/gate"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/singleflight"
)

// credentialLifetime is how long a credential may be taken for what it was: what is revoked, expired or disabled works no
// longer than that. It is counted from before the look-up was sent, by the monotonic clock.
const credentialLifetime = 500 * time.Millisecond

// renewal is how long before its end a credential is looked up again, for whoever comes meanwhile: unless that takes longer,
// those who come all the time do not wait for it.
const renewal = 150 * time.Millisecond

// maxCredentials bounds how many credentials are kept. Those used least recently make room.
const maxCredentials = 10_000

// credentialCache keeps the credentials that look-ups found. It keeps no refusals: junk neither fills it nor pushes
// anybody out.
type credentialCache struct {
	kept    *lru.Cache[Digest, *keptCredential]
	flights singleflight.Group

	// lookUps is what look-ups run on. They are for all who wait for them, so they end with none of their requests and carry
	// nothing of any but, for traces, the span of the one that came first; they end with the store.
	lookUps context.Context
	close   context.CancelFunc

	hits, misses atomic.Uint64 // of what had the form of a credential
}

type keptCredential struct {
	store.Credential
	renew, until time.Time // from when it is to be looked up again, and may no longer be used
	renewed      atomic.Bool
}

// credentialLook asks the database for a credential, and says how long that is good for if nobody ends it.
type credentialLook func(context.Context) (store.Credential, time.Duration, error)

func newCredentialCache() *credentialCache {
	kept, err := lru.New[Digest, *keptCredential](maxCredentials)
	if err != nil {
		panic(err) // the size is a constant
	}
	c := &credentialCache{kept: kept}
	c.lookUps, c.close = context.WithCancel(context.Background())
	return c
}

// get returns the credential that is kept for what was presented. One of those who come shortly before its end is told that it
// ages: it is to be looked up again.
func (c *credentialCache) get(presented Digest) (_ *keptCredential, ages, ok bool) {
	kept, ok := c.kept.Get(presented)
	now := time.Now()
	if !ok || !now.Before(kept.until) {
		return nil, false, false
	}
	c.hits.Add(1)
	return kept, !now.Before(kept.renew) && kept.renewed.CompareAndSwap(false, true), true
}

// party is as whom what was presented is looked up: known when it was good not long ago, renewed when it is still.
func (c *credentialCache) party(presented Digest) string {
	kept, ok := c.kept.Peek(presented)
	switch {
	case !ok:
		return unknown
	case time.Now().Before(kept.until):
		return renewed
	default:
		return known
	}
}

// renew looks up again what get said ages. Nobody waits for it.
func (c *credentialCache) renew(ctx context.Context, presented Digest, look credentialLook) {
	c.fly(ctx, presented, look)
}

// lookUp returns what look finds and keeps it for as long as look says, at most for credentialLifetime. Those who present
// the same meanwhile share one look, for which each waits until its own context ends: that is Unavailable.
func (c *credentialCache) lookUp(ctx context.Context, presented Digest, look credentialLook) (*keptCredential, error) {
	c.misses.Add(1)
	ctx, cancel := gate.WithDeadline(ctx)
	defer cancel()
	arrived := time.Now()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case result := <-c.fly(ctx, presented, look):
			if result.Err != nil {
				return nil, result.Err
			}
			// A timer may be late, and a token may expire while somebody waits.
			if found := result.Val.(*keptCredential); arrived.Before(found.until) {
				return found, nil
			}
		}
	}
	return nil, store.Outage(ctx.Err())
}

// fly joins the look that is under way for what was presented, or begins one.
func (c *credentialCache) fly(ctx context.Context, presented Digest, look credentialLook) <-chan singleflight.Result {
	key, span := string(presented[:]), trace.SpanFromContext(ctx)
	return c.flights.DoChan(key, func() (any, error) {
		// Who comes later must not be told what was so before: they look again.
		defer time.AfterFunc(credentialLifetime, func() { c.flights.Forget(key) }).Stop()
		return c.keep(trace.ContextWithSpan(c.lookUps, span), presented, look)
	})
}

func (c *credentialCache) keep(ctx context.Context, presented Digest, look credentialLook) (_ *keptCredential, err error) {
	defer store.Recovered(&err)
	started := time.Now()
	if kept, ok := c.kept.Get(presented); ok && started.Before(kept.renew) {
		return kept, nil // by a look-up that ended after this one was found to be needed
	}
	credential, lifetime, err := look(ctx)
	if err != nil {
		if store.AsError(err).Code == store.Unauthenticated { // it has ended
			c.kept.Remove(presented)
		}
		return nil, err
	}
	found := &keptCredential{Credential: credential, renew: started.Add(credentialLifetime - renewal), until: started.Add(credentialLifetime)}
	if lifetime < credentialLifetime { // nothing comes of looking again
		found.until = started.Add(lifetime)
		found.renew = found.until
	}
	if kept, ok := c.kept.Peek(presented); !ok || kept.until.Before(found.until) { // what began later may have ended before
		c.kept.Add(presented, found)
	}
	return found, nil
}
