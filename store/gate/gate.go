// Package gate decides which statement may use a connection of a pool next. It knows tenants by name
// and nothing else of Lumen's.
package gate

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxWait is how long a statement waits for its turn. A statement that would wait longer is refused.
	maxWait = 3 * time.Second

	// maxStall is how long a statement waits while none of its tenant's statements finishes, when the
	// tenant has more statements here than its concurrency limit.
	maxStall = time.Second

	// maxQueue bounds how many statements wait at a gate. Beyond it waiting would be in vain, and an
	// immediate refusal leaves the time to statements that are served. A tenant may have as many
	// waiting as there is room left: half of it when it is alone, a third when there are two tenants.
	// So a new tenant finds room, however many statements others send.
	maxQueue = 1024

	// maxExpectedWait bounds how long a new statement may be expected to wait, by the service rate of
	// the pool: a queue that is always full serves nobody. The bound does not count while fewer
	// statements wait for the pool than it has places, as with two tenants.
	maxExpectedWait = time.Second / 2

	// reservedFraction is the part of the pool that continued work of one tenant may use: 1/8.
	reservedFraction = 8

	// maxTenantShare is the part of the pool that one tenant may use: 3/4.
	maxTenantShare = 0.75

	// initialSamples is the weight of an initial service time of zero: a pool of which nothing is known
	// counts as quick.
	initialSamples = 32
)

// The reasons for which a statement is refused. A statement whose context ended gets the context's error.
var (
	// ErrOverloaded says that too many statements wait, or that none is answered.
	ErrOverloaded = errors.New("gate: too many statements wait for a connection")
	// ErrTenantLimit says that the tenant's own statements use all connections that it may use.
	ErrTenantLimit = errors.New("gate: the tenant has as many statements as it may have")
)

// Gate stands in front of a pool of connections and decides which statement comes next, so that none
// waits in the pool itself. Each tenant may use a part of the pool: a tenant whose statements are many
// or slow leaves connections to the others.
type Gate struct {
	pool           queue
	rate           serviceRate // of the pool
	limit          int         // connections of each tenant
	continuedLimit int         // connections of each tenant's continued work
	concurrency    int         // statements of a tenant that may wait for maxWait whatever happens

	mu      sync.Mutex
	tenants map[string]*Tenant // those with a statement here

	waiting   atomic.Int32 // statements of all tenants that can be refused
	continued atomic.Int32 // waiting statements of continued work

	waits  atomic.Uint64
	waited atomic.Int64 // nanoseconds in all

	overloads, tenantLimits atomic.Uint64 // refusals
}

// Tenant is one of those whose statements compete for connections, such as a merchant.
type Tenant struct {
	queue
	name    string
	here    int // statements that wait or run
	waiting atomic.Int32
}

// New returns the gate of a pool with this number of connections. Concurrency is how many statements of
// one tenant may run at once. It is capped at three quarters of the connections.
func New(connections, concurrency int) *Gate {
	continuedLimit := max(1, connections/reservedFraction)
	// With its continued work a tenant leaves a connection to others, if there are at least three.
	limit := max(1, min(concurrency, int(float64(connections)*maxTenantShare), connections-continuedLimit-1))
	g := &Gate{
		limit: limit, continuedLimit: continuedLimit, concurrency: concurrency, tenants: make(map[string]*Tenant),
	}
	g.pool.places = make(chan struct{}, connections)
	g.rate.samples = initialSamples
	return g
}

// Enter waits until a statement of the tenant with this name may use a connection. The caller must call
// Leave with the Tenant that Enter returns. Its errors are ErrOverloaded, ErrTenantLimit, and that of ctx.
//
// Statements are served first come, first served, and wait at most 3 s. A tenant's statements beyond its
// concurrency wait at most 1 s while none of its statements finishes. Continued work (see Continue) is
// not refused because others wait, and waits as long as ctx lasts. It has a small limit of its own, since
// it is in no hurry and would keep the database busy for everybody.
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
		// When the database answers nobody, the tenant's limit is not the reason.
		answers := g.pool.served.Load() != served
		return nil, g.refuse(ctx, outcome, byLimit && outcome == outcomeLate && answers)
	}
	return t, nil
}

// takePlaces takes a place of the tenant's limit and one of the pool, or none. byLimit reports whether
// the tenant's limit was the reason for a failure. here counts the tenant's statements, this one included.
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

// Admit returns ErrOverloaded when Enter would refuse the tenant at once. It takes nothing.
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

// isFull reports whether the tenant's waiting statements, and this number more, have no room to wait.
func (g *Gate) isFull(t *Tenant, more int32) bool {
	return t.waiting.Load()+g.waiting.Load()+2*more > maxQueue || g.isSlow(t)
}

// isSlow reports whether one more statement of a tenant would wait too long: until the queue of the pool
// has passed, and once more for each limit's worth of the tenant's statements that wait to join it. So a
// new tenant may wait where those who flood are refused.
func (g *Gate) isSlow(t *Tenant) bool {
	queued, own, limit := time.Duration(g.pool.length.Load()), time.Duration(t.length.Load()), time.Duration(g.limit)
	return int(queued) >= cap(g.pool.places) && queued*g.rate.mean()*(limit+own)/limit > maxExpectedWait
}

// Leave ends what Enter began. answered reports whether the database answered the statement: only
// answers count as progress for those who wait.
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

// Stats are counts of a gate.
type Stats struct {
	// Waiting is how many statements wait for a connection or for their tenant's limit.
	Waiting int
	// Waits is how many statements have waited, and Waited for how long in all.
	Waits  uint64
	Waited time.Duration
	// Overloads counts refusals because too many statements waited, TenantLimits those because the
	// tenant had reached its limit.
	Overloads, TenantLimits uint64
}

// Stats returns the counts as they are now.
func (g *Gate) Stats() Stats {
	return Stats{
		Waiting: int(g.waiting.Load() + g.continued.Load()), Waits: g.waits.Load(),
		Waited: time.Duration(g.waited.Load()), Overloads: g.overloads.Load(), TenantLimits: g.tenantLimits.Load(),
	}
}

// arrive returns the tenant, which has this limit, and the number of its statements here with this one.
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

// refuse returns the error of a statement that was not admitted.
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
