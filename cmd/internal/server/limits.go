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

// Rates are the rate limits of this process. A second process admits the same number again. 0 means
// no limit.
type Rates struct {
	// Key limits the requests a second of one API key, including those of the access tokens that it
	// made.
	Key float64
	// Merchant limits the requests a second of all keys of one merchant together.
	Merchant float64
	// Customer limits the requests a second of all access tokens that are bound to one customer.
	Customer float64
	// Burst is how many seconds of requests a bucket holds. The size of a bucket is rounded to
	// whole requests and at least 1.
	Burst float64
}

// kind is a kind of rate limit, with all that differs between customers, keys and merchants.
type kind struct {
	name string // the label value of lumen_refusals_total
	rate func(Rates) float64
	// holder returns the owner of the credential's bucket within its merchant, or false when the
	// credential has no bucket of this kind.
	holder func(store.Credential) (id string, ok bool)
	// A kind with forBound appears in the headers of replies to customer-bound tokens only, and the
	// other kinds only in the headers of all other replies. The bucket of a key or a merchant would
	// tell a bound token how much traffic other customers cause.
	forBound bool
}

var kinds = [...]kind{
	{
		name: "customer", rate: func(r Rates) float64 { return r.Customer }, forBound: true,
		// The bucket does not depend on the key. A merchant may make one customer's tokens with
		// several keys, and all of them act for this customer.
		holder: func(c store.Credential) (string, bool) { return c.CustomerID, isBound(c) },
	},
	{
		name: "key", rate: func(r Rates) float64 { return r.Key },
		// A token uses the bucket of the key that created it. With buckets of their own for
		// tokens, a client that may make tokens could have any number of buckets.
		holder: func(c store.Credential) (string, bool) { return c.KeyID, true },
	},
	{
		name: "merchant", rate: func(r Rates) float64 { return r.Merchant },
		holder: func(store.Credential) (string, bool) { return "", true },
	},
}

func isBound(c store.Credential) bool { return c.CustomerID != "" }

// Limiter admits requests as Rates says. Each bound customer, each key and each merchant has a
// bucket of tokens. Each request with a valid credential takes one token from each bucket of this
// credential, and a GraphQL operation takes one for each 1,000 of its cost. When one of the buckets
// holds too little, the request takes nothing from any.
type Limiter struct {
	// One lock protects all buckets: a request holds it for less than a microsecond.
	mu      sync.Mutex
	buckets []*buckets // of each kind that has a rate
}

// NewLimiter returns a Limiter, or nil when no rate is limited.
func NewLimiter(rates Rates) *Limiter {
	l := new(Limiter)
	for _, k := range kinds {
		if perSecond := k.rate(rates); perSecond != 0 {
			l.buckets = append(l.buckets, newBuckets(k, perSecond, rates.Burst))
		}
	}
	if len(l.buckets) == 0 {
		return nil
	}
	return l
}

// Refused returns the number of refused requests by the kind of limit: customer, key, merchant. A
// request that several limits refused counts for each of them. A nil Limiter returns zeros.
func (l *Limiter) Refused() map[string]uint64 {
	refused := make(map[string]uint64, len(kinds))
	for _, k := range kinds {
		refused[k.name] = 0
	}
	if l != nil {
		for _, b := range l.buckets {
			refused[b.kind.name] = b.refused.Load()
		}
	}
	return refused
}

// costPerToken is how much of the cost of a GraphQL operation one token pays for.
const costPerToken = 1000

// limit returns an authenticate that charges one token for each request, or refuses it with
// RateLimited.
func (l *Limiter) limit(
	authenticate func(*http.Request) (context.Context, error),
) func(*http.Request) (context.Context, error) {
	return func(r *http.Request) (context.Context, error) {
		ctx, err := authenticate(r)
		if err != nil {
			return nil, err
		}
		return ctx, l.charge(ctx, 1, 0)
	}
}

// chargeCost charges a GraphQL operation for its cost, or refuses it with RateLimited. The token of
// its request is part of the charge. It is spent in both cases, because the server has read the
// document. An operation that costs more than a full bucket takes a full bucket.
func (l *Limiter) chargeCost(ctx context.Context, cost int) error {
	if cost <= costPerToken {
		return nil
	}
	return l.charge(ctx, (cost-1)/costPerToken+1, 1)
}

// charge takes what the request needs, less what it has paid, from all buckets of the credential or
// from none. The headers of the reply describe the tightest bucket that the caller may know of. A
// bound token has no such bucket when customers have no rate; then its reply has no such headers.
func (l *Limiter) charge(ctx context.Context, need, paid int) error {
	tightest, refused := l.take(ctx, need, paid)
	if tightest.limit > 0 {
		annotate(ctx, func(info *requestInfo) { tightest.tell(info.header) })
	}
	if !refused {
		return nil
	}
	err := store.NewError(store.RateLimited)
	// 0 stands for one second. It is 0 when only buckets refused that the caller must not know of.
	err.RetryAfter = tightest.wait
	return err
}

// take draws on all buckets of the context's credential or on none. It returns the level of the
// tightest bucket that the caller may know of, or the zero level when there is none.
func (l *Limiter) take(ctx context.Context, need, paid int) (tightest level, refused bool) {
	credential, _ := store.CredentialFrom(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	draws := make([]draw, 0, len(kinds))
	for _, b := range l.buckets {
		if id, ok := b.kind.holder(credential); ok {
			draws = append(draws, b.draw(holder{credential.Merchant.ID, id}, need))
		}
	}
	for _, d := range draws {
		if d.wait(now, d.need-paid) > 0 {
			d.from.refused.Add(1)
			refused = true
		}
	}
	for _, d := range draws {
		var wait time.Duration
		if refused {
			wait = d.wait(now, d.need) // a retry pays for its request again
		} else {
			d.bucket.AllowN(now, d.need-paid)
		}
		if d.from.kind.forBound != isBound(credential) {
			continue
		}
		if level := d.level(now, wait); tightest.limit == 0 || level.tighter(tightest) {
			tightest = level
		}
	}
	return tightest, refused
}

// maxBuckets is the maximum number of buckets of each kind; they take about 30 MB of memory.
const maxBuckets = 100_000

// holder is the owner of a bucket: the id is that of a customer or an API key, or "" for the
// merchant itself.
type holder struct{ merchant, id string }

// buckets holds all buckets of one kind. Only valid credentials have buckets, so random credentials
// neither fill the memory nor evict others.
type buckets struct {
	kind    kind
	rate    rate.Limit
	size    int
	lru     *simplelru.LRU[holder, *rate.Limiter]
	refused atomic.Uint64
}

func newBuckets(k kind, perSecond, burst float64) *buckets {
	lru, err := simplelru.NewLRU[holder, *rate.Limiter](maxBuckets, nil)
	if err != nil {
		panic(err) // the size is a constant
	}
	size := max(1, int(math.Round(perSecond*burst)))
	return &buckets{kind: k, rate: rate.Limit(perSecond), size: size, lru: lru}
}

// of returns the bucket of a holder. When the number of buckets has reached its maximum, a new
// holder takes over the least recently used bucket with its tokens. That bucket is usually full
// again, like a new one. When it is not, the new holder starts with less, so nobody gets a full
// bucket because the server forgot them.
func (b *buckets) of(who holder) *rate.Limiter {
	bucket, ok := b.lru.Get(who)
	if ok {
		return bucket
	}
	if b.lru.Len() < maxBuckets {
		bucket = rate.NewLimiter(b.rate, b.size)
	} else {
		_, bucket, _ = b.lru.RemoveOldest()
	}
	b.lru.Add(who, bucket)
	return bucket
}

// draw is what one request needs of one bucket.
type draw struct {
	from   *buckets
	bucket *rate.Limiter
	need   int
}

func (b *buckets) draw(who holder, need int) draw { return draw{b, b.of(who), min(need, b.size)} }

// wait returns the time until the bucket holds n tokens, rounded up, so that waiting for this time
// is enough.
func (d draw) wait(now time.Time, n int) time.Duration {
	if d.bucket.TokensAt(now) >= float64(n) { // the usual case, and cheaper than a reservation
		return 0
	}
	reservation := d.bucket.ReserveN(now, n)
	defer reservation.CancelAt(now)
	return (reservation.DelayFrom(now) + time.Microsecond - 1).Truncate(time.Microsecond)
}

// level describes a bucket in a reply.
type level struct {
	limit, remaining int
	reset            int           // seconds until the bucket is full
	wait             time.Duration // until the bucket can pay for the refused request
}

func (d draw) level(now time.Time, wait time.Duration) level {
	perSecond, size := float64(d.from.rate), float64(d.from.size)
	tokens := d.bucket.TokensAt(now)
	full := time.Duration((size - tokens) / perSecond * float64(time.Second))
	reset := int((full + time.Second - 1) / time.Second)
	return level{limit: d.from.size, remaining: int(tokens), reset: reset, wait: wait}
}

// The names of the headers in the canonical form of http.Header. Header.Set would convert them for
// each reply.
const (
	limitHeader     = "Ratelimit-Limit"
	remainingHeader = "Ratelimit-Remaining"
	resetHeader     = "Ratelimit-Reset"
)

// tell writes the level into the header of a reply.
func (l level) tell(header http.Header) {
	values := []string{strconv.Itoa(l.limit), strconv.Itoa(l.remaining), strconv.Itoa(l.reset)}
	header[limitHeader], header[remainingHeader], header[resetHeader] = values[0:1:1], values[1:2:2], values[2:3:3]
}

// tighter reports whether this level restricts a caller more than the other.
func (l level) tighter(than level) bool {
	return cmp.Or(
		cmp.Compare(l.wait, than.wait), cmp.Compare(than.remaining, l.remaining), cmp.Compare(l.reset, than.reset),
	) > 0
}
