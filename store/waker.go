package store

import (
	"context"
	"sync"
	"time"

	"lumen/store/postgres"
)

// pollInterval is the time between two queries for the heads of the merchants whose changes are waited
// for.
const pollInterval = 250 * time.Millisecond

// waker wakes callers that wait for changes of a merchant. A write of this process wakes them at once.
// For the writes of other processes, one query asks for the heads of all merchants that are waited
// for, while there are some. Callers hold no connection while they wait.
type waker struct {
	heads func(ctx context.Context, merchants []string) ([]head, error)

	mu      sync.Mutex
	waiting map[string]map[*waiter]struct{} // by merchant
	count   int                             // of all that wait
	polling bool
	stopped chan struct{} // closed by stop
}

// head is the number of a merchant's last change.
type head struct {
	MerchantID string
	Sequence   int64
}

// waiter is a caller that has read the changes up to a sequence.
type waiter struct {
	seen  int64
	woken chan struct{}
}

func newWaker(heads func(context.Context, []string) ([]head, error)) *waker {
	return &waker{heads: heads, waiting: make(map[string]map[*waiter]struct{}), stopped: make(chan struct{})}
}

// headsOf returns the function with which a waker asks the database. It uses a pool of its own, because
// the walled pool runs no statement for several merchants.
func headsOf(pool *postgres.Pool) func(context.Context, []string) ([]head, error) {
	return func(ctx context.Context, merchants []string) (found []head, err error) {
		err = pool.Query(ctx, &found, "SELECT merchant_id, sequence FROM public.lumen_heads($1)", merchants)
		return found, err
	}
}

// The maximum numbers of callers that wait.
const (
	maxWaiting         = 2000
	maxMerchantWaiting = 100
)

// wait returns when the merchant has changes beyond seen, when ctx ends, or when the waker stops. It
// returns RateLimited at once if too many wait.
func (w *waker) wait(ctx context.Context, merchant string, seen int64) error {
	this := &waiter{seen: seen, woken: make(chan struct{})}
	w.mu.Lock()
	if w.count >= maxWaiting || len(w.waiting[merchant]) >= maxMerchantWaiting {
		w.mu.Unlock()
		return NewError(RateLimited)
	}
	w.count++
	if w.waiting[merchant] == nil {
		w.waiting[merchant] = make(map[*waiter]struct{})
	}
	w.waiting[merchant][this] = struct{}{}
	if !w.polling {
		w.polling = true
		go w.poll()
	}
	w.mu.Unlock()

	select {
	case <-this.woken:
	case <-ctx.Done():
	case <-w.stopped:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(merchant, this)
	w.count--
	return nil
}

// remove removes a waiter. The caller holds the lock.
func (w *waker) remove(merchant string, this *waiter) {
	delete(w.waiting[merchant], this)
	if len(w.waiting[merchant]) == 0 {
		delete(w.waiting, merchant)
	}
}

// wake wakes the callers that have not seen the merchant's change with this sequence.
func (w *waker) wake(merchant string, sequence int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for this := range w.waiting[merchant] {
		if this.seen < sequence {
			close(this.woken)
			w.remove(merchant, this)
		}
	}
}

// poll asks for heads until nobody waits.
func (w *waker) poll() {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-w.stopped:
			return
		case <-tick.C:
		}
		merchants, some := w.merchants()
		if !some {
			return
		}
		_ = w.ask(merchants) // after an error callers wait on; their reads report an outage
	}
}

// ask asks for the heads of the merchants, once.
func (w *waker) ask(merchants []string) (err error) {
	defer Recovered(&err)
	ctx, cancel := context.WithTimeout(context.Background(), pollTimeout)
	defer cancel()
	heads, err := w.heads(ctx, merchants)
	for _, h := range heads {
		w.wake(h.MerchantID, h.Sequence)
	}
	return err
}

// pollTimeout bounds one query for heads.
const pollTimeout = 2 * time.Second

// merchants returns the merchants that are waited for. Without any, polling ends.
func (w *waker) merchants() (all []string, some bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for merchant := range w.waiting {
		all = append(all, merchant)
	}
	w.polling = len(all) > 0
	return all, w.polling
}

// isStopped reports whether stop was called.
func (w *waker) isStopped() bool {
	select {
	case <-w.stopped:
		return true
	default:
		return false
	}
}

// stop ends all waits, those that begin later, too.
func (w *waker) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.isStopped() {
		close(w.stopped)
	}
}
