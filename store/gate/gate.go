// Package gate decides which statement may use a pool's next free connection. Statements belong to
// tenants, which the package knows by name only.
package gate

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxWait is how long a statement waits for its turn. A statement that would wait longer is
	// refused.
	maxWait = 3 * time.Second

	// maxStall is how long a statement waits while none of its tenant's statements finishes, if
	// the tenant has more statements here than its concurrency.
	maxStall = time.Second

	// maxQueue bounds the number of statements that wait at a gate. A statement beyond it would
	// wait in vain, so it is refused at once. A tenant may have as many waiting statements as
	// there is room left: half of the room if it is alone, a third if there are two tenants. So
	// a new tenant finds room, however many statements the others send.
	maxQueue = 1024

	// maxExpectedWait bounds the wait that is expected for a new statement, by the pool's service
	// rate. A queue that is always full serves nobody. The bound does not apply while fewer
	// statements wait for the pool than it has connections, as with two tenants.
	maxExpectedWait = time.Second / 2

	// reservedFraction is the share of the pool that the continued work of one tenant may use: 1/8.
	reservedFraction = 8

	// maxTenantShare is the share of the pool that one tenant may use: 3/4.
	maxTenantShare = 0.75

	// initialSamples is the weight of the initial service time of zero, so that a new pool counts
	// as fast.
	initialSamples = 32
)

// The errors of refused statements. If the context of a statement ended, its error is the
// context's.
var (
	// ErrOverloaded means that too many statements wait, or that the database answers none.
	ErrOverloaded = errors.New("gate: too many statements wait for a connection")
	// ErrTenantLimit means that the tenant's own statements use all connections that it may use.
	ErrTenantLimit = errors.New("gate: the tenant has reached its limit of statements")
)

// Gate admits statements to a pool of connections, so that none waits in the pool itself. Each
// tenant may use a part of the pool only, so a tenant with many or slow statements leaves
// connections to the others.
type Gate struct {
	pool           queue
	rate           serviceRate // of the pool
	limit          int         // connections of one tenant
	continuedLimit int         // connections of one tenant's continued work
	concurrency    int         // statements of one tenant that may wait for maxWait in any case

	mu      sync.Mutex
	tenants map[string]*Tenant // tenants that have statements here

	waiting   atomic.Int32 // statements of all tenants that can be refused
	continued atomic.Int32 // waiting statements of continued work

	waits  atomic.Uint64
	waited atomic.Int64 // total wait, in nanoseconds

	overloads, tenantLimits atomic.Uint64 // refusals
}

// Tenant is one of the parties whose statements compete for connections, such as a merchant.
type Tenant struct {
	queue
	name    string
	here    int // statements that wait or run
	waiting atomic.Int32
}

// New returns the gate of a pool with this number of connections. concurrency is the number of
// statements that one tenant may run at once. It is capped at three quarters of the connections.
func New(connections, concurrency int) *Gate {
	continuedLimit := max(1, connections/reservedFraction)
	// A tenant and its continued work together leave at least one connection to others, if there
	// are three.
	limit := max(1, min(concurrency, int(float64(connections)*maxTenantShare), connections-continuedLimit-1))
	g := &Gate{
		limit: limit, continuedLimit: continuedLimit, concurrency: concurrency, tenants: make(map[string]*Tenant),
	}
	g.pool.places = make(chan struct{}, connections)
	g.rate.samples = initialSamples
	return g
}

// Enter waits until a statement of the named tenant may use a connection. The caller must pass the
// Tenant that Enter returns to Leave. The errors are ErrOverloaded, ErrTenantLimit and the error of
// ctx.
//
// Statements are served first come, first served, and wait at most 3 s. A tenant's statements
// beyond its concurrency wait at most 1 s while none of its statements finishes. Continued work
// (see Continue) is not refused because others wait, and waits as long as ctx lasts. It has a small
// limit of its own, because it is not urgent and would keep the database busy for everybody.
func (g *Gate) Enter(ctx context.Context, name string) (*Tenant, error) {
	served := g.pool.served.Load()
	limit := g.limit
	if isContinued(ctx) {
		name, limit = name+" continues", g.continuedLimit
	}
	t, here := g.arrive(name, limit)
	outcome, byLimit := g.takePlaces(ctx, t, here)
	if outcome != outcomeTaken {
		g.depart(t)
		// If the database answered nobody meanwhile, the tenant's limit is not the reason.
		answers := g.pool.served.Load() != served
		return nil, g.refuse(ctx, outcome, byLimit && outcome == outcomeLate && answers)
	}
	return t, nil
}

// takePlaces takes a place in the tenant's limit and one in the pool, or neither. byLimit reports
// whether it failed because of the tenant's limit. here is the number of the tenant's statements,
// including this one.
func (g *Gate) takePlaces(ctx context.Context, t *Tenant, here int) (o outcome, byLimit bool) {
	hasOwn := t.tryTake()
	if hasOwn && g.pool.tryTake() {
		return outcomeTaken, false
	}
	continued := isContinued(ctx)
	w := wait{since: time.Now(), unbounded: continued, steady: here <= g.concurrency}
	servedTenant, servedAll := t.served.Load(), g.pool.served.Load()
	all := &g.waiting
	if continued {
		all = &g.continued
	}
	defer func() { t.waiting.Add(-1); all.Add(-1) }()
	all.Add(1)
	t.waiting.Add(1)
	if !continued && g.isFull(t, 0) {
		if hasOwn {
			<-t.places
		}
		return outcomeFull, !hasOwn
	}
	defer func() { g.waits.Add(1); g.waited.Add(int64(time.Since(w.since))) }()
	if !hasOwn {
		if o := t.take(ctx, w, servedTenant); o != outcomeTaken {
			return o, true
		}
	}
	if o := g.pool.take(ctx, w, servedAll); o != outcomeTaken {
		<-t.places
		return o, false
	}
	return outcomeTaken, false
}

// Admit returns ErrOverloaded if Enter would refuse the tenant's statement at once. It takes no
// place.
func (g *Gate) Admit(name string) error {
	g.mu.Lock()
	t := g.tenants[name]
	g.mu.Unlock()
	if t == nil {
		t = &Tenant{}
	}
	if !g.isFull(t, 1) {
		return nil
	}
	g.overloads.Add(1)
	return ErrOverloaded
}

// isFull reports whether there is no room for the tenant's waiting statements and more others to
// wait.
func (g *Gate) isFull(t *Tenant, more int32) bool {
	return t.waiting.Load()+g.waiting.Load()+2*more > maxQueue || g.isSlow(t)
}

// isSlow reports whether one more statement of the tenant would wait too long: for the queue of the
// pool to pass, and for it to pass once more for each limit's worth of the tenant's own waiting
// statements. So a new tenant may wait while a tenant that floods the gate is refused.
func (g *Gate) isSlow(t *Tenant) bool {
	queued, own, limit := time.Duration(g.pool.length.Load()), time.Duration(t.length.Load()), time.Duration(g.limit)
	return int(queued) >= cap(g.pool.places) && queued*g.rate.mean()*(limit+own)/limit > maxExpectedWait
}

// Leave ends a statement that Enter admitted. answered reports whether the database answered it:
// only answered statements count as progress for those that wait.
func (g *Gate) Leave(t *Tenant, answered bool) {
	if answered {
		g.pool.served.Add(1)
		t.served.Add(1)
	}
	g.rate.observe(g.pool.length.Load() > 0)
	<-g.pool.places
	<-t.places
	g.depart(t)
}

// Stats are the counts of a gate.
type Stats struct {
	// Waiting is the number of statements that wait, for a connection or for their tenant's limit.
	Waiting int
	// Waits is the number of statements that have waited, and Waited their total wait.
	Waits  uint64
	Waited time.Duration
	// Overloads counts the statements that were refused because too many waited, TenantLimits those
	// that were refused because their tenant had reached its limit.
	Overloads, TenantLimits uint64
}

// Stats returns the current counts.
func (g *Gate) Stats() Stats {
	return Stats{
		Waiting: int(g.waiting.Load() + g.continued.Load()), Waits: g.waits.Load(),
		Waited: time.Duration(g.waited.Load()), Overloads: g.overloads.Load(), TenantLimits: g.tenantLimits.Load(),
	}
}

// arrive adds a statement to the tenant and returns the tenant and the number of its statements. A
// new tenant gets the limit.
func (g *Gate) arrive(name string, limit int) (*Tenant, int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tenants[name]
	if t == nil {
		t = &Tenant{name: name}
		t.places = make(chan struct{}, limit)
		g.tenants[name] = t
	}
	t.here++
	return t, t.here
}

func (g *Gate) depart(t *Tenant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.here--; t.here == 0 {
		delete(g.tenants, t.name)
	}
}

// refuse returns the error for a statement that was not admitted, and counts it.
func (g *Gate) refuse(ctx context.Context, outcome outcome, byLimit bool) error {
	switch {
	case outcome == outcomeLeft:
		return ctx.Err()
	case byLimit:
		g.tenantLimits.Add(1)
		return ErrTenantLimit
	default:
		g.overloads.Add(1)
		return ErrOverloaded
	}
}
