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

// connections is the maximum number of connections that look up credentials.
const connections = 4

// queries calls functions of the tables' owner. It has its own pool and does not use package wall,
// because the merchant is not known yet. The functions look up credentials and signing keys. The
// one that records the use of a key is the only one that writes, and no request waits for it.
type queries struct {
	pool   *postgres.Pool
	gate   *gate.Gate
	losses *postgres.Losses
}

// The tenants at the gate. Clients can send any number of invalid credentials, which are unknown.
// The limit of a tenant keeps connections free for known ones. Uses are recorded as a third tenant,
// so that they delay neither of the others.
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

// run runs a query for a tenant and scans its rows into the slice that rows points to. If the
// connection was dead, it repeats the query once.
func (q *queries) run(ctx context.Context, tenant string, rows any, statement string, args ...any) error {
	return q.admitted(ctx, tenant, statement, func(ctx context.Context) error {
		err := q.pool.Query(ctx, rows, statement, args...)
		if q.losses.Observe(err) {
			err = q.pool.Query(ctx, rows, statement, args...)
		}
		return err
	})
}

// execAsync runs the statement that records a use. Its commit does not wait for the disk.
func (q *queries) execAsync(ctx context.Context, statement string, args ...any) error {
	return q.admitted(ctx, tenantUsage, statement, func(ctx context.Context) error {
		return q.pool.Exec(ctx, statement, args...)
	})
}

// admitted runs work once the gate admits the tenant's statement.
func (q *queries) admitted(ctx context.Context, tenant, statement string, work func(context.Context) error) error {
	err := store.RunStatement(ctx, q.gate, tenant, statement, onFunction(statement), work)
	if errors.Is(err, gate.ErrTenantLimit) || errors.Is(err, gate.ErrOverloaded) {
		// Other callers caused the overload, so this one is not told that it sent too much.
		return store.NewError(store.Unavailable)
	}
	return err
}

// onFunction returns the trace attribute that names the function a statement calls.
func onFunction(statement string) attribute.KeyValue {
	_, name, _ := strings.Cut(statement, "public.")
	name, _, _ = strings.Cut(name, "(")
	return semconv.DBStoredProcedureName(name)
}
