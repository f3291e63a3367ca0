package store

import (
	"context"
	"database/sql"
	"lumen/store/postgres"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxStay is how long a statement waits for its turn. Who would wait longer is told to come back.
	maxStay = 3 * time.Second

	// maxWait is how long it waits where nothing moves, when its party has more here than may be at once.
	maxWait = time.Second

	// maxWaiting bounds how many statements wait for their turn at a gate. Past it waiting would be in vain: to say so at once
	// leaves the time to those who are served. A party may have as many waiting as there is room for yet: half of it when it
	// is alone, a third when there are two. So whoever comes anew finds room, however many others flood.
	maxWaiting = 1024

	// maxDelay is how long the wait may be expected to last, by the pace of the pool, for one who comes: a queue that many keep
	// full serves nobody. It does not count where fewer wait for the pool than it has places, as they do when two parties are here.
	maxDelay = time.Second / 2
)

// gate stands in front of a pool of connections and says who comes next, so that nobody waits in the pool itself. Of the
// pool each party has a share and no more: one whose statements are many, or slow, leaves connections to the others.
type gate struct {
	pool   queue
	pace   pace // of the pool
	share  int  // of each party
	rest   int  // of what a party continues
	atOnce int  // statements of a party that may wait as long as that takes

	mu      sync.Mutex
	parties map[string]*party // that have a statement here

	waiting   atomic.Int32 // statements of all parties that can be refused
	continued atomic.Int32 // those that continue something and wait

	waits  atomic.Uint64
	waited atomic.Int64 // for how many nanoseconds in all

	// How many were refused: because too much was going on, and because their own party had its share.
	overloads, crowded atomic.Uint64
}

// party is somebody whose statements compete with others': a merchant.
type party struct {
	queue
	name    string
	here    int // statements that wait or run
	waiting atomic.Int32
}

// newGate returns the gate of a pool of so many connections, of which a party may hold its share, for parties of which each
// may have so many statements here at once.
func newGate(connections, atOnce int) *gate {
	rest := max(1, connections/8)
	share := max(1, min(atOnce, connections*3/4, connections-rest-1)) // with what it continues it leaves one, if there are three
	g := &gate{share: share, rest: rest, atOnce: atOnce, parties: make(map[string]*party)}
	g.pool.places = make(chan struct{}, connections)
	g.pace.places = 32 // a pool of which nothing is known is quick
	return g
}

// enter waits for a connection's turn; afterwards leave must be called with what it returned. Unavailable when too much is
// going on, or nothing; RateLimited when it is the party's own doing. Who continues what was begun is not turned away for
// the number of those who wait, and waits as long as ctx lasts. What a party continues counts for itself, with a share that is
// small: it is in no hurry, and would keep the database busy for everybody.
func (g *gate) enter(ctx context.Context, name string) (*party, error) {
	served := g.pool.served.Load()
	share := g.share
	if isContinued(ctx) {
		name, share = name+" continues", g.rest
	}
	p, here := g.arrive(name, share)
	outcome, own := g.turn(ctx, p, here)
	if outcome != taken {
		g.depart(p)
		// Where the database answers nobody, no share is to blame.
		answers := g.pool.served.Load() != served
		return nil, g.refuse(ctx, outcome, own && outcome == late && answers)
	}
	return p, nil
}

// turn takes a place of the party's share and one of the pool, or none; own is whether the share was what it failed for. The
// party has so many statements here.
func (g *gate) turn(ctx context.Context, p *party, here int) (o outcome, own bool) {
	shared := p.free()
	if shared && g.pool.free() {
		return taken, false
	}
	continues := isContinued(ctx)
	w := wait{since: time.Now(), patient: continues, steady: here <= g.atOnce}
	servedParty, servedAll := p.served.Load(), g.pool.served.Load()
	all := &g.waiting
	if continues {
		all = &g.continued
	}
	defer func() { p.waiting.Add(-1); all.Add(-1) }()
	all.Add(1)
	p.waiting.Add(1)
	if !continues && g.isFull(p, 0) {
		if shared {
			<-p.places
		}
		return full, !shared
	}
	defer func() { g.waits.Add(1); g.waited.Add(int64(time.Since(w.since))) }()
	if !shared {
		if o := p.take(ctx, w, servedParty); o != taken {
			return o, true
		}
	}
	if o := g.pool.take(ctx, w, servedAll); o != taken {
		<-p.places
		return o, false
	}
	return taken, false
}

// admit returns Unavailable where enter would turn the party away at once. It takes nothing.
func (g *gate) admit(name string) error {
	g.mu.Lock()
	p := g.parties[name]
	g.mu.Unlock()
	if p == nil {
		p = &party{}
	}
	if !g.isFull(p, 1) {
		return nil
	}
	g.overloads.Add(1)
	return NewError(Unavailable)
}

// isFull reports whether there is no room for a party's statements to wait in: those that do, and so many more.
func (g *gate) isFull(p *party, more int32) bool {
	return p.waiting.Load()+g.waiting.Load()+2*more > maxWaiting || g.isSlow(p)
}

// isSlow reports whether one more of a party would wait too long: until the queue of the pool has passed, and once more for each
// share of the party's that waits to join it. So who comes anew waits where those who flood are refused.
func (g *gate) isSlow(p *party) bool {
	line, own, share := time.Duration(g.pool.length.Load()), time.Duration(p.length.Load()), time.Duration(g.share)
	return int(line) >= cap(g.pool.places) && line*g.pace.mean()*(share+own)/share > maxDelay
}

// leave ends what enter began; err is how the statement ended.
func (g *gate) leave(p *party, err error) {
	if err == nil || !postgres.IsOutage(err) {
		g.pool.served.Add(1)
		p.served.Add(1)
	}
	g.pace.freed(g.pool.length.Load() > 0)
	<-g.pool.places
	<-p.places
	g.depart(p)
}

// stats returns what is known of the pool and of those who wait for it.
func (g *gate) stats(pool sql.DBStats) PoolStats {
	return PoolStats{DBStats: pool, Waiting: int(g.waiting.Load() + g.continued.Load()), Waits: g.waits.Load(), Waited: time.Duration(g.waited.Load())}
}

// arrive returns the party, which has this share, and how many statements it has here with this one.
func (g *gate) arrive(name string, share int) (*party, int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.parties[name]
	if p == nil {
		p = &party{name: name}
		p.places = make(chan struct{}, share)
		g.parties[name] = p
	}
	p.here++
	return p, p.here
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
	places chan struct{} // holds one for each that is taken
	length atomic.Int32  // how many wait
	served atomic.Uint64 // how many had one, and were answered
}

type outcome int

const (
	taken outcome = iota
	full          // too many wait already
	late          // none became free in time
	left          // the caller's context ended
)

// free takes a place if one is free.
func (q *queue) free() bool {
	select {
	case q.places <- struct{}{}:
		return true
	default:
		return false
	}
}

// wait is how somebody waits, for the one queue and then the other: patiently, for as long as their context lasts; steadily, for
// maxStay; or else for maxWait, and on to maxStay while the queue moves.
type wait struct {
	since           time.Time
	patient, steady bool
}

// take takes a place as soon as there is one for who waits like this since the queue had served so many.
func (q *queue) take(ctx context.Context, w wait, served uint64) outcome {
	if q.free() {
		return taken
	}
	q.length.Add(1)
	defer q.length.Add(-1)
	tooLong := make(chan struct{})
	if !w.patient {
		defer q.impatience(w, served, func() { close(tooLong) }).Stop()
	}
	select {
	case q.places <- struct{}{}:
		return taken
	case <-tooLong:
		return late
	case <-ctx.Done():
		return left
	}
}

// impatience calls giveUp, once, when somebody has waited long enough. It runs until it is stopped; whoever waits keeps their place in
// the queue meanwhile.
func (q *queue) impatience(w wait, seen uint64, giveUp func()) *time.Timer {
	left, first := time.Until(w.since.Add(maxStay)), time.Until(w.since.Add(maxWait))
	switch {
	case w.steady:
		first = left
	case first <= 0: // the queue before this one moved
		first, seen = min(maxWait, left), q.served.Load()
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Hour, func() {
		served := q.served.Load()
		if served == seen || time.Since(w.since) >= maxStay {
			giveUp()
			return
		}
		seen = served
		timer.Reset(maxWait)
	})
	timer.Reset(first)
	return timer
}

// pace is how long it takes, lately, until the next of those who wait has a place.
type pace struct {
	mu     sync.Mutex
	last   time.Time    // when a place became free that somebody waited for; zero when nobody did
	spent  float64      // seconds between such places, and how many they were; the longer ago, the less they count
	places float64      // above zero
	lately atomic.Int64 // spent / places, in nanoseconds
}

// paceLasts is how long ago what counts for 1/e of what is now was. A machine that stood still for a moment is not slow.
const paceLasts = time.Second

func (p *pace) mean() time.Duration { return time.Duration(p.lately.Load()) }

// freed notes that a place becomes free.
func (p *pace) freed(awaited bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !awaited {
		p.last = time.Time{}
		return
	}
	now := time.Now()
	if !p.last.IsZero() {
		took := now.Sub(p.last)
		counts := math.Exp(-took.Seconds() / paceLasts.Seconds())
		p.spent, p.places = p.spent*counts+took.Seconds(), p.places*counts+1
		p.lately.Store(int64(p.spent / p.places * 1e9))
	}
	p.last = now
}

type continuing struct{}

// continues marks the statements run under ctx as parts of something that is half done, such as a list of which a client
// has received the beginning.
func continues(ctx context.Context) context.Context {
	return context.WithValue(ctx, continuing{}, true)
}

func isContinued(ctx context.Context) bool { return ctx.Value(continuing{}) != nil }
