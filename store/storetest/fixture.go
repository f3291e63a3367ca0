package storetest

import (
	"context"
	"testing"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/postgres"
	"lumen/store/schema"
)

// Merchant is a merchant with a key of each kind.
type Merchant struct {
	store.Merchant
	WriteKey, ReadKey auth.Secret
}

// Service returns the database of a service's connection string. pooled says that the string leads
// to a pooler in transaction mode.
func Service(t testing.TB, url string, pooled bool) *postgres.Database {
	t.Helper()
	database, err := postgres.ParseDatabase(url, pooled)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return database
}

// Open opens a store on the database. It is closed when t has ended.
func Open(t testing.TB, database *postgres.Database, options store.Options) *store.Store {
	s := store.Open(database, options)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// OpenAuth opens the service's authentication. It is closed when t has ended.
func OpenAuth(t testing.TB, database *postgres.Database, options auth.Options) *auth.Auth {
	s := Open(t, database, store.Options{MaxConnections: 2})
	a := auth.Open(database, s.Customers, options)
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// Service returns the database as the service's role reaches it.
func (d *Database) Service(t testing.TB) *postgres.Database {
	t.Helper()
	return Service(t, d.AppURL(), false)
}

// Store opens a store with the service's role, as `lumen serve` does. It is closed when t has
// ended.
func (d *Database) Store(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, d.Service(t), store.Options{})
}

// Auth opens the service's authentication. It is closed when t has ended.
func (d *Database) Auth(t testing.TB) *auth.Auth {
	t.Helper()
	return OpenAuth(t, d.Service(t), auth.Options{})
}

// Owner opens the owner's API, as the operator's commands do. It is closed when t has ended.
func (d *Database) Owner(t testing.TB) *owner.Owner {
	t.Helper()
	o, err := owner.Open(d.OwnerURL())
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// Migrator opens a migrator, as `lumen migrate` does. It is closed when t has ended.
func (d *Database) Migrator(t testing.TB) *schema.Migrator {
	t.Helper()
	m, err := schema.Open(d.OwnerURL())
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// Merchant creates a merchant with a write key and a read key. The name need not be unique.
func (d *Database) Merchant(t testing.TB, name string) Merchant {
	t.Helper()
	operator := d.fixtureOwner()
	created, err := operator.Merchants.Create(t.Context(), name)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	merchant := Merchant{Merchant: created, WriteKey: auth.NewSecret(), ReadKey: auth.NewSecret()}
	for access, secret := range map[store.Access]auth.Secret{
		store.WriteAccess: merchant.WriteKey, store.ReadAccess: merchant.ReadKey,
	} {
		key := owner.NewKey{MerchantID: created.ID, Access: access, Secret: secret}
		if _, err := operator.Keys.Create(t.Context(), key); err != nil {
			t.Fatalf("storetest: %v", err)
		}
	}
	return merchant
}

// Context returns t's context with the credential of the merchant's write key, as authentication
// returns it.
func (d *Database) Context(t testing.TB, m Merchant) context.Context {
	t.Helper()
	return d.context(t, m.WriteKey)
}

// ReadContext returns t's context with the credential of the merchant's read key, as authentication
// returns it.
func (d *Database) ReadContext(t testing.TB, m Merchant) context.Context {
	t.Helper()
	return d.context(t, m.ReadKey)
}

func (d *Database) context(t testing.TB, secret auth.Secret) context.Context {
	t.Helper()
	credential, err := d.fixtureAuth().Authenticator.Authenticate(t.Context(), secret)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return store.WithCredential(t.Context(), credential)
}

// fixtureOwner returns the owner's API that all fixtures of the database share.
func (d *Database) fixtureOwner() *owner.Owner {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owner == nil {
		d.owner = d.Owner(d.t)
	}
	return d.owner
}

// fixtureAuth returns the authentication that all fixtures of the database share.
func (d *Database) fixtureAuth() *auth.Auth {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.auth == nil {
		d.auth = d.Auth(d.t)
	}
	return d.auth
}
