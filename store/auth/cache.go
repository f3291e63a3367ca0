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

// credentialLifetime is how long a credential is used before it is looked up again. A credential
// that was revoked, has expired or was disabled works at most this long. The time starts before the
// query is sent, on the monotonic clock.
const credentialLifetime = 5 * time.Second

// renewalAge is the age at which the next use of a credential starts another lookup while requests
// still use the old answer. It is half of the lifetime. Any credential that is used at least once
// per lifetime is used between the two ages, so no request waits for its lookup.
const renewalAge = credentialLifetime / 2

// maxCredentials is the maximum number of credentials in the cache. The least recently used ones
// are evicted.
const maxCredentials = 50_000

// cache holds the credentials that queries found. It does not hold refusals, so invalid credentials
// neither fill it nor evict valid ones.
type cache struct {
	entries *lru.Cache[Digest, *entry]
	fetches singleflight.Group

	// fetching is the context of all fetches. Several requests may wait for one fetch, so no
	// request ends it. Of a request it carries only the span of the first one, for traces. Fetches
	// end with the cache.
	fetching context.Context
	close    context.CancelFunc

	hits, misses atomic.Uint64 // only of text that has the form of a credential
}

// entry is a cached credential, the time from which it is looked up again, and the time until which
// it is used.
type entry struct {
	store.Credential
	renewFrom, validUntil time.Time
	renewed               atomic.Bool
}

// takeRenewal reports whether the caller must look up the credential again. It returns true to only
// one caller, so that an outage does not cause a query for every request.
func (e *entry) takeRenewal() bool {
	return !time.Now().Before(e.renewFrom) && e.renewed.CompareAndSwap(false, true)
}

// fetch queries the database for a credential. lifetime is the time until the credential expires.
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

// get returns a credential from the cache or from a fetch. prepare returns the fetch, or an error
// when there is nothing to fetch.
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
		c.fetchShared(ctx, digest, fetch) // no request waits for it
		return e, nil
	default:
		return c.load(ctx, digest, fetch)
	}
}

// cached returns the entry of a credential if the entry is still valid.
func (c *cache) cached(digest Digest) (_ *entry, ok bool) {
	e, ok := c.entries.Get(digest)
	if !ok || !time.Now().Before(e.validUntil) {
		return nil, false
	}
	c.hits.Add(1)
	return e, true
}

// tenant returns the tenant at the gate for which a credential is looked up. A credential is known
// from when it was found until it is refused or evicted.
func (c *cache) tenant(digest Digest) string {
	if c.entries.Contains(digest) {
		return tenantKnown
	}
	return tenantUnknown
}

// load returns the result of a fetch and caches it for the lifetime that fetch returns, at most for
// credentialLifetime. Callers with the same credential share one fetch. A caller whose context ends
// first gets Unavailable.
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

// fetchShared joins the running fetch of a credential or starts one.
func (c *cache) fetchShared(ctx context.Context, digest Digest, fetch fetch) <-chan singleflight.Result {
	key, span := string(digest[:]), trace.SpanFromContext(ctx)
	return c.fetches.DoChan(key, func() (any, error) {
		// Later callers must not get an answer that is too old. They start another fetch.
		defer time.AfterFunc(credentialLifetime, func() { c.fetches.Forget(key) }).Stop()
		return c.fetchOnce(trace.ContextWithSpan(c.fetching, span), digest, fetch)
	})
}

func (c *cache) fetchOnce(ctx context.Context, digest Digest, fetch fetch) (_ *entry, err error) {
	defer store.Recovered(&err)
	started := time.Now()
	if e, ok := c.entries.Get(digest); ok && started.Before(e.renewFrom) {
		return e, nil // another fetch ended between the caller's request and the start of this one
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
