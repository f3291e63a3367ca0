//go:build pooler

package store_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/schema"
	"lumen/store/storetest"
)

// Three merchants share one server connection and use every operation of the store.
func TestPoolerStore(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	url := db.PgBouncer(t, 1)
	secret := auth.NewTokenSecret()
	_, err := db.Owner(t).TokenKeys.Rotate(t.Context(), secret, auth.EdDSA)
	require.NoError(t, err)
	service := storetest.Service(t, url, true)
	_, err = schema.Check(t.Context(), service)
	require.NoError(t, err)
	s := storetest.Open(t, service, store.Options{})
	a := auth.Open(service, s.Customers, auth.Options{TokenSecret: secret})
	defer func() { require.NoError(t, a.Close()) }()
	require.NoError(t, a.Tokens.CheckSigner(t.Context()))

	merchants := []storetest.Merchant{db.Merchant(t, "Acme"), db.Merchant(t, "Acme"), db.Merchant(t, "Acme")}
	work := func(m storetest.Merchant) error {
		credential, err := a.Authenticator.Authenticate(t.Context(), m.WriteKey)
		if err != nil || credential.Merchant.ID != m.ID {
			return fmt.Errorf("authenticated as %v: %w", credential, err)
		}
		ctx := store.WithCredential(t.Context(), credential)
		var ids []string
		for i := range 60 {
			created, err := s.Customers.Create(ctx, store.Input{
				"email": fmt.Sprintf("%d@example.com", i), "name": "Ann", "taxId": nil,
			}, store.WriteOptions{})
			if err != nil {
				return err
			}
			ids = append(ids, created.ID)
		}
		if _, err := s.Customers.Create(ctx, emailOf("7@EXAMPLE.com"), store.WriteOptions{}); store.AsError(err).Code != store.EmailTaken {
			return fmt.Errorf("a taken address: %w", err)
		}
		updated, err := s.Customers.Update(ctx, ids[0], store.Input{"email": "new@example.com", "name": nil}, store.WriteOptions{})
		if err != nil || updated.Name != nil || updated.Email != "new@example.com" {
			return fmt.Errorf("updated to %v: %w", updated, err)
		}
		if _, err := s.Customers.Delete(ctx, ids[1], store.WriteOptions{}); err != nil {
			return err
		}
		if got, err := s.Customers.Get(ctx, ids[0]); err != nil || got.MerchantID != m.ID || !got.UpdatedAt.Equal(updated.UpdatedAt) {
			return fmt.Errorf("got %v: %w", got, err)
		}
		if many, err := s.Customers.GetMany(ctx, append(ids, "cust_none", `cust_{",`)); err != nil || len(many) != 59 {
			return fmt.Errorf("got %d of many: %w", len(many), err)
		}
		if n, err := s.Customers.Count(ctx, store.Filter{}); err != nil || n != 59 {
			return fmt.Errorf("counted %d: %w", n, err)
		}
		page, err := s.Customers.List(ctx, store.PageQuery{})
		if err != nil || len(page.Items) != 50 || !page.HasNext {
			return fmt.Errorf("a page: %w", err)
		}
		after := page.Cursor(49)
		if page, err = s.Customers.List(ctx, store.PageQuery{After: &after}); err != nil || len(page.Items) != 9 || page.HasNext || !page.HasPrevious {
			return fmt.Errorf("the next page: %w", err)
		}
		all := 0
		for batch, err := range s.Customers.All(ctx, store.Filter{}) {
			if err != nil {
				return err
			}
			for _, c := range batch {
				if all++; c.MerchantID != m.ID {
					return fmt.Errorf("%s lists a customer of %s", m.ID, c.MerchantID)
				}
			}
		}
		if all != 59 {
			return fmt.Errorf("%d are all", all)
		}
		token, err := a.Tokens.Create(ctx, auth.TokenInput{CustomerID: &ids[2]})
		if err != nil {
			return err
		}
		holder, err := a.Authenticator.Authenticate(t.Context(), auth.Secret(token.Token))
		if err != nil {
			return err
		}
		bound := store.WithCredential(t.Context(), holder)
		if _, err := s.Customers.Get(bound, ids[2]); err != nil {
			return err
		}
		if _, err := s.Customers.Get(bound, ids[3]); store.AsError(err).Code != store.NotFound {
			return fmt.Errorf("a neighbour of the bound customer: %w", err)
		}
		return nil
	}
	var working sync.WaitGroup
	for _, m := range merchants {
		working.Go(func() {
			if err := work(m); err != nil {
				t.Errorf("%s: %v", m.ID, err)
			}
		})
	}
	working.Wait()

	t.Run("writers of one email wait for each other", func(t *testing.T) {
		ctx := db.Context(t, merchants[0])
		var created atomic.Int64
		var writers sync.WaitGroup
		for range 12 {
			writers.Go(func() {
				switch _, err := s.Customers.Create(ctx, emailOf("race@example.com"), store.WriteOptions{}); {
				case err == nil:
					created.Add(1)
				case store.AsError(err).Code != store.EmailTaken:
					t.Error(err)
				}
			})
		}
		writers.Wait()
		require.Equal(t, int64(1), created.Load())
	})

	t.Run("the server connection keeps no setting, no lock and no prepared statement", func(t *testing.T) {
		pg, err := pgconn.Connect(t.Context(), url)
		require.NoError(t, err)
		defer func() { require.NoError(t, pg.Close(context.Background())) }()
		results, err := pg.Exec(t.Context(), `SELECT (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM customers),
			(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
			current_setting('lumen.merchant_id') || current_setting('lumen.customer_id'), current_setting('statement_timeout')`).ReadAll()
		require.NoError(t, err)
		require.Equal(t, [][]byte{[]byte("0"), []byte("0"), []byte("0"), {}, []byte("0")}, results[0].Rows[0])
	})
}

// Each write runs with the settings that its connection would have without a pooler, whatever the
// role and the database set (I4).
func TestPoolerStoreKeepsItsSettings(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	for _, statement := range []string{
		`CREATE FUNCTION note_settings() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			NEW.tax_id := concat_ws(' ', current_setting('synchronous_commit'), current_setting('statement_timeout'),
				current_setting('lock_timeout'), current_setting('search_path'), current_setting('timezone'));
			RETURN NEW; END $$`,
		`CREATE TRIGGER note_settings BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION note_settings()`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 0', current_database()); END $$`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''', current_database()); END $$`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = elsewhere', current_database()); END $$`,
	} {
		_, err := db.Superuser().Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	m := db.Merchant(t, "Acme")
	ctx := db.Context(t, m)
	for url, pooled := range map[string]bool{db.PgBouncer(t, 1): true, db.AppURL(): false} {
		service := storetest.Service(t, url, pooled)
		s, a := storetest.Open(t, service, store.Options{}), storetest.OpenAuth(t, service, auth.Options{})
		created, err := s.Customers.Create(ctx, emailOf(fmt.Sprintf("%v@example.com", pooled)), store.WriteOptions{})
		require.NoError(t, err)
		require.Equal(t, "on 5s 2s pg_catalog, pg_temp UTC", *created.TaxID)
		_, err = a.Authenticator.Authenticate(t.Context(), m.WriteKey)
		require.NoError(t, err)
	}
}

// If another session holds a lock for too long, the store returns Unavailable after its own lock
// timeout.
func TestPoolerStoreKeepsItsTimeouts(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	m := db.Merchant(t, "Acme")
	ctx := db.Context(t, m)
	s := storetest.Open(t, storetest.Service(t, db.PgBouncer(t, 2), true), store.Options{})
	created, err := s.Customers.Create(ctx, emailOf("a@example.com"), store.WriteOptions{})
	require.NoError(t, err)
	holder, err := db.Superuser().Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = holder.Exec(t.Context(), "SELECT FROM customers FOR UPDATE")
	require.NoError(t, err)

	start := time.Now()
	_, err = s.Customers.Delete(ctx, created.ID, store.WriteOptions{})
	require.Equal(t, store.Unavailable, store.AsError(err).Code)
	require.Less(t, time.Since(start), 5*time.Second, "the lock timeout of 2 s applies, not the statement timeout of 5 s")
	_, err = s.Customers.Get(ctx, created.ID)
	require.NoError(t, err)
}

// Check refuses a pooler that the service was not configured for, whether the pooler refuses the
// settings or ignores them.
func TestPoolerThatIsNotConfigured(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	check := func(url string) error {
		_, err := schema.Check(t.Context(), storetest.Service(t, url, false))
		return err
	}
	require.NoError(t, check(db.AppURL()))
	require.ErrorContains(t, check(db.PgBouncer(t, 1)), "(08P01)")
	ignoring := db.PgBouncer(t, 1, storetest.SwallowsSettings)
	require.ErrorContains(t, check(ignoring), "LUMEN_DATABASE_POOLER=transaction")
}
