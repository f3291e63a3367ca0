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

// Rates are how much is admitted. They hold for this process: a second one admits as much again. 0 is no limit.
type Rates struct {
	// Key is how many requests a second one API key may send, with the access tokens that it made.
	Key float64
	// Merchant is how many requests a second all keys of one merchant may send together.
	Merchant float64
	// Customer is how many requests a second all access tokens may send that are bound to one customer.
	Customer float64
	// Burst is how many seconds' worth may come at once, rounded to whole requests and never less than one.
	Burst float64
}

// kind is a kind of rate limit: all that differs between customers, keys and merchants.
type kind struct {
	name string // as lumen_refusals_total calls it
	rate func(Rates) float64
	// holder returns whose bucket a credential draws on, within its merchant; false when it draws on none of this kind.
	holder func(store.Credential) (id string, ok bool)
	// forBound kinds are told in the headers of replies to customer-bound tokens alone, the others in those of all other
	// replies. A bound token must not learn from the bucket of a key or a merchant what traffic other customers cause.
	forBound bool
}

var kinds = [...]kind{
	{
		name: "customer", rate: func(r Rates) float64 { return r.Customer }, forBound: true,
		// Not by key: a merchant may mint a customer's tokens with several, and they all act for the one customer.
		holder: func(c store.Credential) (string, bool) { return c.CustomerID, isBound(c) },
	},
	{
		name: "key", rate: func(r Rates) float64 { return r.Key },
		// A token draws on the bucket of the key that made it. If it had one of its own, a client that may make tokens
		// could have any number of buckets.
		holder: func(c store.Credential) (string, bool) { return c.KeyID, true },
	},
	{
		name: "merchant", rate: func(r Rates) float64 { return r.Merchant },
		holder: func(store.Credential) (string, bool) { return "", true },
	},
}

func isBound(c store.Credential) bool { return c.CustomerID != "" }

// Limiter admits as many requests as Rates says. Each bound customer, each key and each merchant has a bucket of
// tokens. Every request with a good credential takes one token from each bucket that it draws on, and a GraphQL
// operation one for each thousand of its cost. A request that one of its buckets has too little for takes nothing from
// any.
type Limiter struct {
	// One lock for all: what is under it takes less than a microsecond.
	mu      sync.Mutex
	buckets []*buckets // of each kind that has a rate
}

// NewLimiter returns a Limiter, or nil when the rates limit nothing.
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

// Refused returns how many requests were refused so far, by the kind of limit: customer, key, merchant. A request that
// several refused counts for each of them. On no Limiter there are none.
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

// costPerToken is how much of a GraphQL operation's cost one token pays for.
const costPerToken = 1000

// limit returns an authenticate that charges each request one token, or refuses it with RateLimited.
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

// chargeCost charges a GraphQL operation for its cost, or refuses it with RateLimited. The token of its request is part
// of the charge, and gone either way: the document was read. An operation dearer than a full bucket takes a full one.
func (l *Limiter) chargeCost(ctx context.Context, cost int) error {
	if cost <= costPerToken {
		return nil
	}
	return l.charge(ctx, (cost-1)/costPerToken+1, 1)
}

// charge takes from all buckets of the credential what the request needs, less what it paid already, or from none. The
// reply's headers tell what is left in the tightest bucket that its caller may know of. There is none for a bound token
// where customers have no buckets: its reply tells nothing.
func (l *Limiter) charge(ctx context.Context, need, paid int) error {
	tightest, refused := l.take(ctx, need, paid)
	if tightest.limit > 0 {
		annotate(ctx, func(info *requestInfo) { tightest.tell(info.header) })
	}
	if !refused {
		return nil
	}
	err := store.NewError(store.RateLimited)
	// 0, which stands for a second, when no bucket refused but those that the caller must not know of.
	err.RetryAfter = tightest.wait
	return err
}

// take draws on the buckets of the context's credential, on all or none. It returns the tightest of those that the
// caller may know of, and the zero level where there is none.
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
			wait = d.wait(now, d.need) // a client that comes again pays for the request again
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

// maxBuckets bounds how many buckets there are of each kind: some 30 MB of memory.
const maxBuckets = 100_000

// holder is whose a bucket is: the id of a customer or an API key, or "" for the merchant itself.
type holder struct{ merchant, id string }

// buckets are all buckets of one kind. Only good credentials have one, so random credentials neither fill them nor push
// anybody out.
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

// of returns the bucket of a holder. When there are too many, a newcomer takes over the one that was used least
// recently, with what is in it: as a rule that is full again, as a new one would be. Where it is not, nobody gets a
// full bucket by being forgotten.
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

// wait returns how long it is until the bucket holds n tokens, rounded up: to wait that long is enough.
func (d draw) wait(now time.Time, n int) time.Duration {
	if d.bucket.TokensAt(now) >= float64(n) { // as a rule, and cheaper than a reservation
		return 0
	}
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

func (d draw) level(now time.Time, wait time.Duration) level {
	perSecond, size := float64(d.from.rate), float64(d.from.size)
	tokens := d.bucket.TokensAt(now)
	full := time.Duration((size - tokens) / perSecond * float64(time.Second))
	reset := int((full + time.Second - 1) / time.Second)
	return level{limit: d.from.size, remaining: int(tokens), reset: reset, wait: wait}
}

// The names of the headers as http.Header has them: Set would make them canonical with each reply.
const (
	limitHeader     = "Ratelimit-Limit"
	remainingHeader = "Ratelimit-Remaining"
	resetHeader     = "Ratelimit-Reset"
)

// tell puts the level into the header of a reply.
func (l level) tell(header http.Header) {
	values := []string{strconv.Itoa(l.limit), strconv.Itoa(l.remaining), strconv.Itoa(l.reset)}
	header[limitHeader], header[remainingHeader], header[resetHeader] = values[0:1:1], values[1:2:2], values[2:3:3]
}

// tighter reports whether a caller has to mind this one rather than the other.
func (l level) tighter(than level) bool {
	return cmp.Or(
		cmp.Compare(l.wait, than.wait), cmp.Compare(than.remaining, l.remaining), cmp.Compare(l.reset, than.reset),
	) > 0
}
