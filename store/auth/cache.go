package auth

import (
	"context"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/singleflight"

	"lumen/store"
	"lumen/store/gate"
)

// credentialLifetime is how long a credential may be used before it is looked up again. A credential
// that is revoked, expired or disabled works no longer than that. It is counted from before the query
// was sent, by the monotonic clock.
const credentialLifetime = 5 * time.Second

// renewalAge is the age from which the next use of a credential has it looked up again, while requests
// go on with the old answer. It is half the lifetime: then a credential that is used at least once a
// lifetime, at whatever interval, has a use between the two ages, and no request waits for its look-up.
const renewalAge = credentialLifetime / 2

// maxCredentials bounds how many credentials the cache holds. The least recently used ones make room.
const maxCredentials = 50_000

// cache holds the credentials that queries found. It holds no refusals: junk neither fills it nor
// evicts anybody.
type cache struct {
	entries *lru.Cache[Digest, *entry]
	fetches singleflight.Group

	// fetching is the context of all fetches. Several requests wait for one fetch, so it ends with none
	// of them, and it carries nothing of any request but, for traces, the span of the first. Fetches end
	// with the cache.
	fetching context.Context
	close    context.CancelFunc

	hits, misses atomic.Uint64 // of text that has the form of a credential
}

// entry is a credential, from when it should be looked up again, and until when it may be used.
type entry struct {
	store.Credential
	renewFrom, validUntil time.Time
	renewed               atomic.Bool
}

// takeRenewal reports whether the caller should have the credential looked up again. It tells one caller
// only, so that an outage is not answered with a query for every request.
func (e *entry) takeRenewal() bool {
	return !time.Now().Before(e.renewFrom) && e.renewed.CompareAndSwap(false, true)
}

// fetch queries the database for a credential. lifetime is how long the credential is valid if nobody
// ends it.
type fetch func(context.Context) (_ store.Credential, lifetime time.Duration, err error)

func newCache() *cache {
	entries, err := lru.New[Digest, *entry](maxCredentials)
	if err != nil {
		panic(err) // the size is a constant
	}
	c := &cache{entries: entries}
	c.fetching, c.close = context.WithCancel(context.Background())
	return c
}

// get returns a credential from the cache, or else what a fetch finds. prepare returns the fetch, or why
// there is nothing to fetch.
func (c *cache) get(ctx context.Context, digest Digest, prepare func() (fetch, error)) (*entry, error) {
	e, ok := c.cached(digest)
	if ok && !e.takeRenewal() {
		return e, nil
	}
	fetch, err := prepare()
	switch {
	case err != nil:
		return nil, err
	case ok:
		c.fetchShared(ctx, digest, fetch) // nobody waits for it
		return e, nil
	default:
		return c.load(ctx, digest, fetch)
	}
}

// cached returns the entry of a credential if it may still be used.
func (c *cache) cached(digest Digest) (_ *entry, ok bool) {
	e, ok := c.entries.Get(digest)
	if !ok || !time.Now().Before(e.validUntil) {
		return nil, false
	}
	c.hits.Add(1)
	return e, true
}

// tenant names the tenant for which a credential is looked up. A credential is known from when it is
// found until it is refused or evicted.
func (c *cache) tenant(digest Digest) string {
	if c.entries.Contains(digest) {
		return tenantKnown
	}
	return tenantUnknown
}

// load returns what fetch finds. The cache holds it for as long as fetch says, at most for
// credentialLifetime. Callers that present the same credential at the same time share one fetch. Each
// waits until its own context ends, which is Unavailable.
func (c *cache) load(ctx context.Context, digest Digest, fetch fetch) (*entry, error) {
	c.misses.Add(1)
	ctx, cancel := gate.WithDeadline(ctx)
	defer cancel()
	arrived := time.Now()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case result := <-c.fetchShared(ctx, digest, fetch):
			if result.Err != nil {
				return nil, result.Err
			}
			// The timer of fetchShared may be late, and a token may expire while a caller waits.
			if e := result.Val.(*entry); arrived.Before(e.validUntil) {
				return e, nil
			}
		}
	}
	return nil, store.Outage(ctx.Err())
}

// fetchShared joins the fetch that runs for a credential, or starts one.
func (c *cache) fetchShared(ctx context.Context, digest Digest, fetch fetch) <-chan singleflight.Result {
	key, span := string(digest[:]), trace.SpanFromContext(ctx)
	return c.fetches.DoChan(key, func() (any, error) {
		// Later callers must not get an older answer. They start a fetch of their own.
		defer time.AfterFunc(credentialLifetime, func() { c.fetches.Forget(key) }).Stop()
		return c.fetchOnce(trace.ContextWithSpan(c.fetching, span), digest, fetch)
	})
}

func (c *cache) fetchOnce(ctx context.Context, digest Digest, fetch fetch) (_ *entry, err error) {
	defer store.Recovered(&err)
	started := time.Now()
	if e, ok := c.entries.Get(digest); ok && started.Before(e.renewFrom) {
		return e, nil // another fetch ended before this one started, and after the caller asked for it
	}
	credential, lifetime, err := fetch(ctx)
	if err != nil {
		if store.AsError(err).Code == store.Unauthenticated { // the credential has ended
			c.entries.Remove(digest)
		}
		return nil, err
	}
	found := &entry{
		Credential: credential,
		renewFrom:  started.Add(min(lifetime, renewalAge)),
		validUntil: started.Add(min(lifetime, credentialLifetime)),
	}
	// A fetch that started later may have ended before.
	if e, ok := c.entries.Peek(digest); !ok || e.validUntil.Before(found.validUntil) {
		c.entries.Add(digest, found)
	}
	return found, nil
}
