package gate

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// queue is a number of places. Statements that wait for one are served first come, first served.
type queue struct {
	places chan struct{} // holds one element for each taken place
	length atomic.Int32  // number of waiting statements
	served atomic.Uint64 // number of statements that had a place and were answered
}

type outcome int

const (
	outcomeTaken outcome = iota
	outcomeFull          // too many statements already wait
	outcomeLate          // no place became free in time
	outcomeLeft          // the statement's context ended
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

// wait is how long a statement waits, for its tenant's place and then for the pool's. An unbounded
// wait lasts as long as the context. A steady wait ends after maxWait. Any other wait ends when the
// queue has not moved for maxStall, and in any case after maxWait.
type wait struct {
	since             time.Time
	unbounded, steady bool
}

// take waits for a place and takes it. served is the queue's served count when the wait began.
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

// startTimer starts a timer that calls giveUp when the statement has waited long enough. Until then
// the statement keeps its place in the queue.
func (q *queue) startTimer(w wait, seen uint64, giveUp func()) *time.Timer {
	left, first := time.Until(w.since.Add(maxWait)), time.Until(w.since.Add(maxStall))
	switch {
	case w.steady:
		first = left
	case first <= 0: // the wait in the first queue, which moved, took longer than maxStall
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

// serviceRate measures the mean time between two places that become free while statements wait.
type serviceRate struct {
	mu      sync.Mutex
	last    time.Time    // when the last awaited place became free; zero if no statement waited for it
	spent   float64      // total time between such places, in seconds, decayed
	samples float64      // number of such places, decayed; always above zero
	average atomic.Int64 // spent / samples, in nanoseconds
}

// paceDecay is the time constant of the moving average of service times. It is short, so that a
// machine that paused for a moment does not count as slow.
const paceDecay = time.Second

func (r *serviceRate) mean() time.Duration { return time.Duration(r.average.Load()) }

// observe records that a place became free, and whether a statement waits for it.
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
