package store_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"lumen/store"
)

// concurrently makes n calls at once, so that every connection of the pool is opened.
func concurrently(t *testing.T, n int, call func() error) {
	t.Helper()
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() { errs[i] = call() })
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// terminateAll ends every connection of the service, as a restart of the server would.
func (s *shop) terminateAll(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, s.db.Superuser().QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'lumen'`).Scan(&n))
	return n
}

func TestReadsOutliveTheirConnections(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	opened, a := s.db.Store(t), s.db.Auth(t)
	id := s.create(t, emailOf("ann@example.com")).ID
	ids := []string{id, "cust_other"}
	for name, read := range map[string]func() error{
		"get":      func() error { _, err := opened.Customers.Get(s.ctx, id); return err },
		"get many": func() error { _, err := opened.Customers.GetMany(s.ctx, ids); return err },
		"list":     func() error { _, err := opened.Customers.List(s.ctx, store.PageQuery{}); return err },
		"count":    func() error { _, err := opened.Customers.Count(s.ctx, store.Filter{}); return err },
		"all": func() error {
			for _, err := range opened.Customers.All(s.ctx, store.Filter{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"authenticate": func() error { return lookUp(t, a) },
	} {
		concurrently(t, 8, read)
		require.Positive(t, s.terminateAll(t), name)
		concurrently(t, 8, read)
		// One after the other, so that each call uses another connection of the pool.
		require.Positive(t, s.terminateAll(t), name)
		for range 10 {
			require.NoError(t, read(), name)
		}
	}
	// After a read has found the dead connections, a write gets a live one.
	concurrently(t, 12, func() error { _, err := opened.Customers.Get(s.ctx, id); return err })
	s.terminateAll(t)
	_, err := opened.Customers.Get(s.ctx, id)
	require.NoError(t, err)
	concurrently(t, 12, func() error {
		_, err := opened.Customers.Update(s.ctx, id, emailOf("ann@example.com"), store.WriteOptions{})
		return err
	})
}

// attempts ends the service's connection in the middle of its next statement, and returns a
// function that counts the attempts. It counts with a sequence, whose value survives a rollback.
func (s *shop) attempts(t *testing.T, statements string) func() int {
	t.Helper()
	s.exec(t, `CREATE SEQUENCE attempts`)
	s.exec(t, `CREATE FUNCTION cut() RETURNS bool LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
		IF nextval('public.attempts') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); END IF;
		RETURN true; END $$`)
	s.exec(t, statements)
	return func() (n int) {
		require.NoError(t, s.db.Superuser().QueryRow(t.Context(), "SELECT last_value FROM attempts WHERE is_called").Scan(&n))
		return n
	}
}

func TestAReadThatIsCutIsAskedOnceMore(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.create(t, emailOf("ann@example.com")).ID
	attempts := s.attempts(t, `CREATE POLICY cut ON customers AS RESTRICTIVE FOR SELECT TO lumen_app USING ((SELECT cut()))`)
	require.Equal(t, id, s.get(t, id).ID)
	require.Equal(t, 2, attempts())
}

func TestAWriteThatIsCutIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(s *shop, id string) error{
		"create": func(s *shop, _ string) error {
			_, err := s.customers.Create(s.ctx, emailOf("bob@example.com"), store.WriteOptions{})
			return err
		},
		"update": func(s *shop, id string) error {
			_, err := s.customers.Update(s.ctx, id, emailOf("bob@example.com"), store.WriteOptions{})
			return err
		},
		"delete": func(s *shop, id string) error {
			_, err := s.customers.Delete(s.ctx, id, store.WriteOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			id := s.create(t, emailOf("ann@example.com")).ID
			attempts := s.attempts(t, `CREATE FUNCTION cutting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.cut(); RETURN NEW; END $$;
				CREATE TRIGGER cut BEFORE INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION cutting()`)
			err := write(s, id)
			require.Equal(t, store.Unavailable, store.AsError(err).Code, err)
			require.Equal(t, 1, attempts())
			require.Equal(t, "ann@example.com", s.get(t, id).Email)
			require.NoError(t, write(s, id), "the next write gets a connection")
		})
	}
}

// A statement that timed out did not lose its connection, so it is not sent again.
func TestAReadThatTakesTooLongIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.create(t, emailOf("ann@example.com")).ID
	s.exec(t, `CREATE SEQUENCE attempts`)
	s.exec(t, `CREATE FUNCTION slow() RETURNS bool LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
		PERFORM nextval('public.attempts'); PERFORM pg_sleep(30); RETURN true; END $$`)
	s.exec(t, `CREATE POLICY slow ON customers AS RESTRICTIVE FOR SELECT TO lumen_app USING ((SELECT slow()))`)
	_, err := s.customers.Get(s.ctx, id)
	require.Equal(t, store.Unavailable, store.AsError(err).Code)
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, "57014", pgErr.Code)
	ctx, cancel := context.WithCancel(s.ctx)
	go cancel()
	_, err = s.customers.Get(ctx, id)
	require.Equal(t, store.Unavailable, store.AsError(err).Code)
	var attempts int
	require.NoError(t, s.db.Superuser().QueryRow(t.Context(), "SELECT last_value FROM attempts").Scan(&attempts))
	require.LessOrEqual(t, attempts, 2)
}
