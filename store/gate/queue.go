package gate

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// queue has a number of places. Those who wait for one are served first come, first served.
type queue struct {
	places chan struct{} // holds one element for each place that is taken
	length atomic.Int32  // how many wait
	served atomic.Uint64 // how many had a place and were answered
}

type outcome int

const (
	outcomeTaken outcome = iota
	outcomeFull          // too many wait already
	outcomeLate          // no place became free in time
	outcomeLeft          // the caller's context ended
)

// tryTake takes a place if one is free.
func (q *queue) tryTake() bool {
	select {
	case q.places <- struct{}{}:
		return true
	default:
		return false
	}
}

// wait says how long a statement waits, in one queue and then in the other: unbounded, as long as its
// context lasts; steady, for maxWait; otherwise for maxStall, and on to maxWait while the queue moves.
type wait struct {
	since             time.Time
	unbounded, steady bool
}

// take takes a place as soon as one is free. served is the queue's count when the wait began.
func (q *queue) take(ctx context.Context, w wait, served uint64) outcome {
	if q.tryTake() {
		return outcomeTaken
	}
	q.length.Add(1)
	defer q.length.Add(-1)
	tooLong := make(chan struct{})
	if !w.unbounded {
		defer q.startTimer(w, served, func() { close(tooLong) }).Stop()
	}
	select {
	case q.places <- struct{}{}:
		return outcomeTaken
	case <-tooLong:
		return outcomeLate
	case <-ctx.Done():
		return outcomeLeft
	}
}

// startTimer starts a timer that calls giveUp once, when the statement has waited long enough. The
// statement keeps its place in the queue meanwhile.
func (q *queue) startTimer(w wait, seen uint64, giveUp func()) *time.Timer {
	left, first := time.Until(w.since.Add(maxWait)), time.Until(w.since.Add(maxStall))
	switch {
	case w.steady:
		first = left
	case first <= 0: // the queue before this one moved
		first, seen = min(maxStall, left), q.served.Load()
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Hour, func() {
		served := q.served.Load()
		if served == seen || time.Since(w.since) >= maxWait {
			giveUp()
			return
		}
		seen = served
		timer.Reset(maxStall)
	})
	timer.Reset(first)
	return timer
}

// serviceRate is a moving average of the time between two places that become free while statements wait.
type serviceRate struct {
	mu      sync.Mutex
	last    time.Time    // when a place became free that somebody waited for; zero when nobody did
	spent   float64      // seconds between such places, decayed
	samples float64      // how many they were, decayed; above zero
	average atomic.Int64 // spent / samples, in nanoseconds
}

// paceDecay is the time constant of the moving average of service times. A machine that stood still for
// a moment does not count as slow.
const paceDecay = time.Second

func (r *serviceRate) mean() time.Duration { return time.Duration(r.average.Load()) }

// observe records that a place becomes free, and whether somebody waits for it.
func (r *serviceRate) observe(awaited bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !awaited {
		r.last = time.Time{}
		return
	}
	now := time.Now()
	if !r.last.IsZero() {
		took := now.Sub(r.last)
		decay := math.Exp(-took.Seconds() / paceDecay.Seconds())
		r.spent, r.samples = r.spent*decay+took.Seconds(), r.samples*decay+1
		r.average.Store(int64(r.spent / r.samples * 1e9))
	}
	r.last = now
}
