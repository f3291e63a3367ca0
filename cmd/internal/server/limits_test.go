package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
)

// caller is the credential of a request in the tests; customer is the one that it is bound to.
type caller struct{ merchant, key, token, customer string }

// told is the result of a request: the three numbers in its headers, and how long to wait after a
// refusal.
type told struct {
	rate string // limit, remaining, reset
	wait time.Duration
}

// send makes the limiter charge a request of the caller, and an operation of this cost if it is not
// 0.
func (l *Limiter) send(t testing.TB, who caller, cost int) told {
	t.Helper()
	header := make(http.Header)
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), requestInfoKey{}, &requestInfo{header: header}), http.MethodGet, "/", nil)
	ctx, err := l.limit(as(who))(r)
	if err == nil && cost > 0 {
		err = l.chargeCost(ctx, cost)
	}
	got := told{rate: strings.Join([]string{header.Get("RateLimit-Limit"), header.Get("RateLimit-Remaining"), header.Get("RateLimit-Reset")}, " ")}
	if err != nil {
		var refused *store.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, store.RateLimited, refused.Code)
		require.True(t, refused.RetryAfter > 0 || who.customer != "")
		got.wait = cmp.Or(refused.RetryAfter, time.Second)
	}
	return got
}

func as(who caller) func(*http.Request) (context.Context, error) {
	return func(r *http.Request) (context.Context, error) {
		return store.WithCredential(r.Context(), store.Credential{
			KeyID: who.key, TokenID: who.token, CustomerID: who.customer, Merchant: store.Merchant{ID: who.merchant},
		}), nil
	}
}

func TestLimiterIsExact(t *testing.T) {
	t.Parallel()
	for name, rates := range map[string]Rates{
		"of a key": {Key: 2}, "of a merchant": {Merchant: 2}, "of a customer": {Customer: 2},
		"of a key and a merchant": {Key: 2, Merchant: 2}, "of all": {Key: 2, Merchant: 2, Customer: 2},
	} {
		rates.Burst = 2.5
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, a := NewLimiter(rates), caller{merchant: "m", key: "a"}
				if rates.Customer > 0 {
					a.customer = "c"
				}
				for _, rate := range []string{"5 4 1", "5 3 1", "5 2 2", "5 1 2", "5 0 3"} {
					require.Equal(t, told{rate, 0}, l.send(t, a, 0))
				}
				for range 100 { // a refusal takes nothing
					require.Equal(t, told{"5 0 3", 500 * time.Millisecond}, l.send(t, a, 0))
				}
				time.Sleep(500*time.Millisecond - time.Microsecond)
				require.Equal(t, told{"5 0 3", time.Microsecond}, l.send(t, a, 0))
				time.Sleep(time.Microsecond)
				require.Equal(t, told{"5 0 3", 0}, l.send(t, a, 0))
				require.Equal(t, told{"5 0 3", 500 * time.Millisecond}, l.send(t, a, 0))
				time.Sleep(1250 * time.Millisecond)
				require.Equal(t, told{"5 1 2", 0}, l.send(t, a, 0))
				time.Sleep(time.Hour)
				require.Equal(t, told{"5 4 1", 0}, l.send(t, a, 0), "no more than a burst is saved")
			})
		})
	}
}

// At any rate, a client that waits as long as it was told is admitted. After a microsecond less it
// is not.
func TestLimiterIsExactAtEveryRate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		perSecond, burst float64
		size             int
	}{
		{0.001, 0, 1}, {0.001, 3600, 4}, {0.3, 2, 1}, {0.7, 2, 1}, {0.1, 30, 3}, {1, 0.4, 1}, {1.5, 1, 2}, {3, 2, 6}, {7, 1, 7}, {9.99, 2, 20},
		{0.29, 100, 29}, {333.3, 0.1, 33}, {12_345.678, 0.01, 123}, {1e6, 0.001, 1000},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, a := NewLimiter(Rates{Key: c.perSecond, Burst: c.burst}), caller{merchant: "m", key: "a"}
			for i := range c.size {
				got := l.send(t, a, 0)
				require.Zero(t, got.wait, "%v: %d", c, i)
				require.True(t, strings.HasPrefix(got.rate, fmt.Sprintf("%d %d ", c.size, c.size-1-i)), "%v: %d: %s", c, i, got.rate)
			}
			for range 50 {
				wait := l.send(t, a, 0).wait
				require.Positive(t, wait, c)
				time.Sleep(wait - time.Microsecond)
				if wait > time.Microsecond {
					require.Equal(t, time.Microsecond, l.send(t, a, 0).wait, c)
				}
				time.Sleep(time.Microsecond)
				require.Zero(t, l.send(t, a, 0).wait, c)
			}
		})
	}
}

// A request that one limit refuses takes nothing from the other, and merchants do not affect each
// other.
func TestLimitsOfKeysAndMerchants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Rates{Key: 2, Merchant: 3, Burst: 1})
		a, b, other := caller{merchant: "m", key: "a"}, caller{merchant: "m", key: "b"}, caller{merchant: "n", key: "a"}
		require.Equal(t, told{"2 1 1", 0}, l.send(t, a, 0))
		require.Equal(t, told{"2 0 1", 0}, l.send(t, a, 0))
		for range 5 {
			require.Equal(t, told{"2 0 1", time.Second / 2}, l.send(t, a, 0), "the key's limit, which is the tighter one")
		}
		requireRefused(t, l, 5, 0)

		require.Equal(t, told{"3 0 1", 0}, l.send(t, b, 0), "the merchant has one left")
		for range 4 {
			require.Equal(t, told{"3 0 1", 333_334 * time.Microsecond}, l.send(t, b, 0), "the merchant's limit refuses, though the key has one left")
		}
		requireRefused(t, l, 5, 4)
		time.Sleep(333_334 * time.Microsecond)
		require.Zero(t, l.send(t, b, 0).wait)
		require.Equal(t, told{"3 0 1", 333_333 * time.Microsecond}, l.send(t, a, 0), "both refuse; the longer wait counts")
		requireRefused(t, l, 6, 5)

		require.Equal(t, told{"2 1 1", 0}, l.send(t, other, 0), "the same id of a key, another merchant")
	})
}

// Tokens draw on the bucket of the key that made them, and on no other.
func TestTokensDrawOnTheirKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Rates{Key: 1, Burst: 3})
		for i, token := range []string{"", "t1", "t2"} {
			left := told{fmt.Sprintf("3 %d %d", 2-i, i+1), 0}
			require.Equal(t, left, l.send(t, caller{merchant: "m", key: "a", token: token}, 0))
		}
		for i := range 1000 {
			require.Equal(t, time.Second, l.send(t, caller{merchant: "m", key: "a", token: fmt.Sprint(i)}, 0).wait)
		}
		require.Zero(t, l.send(t, caller{merchant: "m", key: "b", token: "t1"}, 0).wait)
		require.Equal(t, 2, l.of(t, "key").lru.Len())
	})
}

func TestOperationsAreChargedByCost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cost int
		want string
	}{
		{0, "10 9 1"}, {1, "10 9 1"}, {1000, "10 9 1"}, {1001, "10 8 1"}, {2000, "10 8 1"}, {2001, "10 7 2"}, {9001, "10 0 5"},
		{10_001, "10 0 5"}, {25_000, "10 0 5"}, {1 << 40, "10 0 5"}, // more than a full bucket pays for: takes all of it
	} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(Rates{Key: 2, Burst: 5})
			require.Equal(t, told{c.want, 0}, l.send(t, caller{merchant: "m", key: "a"}, c.cost), c)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		l, a := NewLimiter(Rates{Key: 2, Merchant: 4, Burst: 5}), caller{merchant: "m", key: "a"}
		require.Equal(t, told{"10 2 4", 0}, l.send(t, a, 8000))
		// The bucket of 10 paid for requests but not for this operation: it holds 1, and the
		// operation needs 5.
		require.Equal(t, told{"10 1 5", 2 * time.Second}, l.send(t, a, 4001))
		requireRefused(t, l, 1, 0)
		time.Sleep(2*time.Second - time.Microsecond)
		// The early retry cost one more.
		require.Equal(t, told{"10 3 4", time.Second/2 + time.Microsecond}, l.send(t, a, 4001))
		time.Sleep(time.Second/2 + time.Microsecond)
		require.Equal(t, told{"10 0 5", 0}, l.send(t, a, 4001))
		// The most expensive operation waits for a full bucket of the key. It does not empty the
		// merchant's bucket, which holds 20.
		require.Equal(t, told{"10 0 5", time.Second / 2}, l.send(t, a, 1<<40), "refused as a request")
		time.Sleep(time.Hour)
		require.Equal(t, told{"10 0 5", 0}, l.send(t, a, 15_000))
		require.Equal(t, told{"20 4 4", 0}, l.send(t, caller{merchant: "m", key: "b"}, 1))
		time.Sleep(time.Hour)
		require.Equal(t, told{"10 3 4", 0}, l.send(t, a, 7000))
		require.Equal(t, told{"20 12 2", 750 * time.Millisecond}, l.send(t, caller{merchant: "m", key: "b"}, 15_000),
			"the merchant's limit refuses, with more left than the key's")
	})
}

// The headers of a bound token tell what its own customer has left, whatever others send. All
// tokens of a customer share a bucket.
func TestBoundCustomersLearnOnlyTheirOwnLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Rates{Customer: 1, Key: 5, Merchant: 10, Burst: 2})
		a, again := caller{"m", "k", "t1", "a"}, caller{"m", "k2", "t2", "a"}
		b, elsewhere := caller{"m", "k", "t3", "b"}, caller{"n", "k", "t4", "a"}
		require.Equal(t, told{"2 1 1", 0}, l.send(t, a, 0))
		require.Equal(t, told{"2 0 2", 0}, l.send(t, again, 0), "whichever key minted the token")
		for range 5 {
			require.Equal(t, told{"2 0 2", time.Second}, l.send(t, a, 0))
		}
		require.Equal(t, told{"2 1 1", 0}, l.send(t, b, 0))
		require.Equal(t, told{"2 1 1", 0}, l.send(t, elsewhere, 0), "the same id at another merchant")
		backend := caller{merchant: "m", key: "k"}
		require.Equal(t, told{"10 7 1", 0}, l.send(t, backend, 0), "all three were charged, and no refusal was")

		for range 7 {
			require.Zero(t, l.send(t, backend, 0).wait)
		}
		for range 2 {
			require.Equal(t, told{"10 0 2", time.Second / 5}, l.send(t, backend, 0))
			require.Equal(t, told{"2 1 1", time.Second}, l.send(t, b, 0), "the key refuses, and shows nothing of itself")
		}
		for range 8 {
			require.Zero(t, l.send(t, caller{merchant: "m", key: "k2"}, 0).wait)
		}
		b.key = "k3"
		require.Equal(t, told{"2 1 1", 0}, l.send(t, caller{"m", "k3", "t5", "c"}, 0), "the merchant's last one")
		require.Equal(t, told{"2 1 1", time.Second}, l.send(t, b, 0), "the merchant refuses, and shows nothing of itself")
		require.Equal(t, map[string]uint64{"customer": 5, "key": 4, "merchant": 1}, l.Refused())
		time.Sleep(time.Second)
		require.Equal(t, told{"2 0 2", 0}, l.send(t, a, 0))
	})
}

func TestOperationsOfBoundCustomers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, a := NewLimiter(Rates{Customer: 1, Key: 4, Burst: 5}), caller{"m", "k", "t", "a"}
		require.Equal(t, told{"5 2 3", 0}, l.send(t, a, 3000))
		require.Equal(t, told{"5 1 4", 4 * time.Second}, l.send(t, a, 5000), "the request is paid for")
		require.Equal(t, told{"20 15 2", 0}, l.send(t, caller{merchant: "m", key: "k"}, 0), "nothing else was taken")
		require.Equal(t, told{"5 0 5", 0}, l.send(t, caller{"m", "k", "t", "b"}, 9000), "all of a full bucket")
		// The key has 6 left. It refuses the operation but not its request.
		require.Equal(t, told{"5 4 1", time.Second}, l.send(t, caller{"m", "k", "t", "c"}, 8000))
	})
}

// If customers have no buckets, the server refuses a bound token like any other, but without
// headers.
func TestBoundCustomersWithoutBuckets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, bound := NewLimiter(Rates{Key: 0.01, Burst: 100}), caller{"m", "k", "t", "a"}
		require.Equal(t, told{"  ", 0}, l.send(t, bound, 0))
		require.Equal(t, told{"  ", time.Second}, l.send(t, bound, 0))
		require.Equal(t, told{"1 0 100", 100 * time.Second}, l.send(t, caller{merchant: "m", key: "k"}, 0))
		require.Equal(t, map[string]uint64{"customer": 0, "key": 2, "merchant": 0}, l.Refused())
	})
}

// A customer who sends ten times its rate is served at its rate. The other customers of the same
// key and the backend are served.
func TestOneCustomerLeavesOthersServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, served := NewLimiter(Rates{Customer: 1, Key: 10, Burst: 1}), 0
		for tick := range 600 {
			time.Sleep(100 * time.Millisecond)
			if l.send(t, caller{"m", "k", "t1", "greedy"}, 0).wait == 0 {
				served++
			}
			if tick%10 == 0 {
				require.Equal(t, told{"1 0 1", 0}, l.send(t, caller{"m", "k", "t2", "modest"}, 0))
			}
			if tick%10 < 8 {
				require.Zero(t, l.send(t, caller{merchant: "m", key: "k"}, 0).wait, tick)
			}
		}
		require.Equal(t, 60, served)
	})
}

// Of requests at the same time, exactly as many are admitted as there are tokens.
func TestLimiterUnderConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Rates{Key: 20, Merchant: 50, Burst: 1})
		var admitted [4]atomic.Int64
		var wait sync.WaitGroup
		for i := range 400 {
			wait.Go(func() {
				if l.send(t, caller{merchant: "m", key: fmt.Sprint(i % 4)}, 0).wait == 0 {
					admitted[i%4].Add(1)
				}
			})
		}
		wait.Wait()
		sum := 0
		for i := range admitted {
			require.LessOrEqual(t, admitted[i].Load(), int64(20))
			sum += int(admitted[i].Load())
		}
		require.Equal(t, 50, sum)
	})
}

// When a bucket was evicted, its holder does not come back to a full one, and the new holder does
// not get a full one either.
func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Rates{Key: 1, Burst: 3})
		first := caller{merchant: "m", key: "first"}
		for range 3 {
			require.Zero(t, l.send(t, first, 0).wait)
		}
		others := l.limit(func(r *http.Request) (context.Context, error) { return r.Context(), nil })
		for i := range maxBuckets - 1 {
			r := new(http.Request).WithContext(store.WithCredential(context.Background(), store.Credential{KeyID: fmt.Sprint(i)}))
			_, err := others(r)
			require.NoError(t, err)
		}
		require.Equal(t, maxBuckets, l.of(t, "key").lru.Len())
		require.Equal(t, told{"3 0 3", time.Second}, l.send(t, caller{merchant: "m", key: "newcomer"}, 0))
		require.Equal(t, told{"3 1 2", 0}, l.send(t, first, 0))
		require.Equal(t, maxBuckets, l.of(t, "key").lru.Len())
		time.Sleep(3 * time.Second)
		require.Equal(t, told{"3 2 1", 0}, l.send(t, caller{merchant: "m", key: "another"}, 0),
			"who was not seen for as long as a bucket takes to fill loses nothing")
	})
}

// A request without a valid credential takes nothing from any bucket and gets no headers.
func TestRefusedCredentialsAreNotCharged(t *testing.T) {
	t.Parallel()
	l := NewLimiter(Rates{Key: 1, Merchant: 1, Burst: 1})
	header := make(http.Header)
	refuse := l.limit(func(*http.Request) (context.Context, error) { return nil, store.NewError(store.Unauthenticated) })
	for range 10_000 {
		_, err := refuse(httptest.NewRequestWithContext(context.WithValue(t.Context(), requestInfoKey{}, &requestInfo{header: header}), http.MethodGet, "/", nil))
		require.Equal(t, store.Unauthenticated, store.AsError(err).Code)
	}
	require.Empty(t, header)
	require.Zero(t, l.of(t, "key").lru.Len()+l.of(t, "merchant").lru.Len())
	requireRefused(t, l, 0, 0)
}

func TestNoRatesNoLimiter(t *testing.T) {
	t.Parallel()
	require.Nil(t, NewLimiter(Rates{Burst: 2}))
	requireRefused(t, NewLimiter(Rates{Merchant: 1}), 0, 0)
	requireRefused(t, nil, 0, 0)
}

// of returns the buckets of one kind.
func (l *Limiter) of(t testing.TB, kind string) *buckets {
	t.Helper()
	for _, b := range l.buckets {
		if b.kind.name == kind {
			return b
		}
	}
	require.Fail(t, "no buckets", kind)
	return nil
}

func requireRefused(t *testing.T, l *Limiter, key, merchant uint64) {
	t.Helper()
	require.Equal(t, map[string]uint64{"customer": 0, "key": key, "merchant": merchant}, l.Refused())
}
