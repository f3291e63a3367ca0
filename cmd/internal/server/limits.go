package server

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"lumen/store"
)

// Rates are how much is admitted. They hold for this process: a second one admits as much again.
type Rates struct {
	// Key is how many requests a second one API key may send, with the access tokens that it made; Merchant how many all
	// keys of one merchant together. 0 is no limit.
	Key, Merchant float64
	// Burst is how many seconds' worth may come at once, rounded to whole requests and never less than one.
	Burst float64
}

// Limiter admits as many requests as Rates says. Each key and each merchant has a bucket of tokens, from which every request
// with a good credential takes one, and a GraphQL operation one for each thousand of its cost. A request that one of its
// two buckets has too little for takes nothing from either.
//
// An access token draws on the bucket of the key that made it. With one of its own, whoever may make tokens could have as
// many buckets as they like.
type Limiter struct {
	// One lock for all: what is under it takes less than a microsecond.
	mu            sync.Mutex
	key, merchant *buckets // nil where nothing limits
}

// NewLimiter returns a Limiter, or nil when the rates limit nothing.
func NewLimiter(rates Rates) *Limiter {
	if rates.Key == 0 && rates.Merchant == 0 {
		return nil
	}
	return &Limiter{key: newBuckets(rates.Key, rates.Burst), merchant: newBuckets(rates.Merchant, rates.Burst)}
}

// Refused returns how many requests were refused so far, by whose limit. One that both refused counts for both. On no
// Limiter there are none.
func (l *Limiter) Refused() (key, merchant uint64) {
	if l != nil && l.key != nil {
		key = l.key.refused.Load()
	}
	if l != nil && l.merchant != nil {
		merchant = l.merchant.refused.Load()
	}
	return key, merchant
}

// costPerToken is how much of a GraphQL operation's cost one token pays for.
const costPerToken = 1000

// limit returns an authenticate that charges each request one token, or refuses it with RateLimited.
func (l *Limiter) limit(authenticate func(*http.Request) (context.Context, error)) func(*http.Request) (context.Context, error) {
	return func(r *http.Request) (context.Context, error) {
		ctx, err := authenticate(r)
		if err != nil {
			return nil, err
		}
		return ctx, l.charge(ctx, 1, 0)
	}
}

// chargeCost charges a GraphQL operation for what it costs, or refuses it with RateLimited. The token of its request is part
// of that, and gone either way: the document was read. An operation that is dearer than a full bucket takes a full one.
func (l *Limiter) chargeCost(ctx context.Context, cost int) error {
	if cost <= costPerToken {
		return nil
	}
	return l.charge(ctx, (cost-1)/costPerToken+1, 1)
}

// charge takes from both buckets of the credential what the request needs, less what it paid already, or from none. It tells
// in the reply's headers what is left in the tighter one.
func (l *Limiter) charge(ctx context.Context, need, paid int) error {
	tightest, refused := l.take(ctx, need, paid)
	note(ctx, func(n *notes) {
		n.header.Set("RateLimit-Limit", strconv.Itoa(tightest.limit))
		n.header.Set("RateLimit-Remaining", strconv.Itoa(tightest.remaining))
		n.header.Set("RateLimit-Reset", strconv.Itoa(tightest.reset))
	})
	if !refused {
		return nil
	}
	err := store.NewError(store.RateLimited)
	err.RetryAfter = tightest.wait
	return err
}

func (l *Limiter) take(ctx context.Context, need, paid int) (tightest level, refused bool) {
	credential, _ := store.CredentialFrom(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var drawn []*draw
	if l.key != nil {
		drawn = append(drawn, l.key.draw(holder{credential.Merchant.ID, credential.KeyID}, need))
	}
	if l.merchant != nil {
		drawn = append(drawn, l.merchant.draw(holder{credential.Merchant.ID, ""}, need))
	}
	for _, d := range drawn {
		if d.wait(now, d.need-paid) > 0 {
			d.from.refused.Add(1)
			refused = true
		}
	}
	for i, d := range drawn {
		var wait time.Duration
		if refused {
			wait = d.wait(now, d.need) // who comes again pays for the request again
		} else {
			d.bucket.AllowN(now, d.need-paid)
		}
		if level := d.level(now, wait); i == 0 || level.tighter(tightest) {
			tightest = level
		}
	}
	return tightest, refused
}

// maxBuckets bounds how many buckets are kept of each kind: some 30 MB of memory.
const maxBuckets = 100_000

// holder is whose a bucket is: an API key's or, without one, a merchant's.
type holder struct{ merchant, key string }

// buckets are all of one kind. Only good credentials have one, so what is random neither fills them nor pushes anybody out.
type buckets struct {
	rate    rate.Limit
	size    int
	kept    *simplelru.LRU[holder, *rate.Limiter]
	refused atomic.Uint64
}

// newBuckets returns nil for a rate of 0.
func newBuckets(perSecond, burst float64) *buckets {
	if perSecond == 0 {
		return nil
	}
	kept, err := simplelru.NewLRU[holder, *rate.Limiter](maxBuckets, nil)
	if err != nil {
		panic(err) // the size is a constant
	}
	return &buckets{rate: rate.Limit(perSecond), size: max(1, int(math.Round(perSecond*burst))), kept: kept}
}

// of returns the bucket of a holder. When there are too many, a newcomer takes over the one that was used least recently,
// with what is in it: as a rule that is full again, as a new one would be, and where it is not, nobody gets a full bucket
// by being forgotten.
func (b *buckets) of(who holder) *rate.Limiter {
	bucket, ok := b.kept.Get(who)
	if ok {
		return bucket
	}
	if b.kept.Len() < maxBuckets {
		bucket = rate.NewLimiter(b.rate, b.size)
	} else {
		_, bucket, _ = b.kept.RemoveOldest()
	}
	b.kept.Add(who, bucket)
	return bucket
}

// draw is what one request needs of one bucket.
type draw struct {
	from   *buckets
	bucket *rate.Limiter
	need   int
}

func (b *buckets) draw(who holder, need int) *draw { return &draw{b, b.of(who), min(need, b.size)} }

// wait returns how long it is until the bucket holds n tokens, rounded up: to wait that long is enough.
func (d *draw) wait(now time.Time, n int) time.Duration {
	reservation := d.bucket.ReserveN(now, n)
	defer reservation.CancelAt(now)
	return (reservation.DelayFrom(now) + time.Microsecond - 1).Truncate(time.Microsecond)
}

// level is what a reply says of a bucket.
type level struct {
	limit, remaining int
	reset            int           // in seconds, until it is full
	wait             time.Duration // until the request that was refused can be paid for
}

func (d *draw) level(now time.Time, wait time.Duration) level {
	perSecond, size := float64(d.from.rate), float64(d.from.size)
	tokens := d.bucket.TokensAt(now)
	full := time.Duration((size - tokens) / perSecond * float64(time.Second))
	return level{limit: d.from.size, remaining: int(tokens), reset: int((full + time.Second - 1) / time.Second), wait: wait}
}

// tighter reports whether a caller has to mind this one rather than the other.
func (l level) tighter(than level) bool {
	return cmp.Or(cmp.Compare(l.wait, than.wait), cmp.Compare(than.remaining, l.remaining), cmp.Compare(l.reset, than.reset)) > 0
}
