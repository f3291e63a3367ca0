package storetest

import (
	"context"
	"testing"

	"lumen/store"
)

// Merchant is a merchant with a key of each kind.
type Merchant struct {
	store.Merchant
	WriteKey, ReadKey store.Secret
}

// Store opens a store with the plain role, as `lumen serve` does. It is closed when t has ended.
func (d *Database) Store(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(d.AppURL(), store.Options{})
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Owner opens what the operator's commands use. It is closed when t has ended.
func (d *Database) Owner(t testing.TB) *store.Owner {
	t.Helper()
	o, err := store.OpenOwner(d.OwnerURL())
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// Merchant creates a merchant of this name, which need not be unique, with a write key and a read key.
func (d *Database) Merchant(t testing.TB, name string) Merchant {
	t.Helper()
	owner := d.ownOwner()
	created, err := owner.Merchants.Create(t.Context(), name)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	merchant := Merchant{Merchant: created, WriteKey: store.NewSecret(), ReadKey: store.NewSecret()}
	for access, secret := range map[store.Access]store.Secret{
		store.WriteAccess: merchant.WriteKey, store.ReadAccess: merchant.ReadKey,
	} {
		if _, err := owner.Keys.Create(t.Context(), store.NewKey{MerchantID: created.ID, Access: access, Secret: secret}); err != nil {
			t.Fatalf("storetest: %v", err)
		}
	}
	return merchant
}

// Context returns t's context with the credential of the merchant's write key, as authentication gives it.
func (d *Database) Context(t testing.TB, m Merchant) context.Context {
	t.Helper()
	return d.context(t, m.WriteKey)
}

// ReadContext returns t's context with the credential of the merchant's read key, as authentication gives it.
func (d *Database) ReadContext(t testing.TB, m Merchant) context.Context {
	t.Helper()
	return d.context(t, m.ReadKey)
}

func (d *Database) context(t testing.TB, secret store.Secret) context.Context {
	t.Helper()
	credential, err := d.ownStore().Authenticator.Authenticate(t.Context(), secret)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return store.WithCredential(t.Context(), credential)
}

// ownOwner is the fixtures' owner, one for all of them.
func (d *Database) ownOwner() *store.Owner {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owner == nil {
		d.owner = d.Owner(d.t)
	}
	return d.owner
}

// ownStore is the fixtures' store, one for all of them.
func (d *Database) ownStore() *store.Store {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.store == nil {
		d.store = d.Store(d.t)
	}
	return d.store
}
