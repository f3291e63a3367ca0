package server

import (
	"context"
	"errors"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/postgres"
	"lumen/store/schema"
)

// Backend is the database of a server, with the store and the authentication that work on it.
type Backend struct {
	Database *postgres.Database
	Store    *store.Store
	Auth     *auth.Auth
}

// OpenBackend returns a Backend on the database. It connects on first use.
func OpenBackend(database *postgres.Database, storeOptions store.Options, authOptions auth.Options) *Backend {
	s := store.Open(database, storeOptions)
	return &Backend{Database: database, Store: s, Auth: auth.Open(database, s.Customers, authOptions)}
}

// Close ends all connections.
func (b *Backend) Close() error { return errors.Join(b.Store.Close(), b.Auth.Close()) }

// As returns ctx with the credential of a secret, or the error of auth.Authenticator.
func (b *Backend) As(ctx context.Context, secret auth.Secret) (context.Context, store.Credential, error) {
	credential, err := b.Auth.Authenticator.Authenticate(ctx, secret)
	return store.WithCredential(ctx, credential), credential, err
}

// Ready calls schema.Ready for the database.
func (b *Backend) Ready(ctx context.Context) error { return schema.Ready(ctx, b.Database) }

// Stats holds what a Backend has counted since it was opened.
type Stats struct {
	Customers   store.PoolStats
	Credentials auth.Stats
}

// Stats returns the current counts.
func (b *Backend) Stats() Stats {
	return Stats{Customers: b.Store.Stats(), Credentials: b.Auth.Stats()}
}
