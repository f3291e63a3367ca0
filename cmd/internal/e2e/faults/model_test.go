//go:build faults

package faults

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// The model of a few customers who share a few addresses, whom nobody else writes to. It is checked as a whole, which
// says more than each customer and each address by itself: a move leaves one address and takes another at once.

// being is a live customer: who, where, and with what values. A customer is known by the operation that created it, as
// the id of one whose creation has an unknown outcome is not.
type being struct{ who, address, value int }

// world is the live customers, by who they are. It is comparable; a being that is nobody's is zero.
type world [worldSize]being

// worldSize bounds the customers who live at the same time, with creations of unknown outcome among them.
const worldSize = 16

func (w *world) find(who int) *being {
	for i := range w {
		if w[i].who == who {
			return &w[i]
		}
	}
	return nil
}

// held reports whether somebody else lives at the address.
func (w *world) held(address, by int) bool {
	return slices.ContainsFunc(w[:], func(b being) bool { return b.who != 0 && b.address == address && b.who != by })
}

// sort makes equal worlds equal.
func (w *world) sort() { inOrder(w[:]) }

type action int

const (
	toCreate action = iota
	toUpdate        // the values, and the address when it is not 0
	toDelete
	toGet
	toList // who lives at the address
)

// request is what a client asks.
type request struct {
	action
	who, address, value int
	flag                bool
}

// response is what it is told.
type response struct {
	verdict
	being  being   // of a get and an update
	people []being // of a list, in order
}

// step says whether a world could have answered so, and what it then is.
func step(state, input, output any) (bool, any) {
	w, in, out := state.(world), input.(request), output.(response)
	legal := w.apply(in, out)
	return legal, w
}

// apply works on w. What has an unknown outcome can always be done, changing the world or not, and so at the end of time,
// which is as if it never were.
func (w *world) apply(in request, out response) bool {
	own := w.find(in.who)
	refused := verdict(done)
	switch {
	case in.action != toCreate && in.action != toList && own == nil:
		refused = missing
	case in.address != 0 && in.action != toList && !in.flag && w.held(in.address, in.who) && (own == nil || own.address != in.address):
		refused = taken
	}
	if out.verdict != unknown && out.verdict != refused {
		return false
	}
	if refused != done {
		return true
	}
	switch in.action {
	case toCreate:
		own = w.find(0)
		if own == nil {
			panic("worldSize is too small")
		}
		*own = being{in.who, in.address, in.value}
	case toUpdate:
		own.value = in.value
		if in.address != 0 {
			own.address = in.address
		}
	case toDelete:
		*own = being{}
	case toList:
		return out.verdict == unknown || slices.Equal(w.at(in.address), out.people)
	}
	legal := out.verdict == unknown || in.action == toDelete || *own == out.being
	w.sort()
	return legal
}

// at lists who lives at an address, in order.
func (w *world) at(address int) (people []being) {
	for _, b := range w {
		if b.who != 0 && b.address == address {
			people = append(people, b)
		}
	}
	inOrder(people)
	return people
}

func inOrder(people []being) {
	slices.SortFunc(people, func(a, b being) int { return cmp.Compare(b.who, a.who) })
}

var model = porcupine.Model{
	Init: func() any { return world{} },
	Step: step,
	Hash: func(state any) (hash uint64) {
		for _, b := range state.(world) {
			for _, n := range []int{b.who, b.address, b.value} {
				hash = (hash ^ uint64(n)) * 1099511628211
			}
		}
		return hash
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// linearizable checks a history of one world. It takes no longer than a minute, which is Unknown.
func linearizable(history []porcupine.Operation) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model, history, time.Minute)
}

// at is an operation that is called and returns then; never for a return is the end of time.
func at(call, end int64, in request, out response) porcupine.Operation {
	return porcupine.Operation{Call: call, Return: end, Input: in, Output: out}
}

const never = int64(1) << 62

// What the checker is to find it finds, and what is as it should be it lets be.
func TestFaultsModelTellsRightFromWrong(t *testing.T) {
	t.Parallel()
	create := func(who, address int, flag bool) request {
		return request{action: toCreate, who: who, address: address, flag: flag}
	}
	ok := func(who, address, value int) response { return response{being: being{who, address, value}} }
	refused := func(v verdict) response { return response{verdict: v} }
	get := func(who int) request { return request{action: toGet, who: who} }
	list := func(address int) request { return request{action: toList, address: address} }
	move := func(who, address, value int) request {
		return request{action: toUpdate, who: who, address: address, value: value}
	}
	remove := func(who int) request { return request{action: toDelete, who: who} }
	one := at(0, 1, create(1, 1, false), ok(1, 1, 0))

	for name, history := range map[string][]porcupine.Operation{
		"the second of an address is refused":          {one, at(2, 3, create(2, 1, false), refused(taken))},
		"the flag lets it in":                          {one, at(2, 3, create(2, 1, true), ok(2, 1, 0)), at(4, 5, list(1), response{people: []being{{2, 1, 0}, {1, 1, 0}}})},
		"a deletion frees the address":                 {one, at(2, 3, remove(1), response{}), at(4, 5, create(2, 1, false), ok(2, 1, 0))},
		"so does a move":                               {one, at(2, 3, move(1, 2, 5), ok(1, 2, 5)), at(4, 5, create(2, 1, false), ok(2, 1, 0))},
		"of two at once one is let in":                 {at(0, 9, create(1, 1, false), ok(1, 1, 0)), at(0, 9, create(2, 1, false), refused(taken))},
		"an unknown create may take the address later": {at(0, never, create(1, 1, false), refused(unknown)), at(1, 2, create(2, 2, false), ok(2, 2, 0)), at(3, 4, create(3, 1, false), refused(taken))},
		"or never":           {at(0, never, create(1, 1, false), refused(unknown)), at(3, 4, create(3, 1, false), ok(3, 1, 0))},
		"its own address":    {one, at(2, 3, create(2, 1, true), ok(2, 1, 0)), at(4, 5, move(1, 1, 7), ok(1, 1, 7))},
		"a deleted customer": {one, at(2, 3, remove(1), response{}), at(4, 5, get(1), refused(missing)), at(6, 7, move(1, 2, 1), refused(missing))},
	} {
		require.Equal(t, porcupine.Ok, linearizable(history), name)
	}
	for name, history := range map[string][]porcupine.Operation{
		"two of one address":                    {one, at(2, 3, create(2, 1, false), ok(2, 1, 0))},
		"two at once of one address":            {at(0, 9, create(1, 1, false), ok(1, 1, 0)), at(0, 9, create(2, 1, false), ok(2, 1, 0))},
		"a move to where somebody is":           {one, at(2, 3, create(2, 2, false), ok(2, 2, 0)), at(4, 5, move(2, 1, 1), ok(2, 1, 1))},
		"a refusal of a free address":           {at(0, 1, create(1, 1, false), refused(taken))},
		"one that was moved away from":          {one, at(2, 3, move(1, 2, 5), ok(1, 2, 5)), at(4, 5, create(2, 1, false), refused(taken))},
		"a stale read":                          {one, at(2, 3, move(1, 0, 5), ok(1, 1, 5)), at(4, 5, get(1), ok(1, 1, 0))},
		"a lost update":                         {one, at(2, 3, move(1, 0, 5), ok(1, 1, 5)), at(4, 5, move(1, 0, 6), ok(1, 1, 6)), at(6, 7, get(1), ok(1, 1, 5))},
		"half a move":                           {one, at(2, 3, move(1, 2, 5), ok(1, 2, 5)), at(4, 5, get(1), ok(1, 1, 5))},
		"a deleted customer who comes back":     {one, at(2, 3, remove(1), response{}), at(4, 5, get(1), ok(1, 1, 0))},
		"two deletions of one customer":         {one, at(2, 9, remove(1), response{}), at(2, 9, remove(1), response{})},
		"a list of what somebody was":           {one, at(2, 3, move(1, 0, 5), ok(1, 1, 5)), at(4, 5, list(1), response{people: []being{{1, 1, 0}}})},
		"a list without somebody":               {one, at(2, 3, create(2, 1, true), ok(2, 1, 0)), at(4, 5, list(1), response{people: []being{{1, 1, 0}}})},
		"an unknown create that comes and goes": {at(0, never, create(1, 1, false), refused(unknown)), at(1, 2, list(1), response{people: []being{{1, 1, 0}}}), at(3, 4, list(1), response{})},
		"an unknown create that acts twice":     {at(0, never, create(1, 1, false), refused(unknown)), at(1, 2, list(1), response{people: []being{{1, 1, 0}}}), at(3, 4, remove(1), response{}), at(5, 6, list(1), response{people: []being{{1, 1, 0}}})},
	} {
		require.Equal(t, porcupine.Illegal, linearizable(history), name)
	}
}
