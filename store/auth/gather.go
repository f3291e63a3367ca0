package auth

import (
	"context"
	"sync"
	"time"

	"lumen/store"
)

// gatherer asks the owner's functions one question for many callers. While a statement waits for its turn, the questions that
// come join it: the more there are, the fewer statements each takes.
type gatherer[Q any, A numbered] struct {
	lookUps *lookUps

	// statement yields what the function says to each of the questions, whose parts arguments returns as arrays.
	statement string
	arguments func([]Q) []any

	mu      sync.Mutex
	waiting map[string]*gathered[Q, A] // by party
	asking  map[string]int             // by party: callers that have no answer yet
}

// numbered is an answer that tells to which question, counted from 1.
type numbered interface{ question() int }

// number makes an answer numbered. The statement names it number.
type number struct{ Number int }

func (n number) question() int { return n.Number }

// gathered are the questions of one statement, and afterwards what came of them.
type gathered[Q, A any] struct {
	questions []Q
	done      chan struct{}
	answers   [][]A
	err       error
}

const (
	// maxGathered bounds how many questions one statement asks, so that none takes long.
	maxGathered = 256
	// gathering is for how long those join each other for whom nobody waits.
	gathering = 20 * time.Millisecond
	// maxAsking bounds how many callers of a party wait, as the gate counts statements.
	maxAsking = 4 * maxGathered
)

func newGatherer[Q any, A numbered](l *lookUps, statement string, arguments func([]Q) []any) *gatherer[Q, A] {
	return &gatherer[Q, A]{
		lookUps: l, statement: statement, arguments: arguments, waiting: make(map[string]*gathered[Q, A]), asking: make(map[string]int),
	}
}

// ask returns what there is to the question, for this party; Unavailable where that could not be asked. The first of those who
// ask together runs their statement, under its own ctx: the others wait as it does, and are told what it is told.
func (g *gatherer[Q, A]) ask(ctx context.Context, party string, question Q) ([]A, error) {
	all, i := g.join(party, question)
	if all == nil {
		g.lookUps.overloads.Add(1)
		return nil, store.NewError(store.Unavailable)
	}
	defer g.leave(party)
	if i == 0 {
		all.err = g.run(ctx, party, all)
		close(all.done)
	}
	<-all.done
	if all.err != nil {
		return nil, all.err
	}
	return all.answers[i], nil
}

// join returns what the question is asked with, as which of them; nil when too many ask.
func (g *gatherer[Q, A]) join(party string, question Q) (*gathered[Q, A], int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asking[party] == maxAsking {
		return nil, 0
	}
	g.asking[party]++
	all := g.waiting[party]
	if all == nil {
		all = &gathered[Q, A]{done: make(chan struct{})}
		g.waiting[party] = all
	}
	all.questions = append(all.questions, question)
	if len(all.questions) == maxGathered {
		delete(g.waiting, party)
	}
	return all, len(all.questions) - 1
}

func (g *gatherer[Q, A]) leave(party string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asking[party]--
}

func (g *gatherer[Q, A]) run(ctx context.Context, party string, all *gathered[Q, A]) (err error) {
	defer store.Recovered(&err)
	defer g.complete(party, all) // whatever became of it
	if party == renewed {
		time.Sleep(gathering)
	}
	var rows []A
	err = g.lookUps.admitted(ctx, party, g.statement, func(ctx context.Context) error {
		g.complete(party, all)
		return g.lookUps.read(ctx, &rows, g.statement, g.arguments(all.questions))
	})
	if err != nil {
		return store.Outage(err)
	}
	all.answers = make([][]A, len(all.questions))
	for _, row := range rows {
		i := row.question() - 1
		all.answers[i] = append(all.answers[i], row)
	}
	return nil
}

// complete lets no more questions join.
func (g *gatherer[Q, A]) complete(party string, all *gathered[Q, A]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting[party] == all {
		delete(g.waiting, party)
	}
}
