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

// This file is a model of a few customers that share a few addresses and that no other client
// writes to. The checker checks the model as a whole, which is stricter than a check of each
// customer and each address: an update that changes the address frees one address and takes another
// at the same moment.

// customerState is a customer that is not deleted: who it is, its address and its value. The model
// identifies a customer by the number of the operation that created it, since the id is not known
// if the outcome of the create is unknown.
type customerState struct{ who, address, value int }

// modelState holds the customers that are not deleted, in order. It is an array so that it is
// comparable; unused elements are zero.
type modelState [maxCustomers]customerState

// maxCustomers limits the customers that exist at the same time, including those whose create has
// an unknown outcome.
const maxCustomers = 16

func (w *modelState) find(who int) *customerState {
	for i := range w {
		if w[i].who == who {
			return &w[i]
		}
	}
	return nil
}

// isTaken reports whether another customer has the address.
func (w *modelState) isTaken(address, by int) bool {
	return slices.ContainsFunc(w[:], func(b customerState) bool { return b.who != 0 && b.address == address && b.who != by })
}

// sort orders the customers, so that equal states compare equal.
func (w *modelState) sort() { inOrder(w[:]) }

type action int

const (
	toCreate action = iota
	toUpdate        // the value, and the address unless it is 0
	toDelete
	toGet
	toList // the customers with the address
)

// request is a client's request.
type request struct {
	action
	who, address, value int
	flag                bool
}

// response is the reply to a request.
type response struct {
	verdict
	customerState customerState   // for create, get and update
	customers     []customerState // for list, in order
}

// step reports whether the response is legal in a state, and returns the next state.
func step(state, input, output any) (bool, any) {
	w, in, out := state.(modelState), input.(request), output.(response)
	legal := w.apply(in, out)
	return legal, w
}

// apply changes w and reports whether the response is legal. An operation of unknown outcome is
// always legal. The checker may also place it at the end of time, which is the same as if it never
// happened.
func (w *modelState) apply(in request, out response) bool {
	own := w.find(in.who)
	refused := verdict(done)
	switch {
	case in.action != toCreate && in.action != toList && own == nil:
		refused = missing
	case in.address != 0 && in.action != toList && !in.flag && w.isTaken(in.address, in.who) && (own == nil || own.address != in.address):
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
			panic("maxCustomers is too small")
		}
		*own = customerState{in.who, in.address, in.value}
	case toUpdate:
		own.value = in.value
		if in.address != 0 {
			own.address = in.address
		}
	case toDelete:
		*own = customerState{}
	case toList:
		return out.verdict == unknown || slices.Equal(w.at(in.address), out.customers)
	}
	legal := out.verdict == unknown || in.action == toDelete || *own == out.customerState
	w.sort()
	return legal
}

// at returns the customers with an address, in order.
func (w *modelState) at(address int) (customers []customerState) {
	for _, b := range w {
		if b.who != 0 && b.address == address {
			customers = append(customers, b)
		}
	}
	inOrder(customers)
	return customers
}

func inOrder(customers []customerState) {
	slices.SortFunc(customers, func(a, b customerState) int { return cmp.Compare(b.who, a.who) })
}

var model = porcupine.Model{
	Init: func() any { return modelState{} },
	Step: step,
	Hash: func(state any) (hash uint64) {
		for _, b := range state.(modelState) {
			for _, n := range []int{b.who, b.address, b.value} {
				hash = (hash ^ uint64(n)) * 1099511628211
			}
		}
		return hash
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// linearizable checks a history of one group of customers. After a minute it returns Unknown.
func linearizable(history []porcupine.Operation) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model, history, time.Minute)
}

// at returns an operation with the times of its call and its return. The return of an operation of
// unknown outcome is never.
func at(call, end int64, in request, out response) porcupine.Operation {
	return porcupine.Operation{Call: call, Return: end, Input: in, Output: out}
}

const never = int64(1) << 62

// TestFaultsModelDetectsViolations checks the model itself: it must accept legal histories and
// reject illegal ones.
func TestFaultsModelDetectsViolations(t *testing.T) {
	t.Parallel()
	create := func(who, address int, flag bool) request {
		return request{action: toCreate, who: who, address: address, flag: flag}
	}
	ok := func(who, address, value int) response {
		return response{customerState: customerState{who, address, value}}
	}
	refused := func(v verdict) response { return response{verdict: v} }
	get := func(who int) request { return request{action: toGet, who: who} }
	list := func(address int) request { return request{action: toList, address: address} }
	move := func(who, address, value int) request {
		return request{action: toUpdate, who: who, address: address, value: value}
	}
	remove := func(who int) request { return request{action: toDelete, who: who} }
	one := at(0, 1, create(1, 1, false), ok(1, 1, 0))

	for name, history := range map[string][]porcupine.Operation{
		"the second create with an address is refused": {one, at(2, 3, create(2, 1, false), refused(taken))},
		"the flag allows it":                           {one, at(2, 3, create(2, 1, true), ok(2, 1, 0)), at(4, 5, list(1), response{customers: []customerState{{2, 1, 0}, {1, 1, 0}}})},
		"a deletion frees the address":                 {one, at(2, 3, remove(1), response{}), at(4, 5, create(2, 1, false), ok(2, 1, 0))},
		"an update frees the address":                  {one, at(2, 3, move(1, 2, 5), ok(1, 2, 5)), at(4, 5, create(2, 1, false), ok(2, 1, 0))},
		"one of two concurrent creates succeeds":       {at(0, 9, create(1, 1, false), ok(1, 1, 0)), at(0, 9, create(2, 1, false), refused(taken))},
		"an unknown create may take the address later": {at(0, never, create(1, 1, false), refused(unknown)), at(1, 2, create(2, 2, false), ok(2, 2, 0)), at(3, 4, create(3, 1, false), refused(taken))},
		"an unknown create may never happen":           {at(0, never, create(1, 1, false), refused(unknown)), at(3, 4, create(3, 1, false), ok(3, 1, 0))},
		"an update to its own shared address":          {one, at(2, 3, create(2, 1, true), ok(2, 1, 0)), at(4, 5, move(1, 1, 7), ok(1, 1, 7))},
		"a deleted customer":                           {one, at(2, 3, remove(1), response{}), at(4, 5, get(1), refused(missing)), at(6, 7, move(1, 2, 1), refused(missing))},
	} {
		require.Equal(t, porcupine.Ok, linearizable(history), name)
	}
	for name, history := range map[string][]porcupine.Operation{
		"two creates with one address":                  {one, at(2, 3, create(2, 1, false), ok(2, 1, 0))},
		"two concurrent creates with one address":       {at(0, 9, create(1, 1, false), ok(1, 1, 0)), at(0, 9, create(2, 1, false), ok(2, 1, 0))},
		"an update to a taken address":                  {one, at(2, 3, create(2, 2, false), ok(2, 2, 0)), at(4, 5, move(2, 1, 1), ok(2, 1, 1))},
		"a refusal of a free address":                   {at(0, 1, create(1, 1, false), refused(taken))},
		"a refusal of an address that an update freed":  {one, at(2, 3, move(1, 2, 5), ok(1, 2, 5)), at(4, 5, create(2, 1, false), refused(taken))},
		"a stale read":                                  {one, at(2, 3, move(1, 0, 5), ok(1, 1, 5)), at(4, 5, get(1), ok(1, 1, 0))},
		"a lost update":                                 {one, at(2, 3, move(1, 0, 5), ok(1, 1, 5)), at(4, 5, move(1, 0, 6), ok(1, 1, 6)), at(6, 7, get(1), ok(1, 1, 5))},
		"an update without its address":                 {one, at(2, 3, move(1, 2, 5), ok(1, 2, 5)), at(4, 5, get(1), ok(1, 1, 5))},
		"a deleted customer that reappears":             {one, at(2, 3, remove(1), response{}), at(4, 5, get(1), ok(1, 1, 0))},
		"two deletions of one customer":                 {one, at(2, 9, remove(1), response{}), at(2, 9, remove(1), response{})},
		"a list with an old value":                      {one, at(2, 3, move(1, 0, 5), ok(1, 1, 5)), at(4, 5, list(1), response{customers: []customerState{{1, 1, 0}}})},
		"a list without one of the customers":           {one, at(2, 3, create(2, 1, true), ok(2, 1, 0)), at(4, 5, list(1), response{customers: []customerState{{1, 1, 0}}})},
		"an unknown create that appears and disappears": {at(0, never, create(1, 1, false), refused(unknown)), at(1, 2, list(1), response{customers: []customerState{{1, 1, 0}}}), at(3, 4, list(1), response{})},
		"an unknown create that happens twice":          {at(0, never, create(1, 1, false), refused(unknown)), at(1, 2, list(1), response{customers: []customerState{{1, 1, 0}}}), at(3, 4, remove(1), response{}), at(5, 6, list(1), response{customers: []customerState{{1, 1, 0}}})},
	} {
		require.Equal(t, porcupine.Illegal, linearizable(history), name)
	}
}
