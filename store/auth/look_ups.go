package auth

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"lumen/store"
	"lumen/store/gate"
	"lumen/store/postgres"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// lookUps is the way to what the plain role may ask outside of the wall: who presents a credential, and the keys that sign
// tokens. All that is asked are functions of the owner's, which change nothing that anybody waits for.
type lookUps struct {
	pool   *postgres.Pool
	gate   *gate.Gate
	losses *postgres.Losses

	overloads atomic.Uint64 // questions that were refused before the gate
}

// Parties at the gate. What nobody is known to hold may be junk, of which there is no end: it leaves a connection to the rest.
// For what is renewed nobody waits, nor for notes.
const (
	known   = "known"
	unknown = "unknown"
	renewed = "renewed"
	notes   = "notes"
)

func newLookUps(database *postgres.Database) *lookUps {
	return &lookUps{
		pool: database.Open(connections), gate: gate.New(connections, store.DefaultMerchantConcurrency), losses: database.Losses,
	}
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

func (l *lookUps) admitted(ctx context.Context, party, statement string, work func(context.Context) error) error {
	err := store.RunStatement(ctx, l.gate, party, statement, onFunction(statement), work)
	if errors.Is(err, gate.ErrTenantLimit) || errors.Is(err, gate.ErrOverloaded) {
		// The other callers cause it, and not the one who is refused.
		return store.NewError(store.Unavailable)
	}
	return err
}

// onFunction names the function that a look-up calls.
func onFunction(statement string) attribute.KeyValue {
	_, name, _ := strings.Cut(statement, "public.")
	name, _, _ = strings.Cut(name, "(")
	return semconv.DBStoredProcedureName(name)
}
