package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"lumen/store/postgres"
)

// lookUps is the way to what the plain role may ask outside of the wall: who presents a credential, and the keys that sign
// tokens. All that is asked are functions of the owner's, which change nothing that anybody waits for.
type lookUps struct {
	pool   *postgres.Pool
	gate   *gate
	losses *postgres.Losses
}

// Parties at the gate. What nobody is known to hold may be junk, of which there is no end: it leaves a connection to the rest.
// For what is renewed nobody waits, nor for notes.
const (
	known   = "known"
	unknown = "unknown"
	renewed = "renewed"
	notes   = "notes"
)

func newLookUps(config *pgx.ConnConfig, pooled *postgres.Pooled, connections int, losses *postgres.Losses) *lookUps {
	pool := postgres.Open(config, pooled, connections, stdlib.OptionShouldPing(func(_ context.Context, p stdlib.ShouldPingParams) bool {
		return losses.IsDoubtful(time.Now().Add(-p.IdleDuration))
	}))
	return &lookUps{pool: pool, gate: newGate(connections, DefaultMerchantConcurrency), losses: losses}
}

// run asks, as this party, and scans what comes into into.
func (l *lookUps) run(ctx context.Context, party string, into any, statement string, args ...any) error {
	return l.admitted(ctx, party, statement, func(ctx context.Context) error { return l.read(ctx, into, statement, args) })
}

// read asks, and once more where the connection was found to be dead.
func (l *lookUps) read(ctx context.Context, into any, statement string, args []any) error {
	err := l.pool.Query(ctx, into, statement, args...)
	if l.losses.Observe(err) {
		err = l.pool.Query(ctx, into, statement, args...)
	}
	return err
}

// note tells the owner's functions something. It is not waited for until it is on disk.
func (l *lookUps) note(ctx context.Context, statement string, args ...any) error {
	return l.admitted(ctx, notes, statement, func(ctx context.Context) error {
		return l.pool.Exec(ctx, statement, args...)
	})
}

func (l *lookUps) admitted(ctx context.Context, party, statement string, work func(context.Context) error) (err error) {
	ctx, cancel := patient(ctx)
	defer cancel()
	admitted, err := l.gate.enter(ctx, party)
	if err != nil {
		if AsError(err).Code == RateLimited { // whoever's doing it is, it is not the caller's
			err = NewError(Unavailable)
		}
		return err
	}
	defer func() { l.gate.leave(admitted, err) }()
	ctx, span := startStatement(ctx, statement, onFunction(statement))
	defer func() { endStatement(span, err) }()
	return work(ctx)
}
