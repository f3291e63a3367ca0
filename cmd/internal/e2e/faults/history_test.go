//go:build faults

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// customerGroup is a few customers with a few email addresses, and the history of the clients'
// operations on them. No other customer has these addresses.
type customerGroup struct {
	name  string
	began time.Time

	mu         sync.Mutex
	history    []porcupine.Operation
	ids        map[int]string // ids of the customers that a client has seen
	last       int            // number of the last write
	population int            // upper limit of the customers that exist
	unknowns   int            // writes of unknown outcome
	violations []string
}

// These limits keep the history of a group short enough for the check, whose time doubles with each
// write of unknown outcome.
const (
	groupClients      = 4 // clients
	addresses         = 2
	historySize       = 80
	historyUnknown    = 6
	maxGroupCustomers = maxCustomers - groupClients
)

func (n *customerGroup) email(address int) string {
	text := fmt.Sprintf("%s.%d@example.com", n.name, address)
	if rand.IntN(2) == 0 { // in upper case it is the same address
		return strings.ToUpper(text)
	}
	return text
}

// isLongEnough reports whether the history has reached one of its limits.
func (n *customerGroup) isLongEnough() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.history) >= historySize || n.unknowns >= historyUnknown
}

// chooseRequest chooses a client's next request at random.
func (n *customerGroup) chooseRequest() (in request, id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	in = request{value: n.last, address: 1 + rand.IntN(addresses), flag: rand.IntN(4) == 0}
	dice := rand.IntN(100)
	switch {
	case dice < 12:
		return request{action: toList, address: in.address}, ""
	case (dice < 40 || len(n.ids) == 0) && n.population < maxGroupCustomers:
		n.population++
		in.who = n.last
		return in, ""
	case len(n.ids) == 0:
		return request{action: toList, address: in.address}, ""
	}
	known := make([]int, 0, len(n.ids))
	for who := range n.ids {
		known = append(known, who)
	}
	who := known[rand.IntN(len(known))]
	switch {
	case dice < 55:
		return request{action: toGet, who: who}, n.ids[who]
	case dice < 70:
		return request{action: toDelete, who: who}, n.ids[who]
	case dice < 85:
		return request{action: toUpdate, who: who, value: in.value}, n.ids[who]
	}
	in.action, in.who = toUpdate, who
	return in, n.ids[who]
}

// perform sends the request through one of the APIs.
func (n *customerGroup) perform(ctx context.Context, c *caller, in request, id string) (out response, customers []customer) {
	var one customer
	value := strconv.Itoa(in.value)
	input := map[string]any{"name": value, "userId": value}
	if in.address != 0 {
		input["email"] = n.email(in.address)
	}
	if in.flag {
		input["dangerouslyAllowSameEmailForDifferentCustomers"] = true
	}
	switch in.action {
	case toCreate:
		input["taxId"] = strconv.Itoa(in.who)
		out.verdict, one = c.create(ctx, input)
	case toUpdate:
		out.verdict, one = c.update(ctx, id, input)
	case toDelete:
		out.verdict = c.remove(ctx, id)
	case toGet:
		out.verdict, one = c.get(ctx, id)
	case toList:
		out.verdict, customers = c.holders(ctx, n.email(in.address))
	}
	if out.verdict != done || in.action == toDelete {
		return out, nil
	}
	if in.action != toList {
		customers = []customer{one}
		out.customerState = n.customerState(one)
		return out, customers
	}
	for _, p := range customers {
		out.customers = append(out.customers, n.customerState(p))
	}
	inOrder(out.customers)
	return out, customers
}

// customerState returns the model's state of a customer.
func (n *customerGroup) customerState(p customer) customerState {
	b := customerState{who: whoIs(p)}
	_, _ = fmt.Sscanf(p.Name, "%d", &b.value)
	_, _ = fmt.Sscanf(strings.ToLower(p.Email), n.name+".%d@", &b.address)
	if p.Name != p.UserID {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.violations = append(n.violations, fmt.Sprintf("only a part of a write was stored: %+v", p))
	}
	return b
}

func whoIs(p customer) (who int) {
	_, _ = fmt.Sscanf(p.TaxID, "%d", &who)
	return who
}

// addToHistory adds an operation to the history, except for a read of unknown outcome, which says
// nothing.
func (n *customerGroup) addToHistory(call int64, in request, out response, customers []customer) {
	returned := time.Since(n.began).Nanoseconds()
	n.mu.Lock()
	defer n.mu.Unlock()
	write := in.action != toGet && in.action != toList
	if out.verdict == unknown {
		if !write {
			return
		}
		n.unknowns++
		returned = never
	}
	if in.action == toCreate && out.verdict == taken || in.action == toDelete && out.verdict == done {
		n.population--
	}
	if in.action == toDelete && out.verdict == done && rand.IntN(4) > 0 {
		delete(n.ids, in.who) // clients go on using a quarter of the deleted customers
	}
	for _, p := range customers {
		n.ids[whoIs(p)] = p.ID
	}
	n.history = append(n.history, at(call, returned, in, out))
}

// runClients runs clients on the group until its history is long enough.
func (n *customerGroup) runClients(ctx context.Context, url string, m storetest.Merchant, log *exchangeLog) {
	var clients sync.WaitGroup
	for range groupClients {
		clients.Go(func() {
			c := newCaller(url, m.WriteKey, log)
			c.turns = rand.IntN(2)
			defer c.close()
			for !n.isLongEnough() {
				in, id := n.chooseRequest()
				call := time.Since(n.began).Nanoseconds()
				out, customers := n.perform(ctx, c, in, id)
				n.addToHistory(call, in, out, customers)
				if out.verdict == unknown {
					time.Sleep(20 * time.Millisecond) // as a client does after Retry-After
				}
			}
		})
	}
	clients.Wait()
}

// cutAtRandom cuts connections at random until it is stopped: at once, after some bytes, or after a
// period in which no bytes pass. stop returns the number of cuts.
func cutAtRandom(t testing.TB, wires ...*wire) (stop func() int) {
	stopped := make(chan struct{})
	var busy sync.WaitGroup
	cuts := 0
	busy.Go(func() {
		for {
			select {
			case <-stopped:
				return
			case <-time.After(time.Duration(20+rand.IntN(200)) * time.Millisecond):
			}
			w, direction := wires[rand.IntN(len(wires))], []string{"upstream", "downstream"}[rand.IntN(2)]
			kind, attributes := "reset_peer", `{"timeout": 0}`
			switch rand.IntN(3) {
			case 0:
				kind, attributes = "limit_data", fmt.Sprintf(`{"bytes": %d}`, rand.IntN(1200))
			case 1:
				kind, attributes = "timeout", fmt.Sprintf(`{"timeout": %d}`, 1+rand.IntN(100))
			}
			heal := w.add(t, kind, direction, 0.5, attributes)
			time.Sleep(time.Duration(5+rand.IntN(60)) * time.Millisecond)
			heal()
			cuts++
		}
	})
	return func() int { close(stopped); busy.Wait(); return cuts }
}

// fewest returns the smallest of the numbers of all kinds of operations.
func fewest(numbers map[action]int) int {
	smallest := numbers[toCreate]
	for kind := toCreate; kind <= toList; kind++ {
		smallest = min(smallest, numbers[kind])
	}
	return smallest
}

// TestFaultsHistoriesAreLinearizable cuts connections at random while clients read and write. The
// history of their operations must be linearizable: each operation takes effect at one moment
// between its call and its return, or, if its outcome is unknown, later or never. Three merchants
// have the same groups, so that the test also detects if one merchant reads another's customers.
func TestFaultsHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	db := storetest.NewBreakable(t, storetest.BreakableOptions{})
	toPostgres := newWire(t, db.Address())
	s := startService(t, db.AppURLAt(toPostgres.Listen))
	toService := newWire(t, strings.TrimPrefix(s.url, "http://"))
	s.p.Canaries.Covers(t, toService.Listen)
	log := &exchangeLog{}
	wanted := rounds(500, 100_000)

	var mu sync.Mutex
	var sample []porcupine.Operation
	operations, unknowns, histories, slowest := 0, 0, 0, time.Duration(0)
	happened := map[action]int{} // number of successful operations of each kind
	check := func(n *customerGroup) {
		began := time.Now()
		result := linearizable(n.history)
		mu.Lock()
		defer mu.Unlock()
		unknowns, histories, slowest = unknowns+n.unknowns, histories+1, max(slowest, time.Since(began))
		for _, o := range n.history {
			action := o.Input.(request).action
			if action != toList {
				operations++
			}
			if o.Output.(response).verdict == done {
				happened[action]++
			}
		}
		if result != porcupine.Ok || len(n.violations) > 0 {
			t.Errorf("%s is %v: %v\n%s", n.name, result, n.violations, describe(n.history))
			wanted = 0
		}
		if slices.ContainsFunc(n.history, isGot) {
			sample = n.history
		}
	}
	// more reports whether the histories need more operations: in total or, up to four times as many,
	// successful ones of some kind.
	more := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return operations < wanted || operations < 4*wanted && fewest(happened) <= wanted/20
	}

	stop := cutAtRandom(t, toPostgres, toService)
	var merchants sync.WaitGroup
	for i := range 3 {
		m := db.Merchant(t, "Street "+strconv.Itoa(i))
		merchants.Go(func() {
			for turn := 0; more(); turn++ {
				n := &customerGroup{name: fmt.Sprintf("n%d", turn), began: time.Now(), ids: map[int]string{}}
				n.runClients(t.Context(), "http://"+toService.Listen, m, log)
				check(n)
			}
		})
	}
	merchants.Wait()
	cuts := stop()
	t.Logf("%d operations without lists in %d histories; successful creates, updates, deletes, gets and lists: %v; %d writes of unknown outcome, %d cuts; slowest check %v; %s",
		operations, histories, happened, unknowns, cuts, slowest.Round(time.Millisecond), summary(log.between(time.Time{}, time.Time{})))
	require.Empty(t, log.violations())
	require.True(t, s.runs(), "the service ended")
	require.Positive(t, unknowns, "the cuts must make some outcomes unknown")
	require.Greater(t, cuts, histories/10)
	require.Greater(t, fewest(happened), wanted/20)

	// Control: with a read of a value that no client wrote, the history is illegal.
	lie := slices.Clone(sample)
	i := slices.IndexFunc(lie, isGot)
	require.GreaterOrEqual(t, i, 0)
	out := lie[i].Output.(response)
	out.customerState.value += 1_000_000
	lie[i].Output = out
	require.Equal(t, porcupine.Illegal, linearizable(lie))
}

// isGot reports whether the operation read a customer.
func isGot(o porcupine.Operation) bool {
	return o.Input.(request).action == toGet && o.Output.(response).verdict == done
}

// describe returns a history as text, one operation a line.
func describe(history []porcupine.Operation) string {
	var b strings.Builder
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	for _, o := range history {
		fmt.Fprintf(&b, "%12d %12d %+v -> %+v\n", o.Call/1000, min(o.Return, never-1)/1000, o.Input, o.Output)
	}
	return b.String()
}
