package store

import (
	"context"
	"sync"
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

// maxGathered bounds how many questions one statement asks, so that none takes long.
const maxGathered = 256

func newGatherer[Q any, A numbered](l *lookUps, statement string, arguments func([]Q) []any) *gatherer[Q, A] {
	return &gatherer[Q, A]{lookUps: l, statement: statement, arguments: arguments, waiting: make(map[string]*gathered[Q, A])}
}

// ask returns what there is to the question, for this party. The first of those who ask together runs their statement.
func (g *gatherer[Q, A]) ask(ctx context.Context, party string, question Q) ([]A, error) {
	g.mu.Lock()
	all, joins := g.waiting[party]
	if !joins {
		all = &gathered[Q, A]{done: make(chan struct{})}
		g.waiting[party] = all
	}
	i := len(all.questions)
	all.questions = append(all.questions, question)
	if len(all.questions) == maxGathered {
		delete(g.waiting, party)
	}
	g.mu.Unlock()
	if joins {
		<-all.done
	} else {
		all.err = g.run(ctx, party, all)
		close(all.done)
	}
	if all.err != nil {
		return nil, all.err
	}
	return all.answers[i], nil
}

func (g *gatherer[Q, A]) run(ctx context.Context, party string, all *gathered[Q, A]) (err error) {
	defer recovered(&err)
	defer g.complete(party, all) // whatever became of it
	var rows []A
	err = g.lookUps.admitted(ctx, party, g.statement, func(ctx context.Context) error {
		g.complete(party, all)
		return g.lookUps.read(ctx, &rows, g.statement, g.arguments(all.questions))
	})
	all.answers = make([][]A, len(all.questions))
	for _, row := range rows {
		i := row.question() - 1
		all.answers[i] = append(all.answers[i], row)
	}
	return err
}

// complete lets no more questions join.
func (g *gatherer[Q, A]) complete(party string, all *gathered[Q, A]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting[party] == all {
		delete(g.waiting, party)
	}
}
