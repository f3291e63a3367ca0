package auth

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"lumen/store"
	"lumen/store/gate"
	"lumen/store/postgres"
)

// connections is the size of the pool that looks up credentials.
const connections = 4

// queries calls functions of the tables' owner, on a pool of its own and outside of the wall. The
// functions say who presents a credential and which keys sign tokens. They change nothing that a
// request waits for.
type queries struct {
	pool   *postgres.Pool
	gate   *gate.Gate
	losses *postgres.Losses
}

// Tenants at the gate. Unknown credentials may be junk, and junk has no end: a tenant's limit keeps
// connections for the known ones. Uses are recorded as a third tenant, which delays neither.
const (
	tenantKnown   = "known"
	tenantUnknown = "unknown"
	tenantUsage   = "usage"
)

func newQueries(database *postgres.Database) *queries {
	return &queries{
		pool:   database.Open(connections),
		gate:   gate.New(connections, store.DefaultMerchantConcurrency),
		losses: database.Losses,
	}
}

// run runs a query for a tenant and scans its rows into the slice that rows points to. It repeats the
// query once when the connection was found to be dead.
func (q *queries) run(ctx context.Context, tenant string, rows any, statement string, args ...any) error {
	return q.admitted(ctx, tenant, statement, func(ctx context.Context) error {
		err := q.pool.Query(ctx, rows, statement, args...)
		if q.losses.Observe(err) {
			err = q.pool.Query(ctx, rows, statement, args...)
		}
		return err
	})
}

// execAsync runs a statement whose commit does not wait for the disk, to record a use.
func (q *queries) execAsync(ctx context.Context, statement string, args ...any) error {
	return q.admitted(ctx, tenantUsage, statement, func(ctx context.Context) error {
		return q.pool.Exec(ctx, statement, args...)
	})
}

// admitted runs work when the gate admits the tenant's statement.
func (q *queries) admitted(ctx context.Context, tenant, statement string, work func(context.Context) error) error {
	err := store.RunStatement(ctx, q.gate, tenant, statement, onFunction(statement), work)
	if errors.Is(err, gate.ErrTenantLimit) || errors.Is(err, gate.ErrOverloaded) {
		// Other callers are the cause, and not the one who is refused.
		return store.NewError(store.Unavailable)
	}
	return err
}

// onFunction names the function that a statement calls.
func onFunction(statement string) attribute.KeyValue {
	_, name, _ := strings.Cut(statement, "public.")
	name, _, _ = strings.Cut(name, "(")
	return semconv.DBStoredProcedureName(name)
}
