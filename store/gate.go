package store

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxWait is how long a statement waits for its turn. Who would wait longer is told to come back.
	maxWait = time.Second

	// maxWaiting is how many statements may wait for the same. Past it waiting would be in vain: to say so at once leaves
	// the time to those who are served.
	maxWaiting = 256
)

// gate stands in front of a pool of connections and says who comes next, so that nobody waits in the pool itself. Of the
// pool each party has a share and no more: one whose statements are many, or slow, leaves connections to the others.
type gate struct {
	pool  queue
	share int // of each party

	mu      sync.Mutex
	parties map[string]*party // that have a statement here

	opened   time.Time
	answered atomic.Int64 // how long after that the database last answered anybody, in nanoseconds

	// How many were refused: because too much was going on, and because their own party had its share.
	overloads, crowded atomic.Uint64
}

// party is somebody whose statements compete with others': a merchant.
type party struct {
	queue
	name string
	here int // statements that wait or run
}

// newGate returns the gate of a pool of so many connections, of which a party may hold share.
func newGate(connections, share int) *gate {
	g := &gate{share: share, opened: time.Now(), parties: make(map[string]*party)}
	g.pool.places = make(chan struct{}, connections)
	return g
}

// ofPool is the greatest share that leaves something of a pool to others.
func ofPool(connections int) int { return max(1, connections*3/4) }

// enter waits for a connection's turn; afterwards leave must be called with what it returned. Unavailable when too much is
// going on, or nothing; RateLimited when it is the party's own doing. Who continues what was begun is not turned away for
// the number of those who wait, and waits longer.
func (g *gate) enter(ctx context.Context, name string) (*party, error) {
	p, arrived := g.arrive(name), time.Now()
	until := arrived.Add(maxWait)
	if outcome := p.take(ctx, until); outcome != taken {
		g.depart(p)
		// Where the database answers nobody, no share is to blame.
		answers := g.answered.Load() > int64(arrived.Sub(g.opened))
		return nil, g.refuse(ctx, outcome, outcome == late && answers)
	}
	if outcome := g.pool.take(ctx, until); outcome != taken {
		<-p.places
		g.depart(p)
		return nil, g.refuse(ctx, outcome, false)
	}
	return p, nil
}

// leave ends what enter began; err is how the statement ended.
func (g *gate) leave(p *party, err error) {
	if err == nil || !isOutage(err) {
		g.answered.Store(int64(time.Since(g.opened)))
	}
	<-g.pool.places
	<-p.places
	g.depart(p)
}

func (g *gate) arrive(name string) *party {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.parties[name]
	if p == nil {
		p = &party{name: name}
		p.places = make(chan struct{}, g.share)
		g.parties[name] = p
	}
	p.here++
	return p
}

func (g *gate) depart(p *party) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.here--; p.here == 0 {
		delete(g.parties, p.name)
	}
}

// refuse returns the error of who did not get in, through their own doing or not.
func (g *gate) refuse(ctx context.Context, outcome outcome, own bool) error {
	switch {
	case outcome == left:
		return unavailable(ctx.Err())
	case own:
		g.crowded.Add(1)
		return NewError(RateLimited)
	default:
		g.overloads.Add(1)
		return NewError(Unavailable)
	}
}

// queue is a number of places, and those who wait for one, first come, first served.
type queue struct {
	places  chan struct{} // holds one for each that is taken
	waiting atomic.Int32
}

type outcome int

const (
	taken outcome = iota
	full          // too many wait already
	late          // none became free in time
	left          // the caller's context ended
)

func (q *queue) take(ctx context.Context, until time.Time) outcome {
	select {
	case q.places <- struct{}{}:
		return taken
	default:
	}
	defer q.waiting.Add(-1)
	continues := ctx.Value(continuing{}) != nil
	if q.waiting.Add(1) > maxWaiting && !continues {
		return full
	}
	if continues {
		until = until.Add(patience - maxWait)
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case q.places <- struct{}{}:
		return taken
	case <-timer.C:
		return late
	case <-ctx.Done():
		return left
	}
}

type continuing struct{}

// continues marks the statements run under ctx as parts of something that is half done, such as a list of which a client
// has received the beginning.
func continues(ctx context.Context) context.Context {
	return context.WithValue(ctx, continuing{}, true)
}
