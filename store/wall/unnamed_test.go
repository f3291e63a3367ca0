package wall_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
	"lumen/store/wall"
)

// Behind a pooler, each statement has the settings that its connection would have without one.
func TestUnnamedStatementsHaveTheirSettings(t *testing.T) {
	t.Parallel()
	testSettings(t, func(db *storetest.Database) string { return db.AppURL() })
}

func testSettings(t *testing.T, urlOf func(*storetest.Database) string) {
	eachWay(t, func(t *testing.T, read reader) { testSettingsWith(t, urlOf, read) })
}

func testSettingsWith(t *testing.T, urlOf func(*storetest.Database) string, read reader) {
	with := func(t *testing.T, db *storetest.Database, settings map[string]string) *pool {
		t.Helper()
		return openWall(t, urlOf(db), 1, pooled(settings))
	}
	fails := func(t *testing.T, p *pool, code string, ctx context.Context, query string, args ...any) {
		t.Helper()
		start := time.Now()
		_, err := read(ctx, p, query, args...)
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr)
		require.Equal(t, code, pgErr.Code)
		require.Less(t, time.Since(start), 10*time.Second)
		require.Equal(t, clean, p.residue(t))
		require.Equal(t, int64(1), p.opened.Load())
	}
	const (
		cancelled   = "57014"
		unavailable = "55P03"
	)

	t.Run("statement_timeout applies to a statement", func(t *testing.T) {
		t.Parallel()
		p := with(t, setup(t), map[string]string{"statement_timeout": "200ms"})
		fails(t, p, cancelled, as(t.Context(), m1), "SELECT 'a', pg_sleep(60)::text")
		fails(t, p, cancelled, as(t.Context(), m1), "SELECT 'a', pg_sleep($1)::text", 60)
	})
	t.Run("both timeouts apply to the wait for a lock", func(t *testing.T) {
		t.Parallel()
		for setting, code := range map[string]string{"statement_timeout": cancelled, "lock_timeout": unavailable} {
			db := setup(t)
			holder, err := db.Superuser().Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) }()
			_, err = holder.Exec(t.Context(), "SELECT pg_advisory_xact_lock(hashtextextended('key', 0)) FROM (SELECT FROM customers FOR UPDATE) AS held")
			require.NoError(t, err)
			p := with(t, db, map[string]string{setting: "200ms"})
			fails(t, p, code, wall.WithLock(as(t.Context(), m1), "key"), allCustomers)
			fails(t, p, code, as(t.Context(), m1), "UPDATE customers SET name = 'Bea' WHERE id = $1 RETURNING id, name", "cust_1")
		}
	})
	t.Run("statement_timeout starts again with each statement", func(t *testing.T) {
		t.Parallel()
		p := with(t, setup(t), map[string]string{"statement_timeout": "1s"})
		for range 3 {
			_, err := read(as(t.Context(), m1), p, "SELECT 'a', pg_sleep(0.5)::text::varchar")
			require.NoError(t, err)
		}
	})
	t.Run("synchronous_commit overrides the database's", func(t *testing.T) {
		t.Parallel()
		db := setup(t)
		change(t, db, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`)
		const both = "SELECT current_setting('synchronous_commit'), current_setting('lock_timeout')"
		got, err := read(as(t.Context(), m1), with(t, db, nil), both)
		require.NoError(t, err)
		require.Equal(t, []string{"off", "0"}, got)
		got, err = read(as(t.Context(), m1), with(t, db, map[string]string{"synchronous_commit": "on", "lock_timeout": "2s"}), both)
		require.NoError(t, err)
		require.Equal(t, []string{"on", "2s"}, got)
	})
	t.Run("search_path overrides the database's", func(t *testing.T) {
		t.Parallel()
		db := setup(t)
		change(t, db, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = elsewhere', current_database()); END $$`)
		_, err := read(as(t.Context(), m1), with(t, db, nil), allCustomers)
		require.ErrorContains(t, err, "42P01")
		got, err := read(as(t.Context(), m1), with(t, db, map[string]string{"search_path": "public"}), allCustomers)
		require.NoError(t, err)
		require.Equal(t, own(m1), got)
	})
	t.Run("a value is quoted", func(t *testing.T) {
		t.Parallel()
		got, err := read(as(t.Context(), m1), with(t, setup(t), map[string]string{"lumen.text": "it's"}), "SELECT current_setting('lumen.text'), 'b'")
		require.NoError(t, err)
		require.Equal(t, []string{"it's", "b"}, got)
	})
}

func TestUnnamedStatementsLeaveNonePrepared(t *testing.T) {
	t.Parallel()
	testNonePrepared(t, openUnnamed)
}

func testNonePrepared(t *testing.T, open opener) {
	p := open(t, setup(t), 1)
	at := time.Date(2026, 2, 3, 4, 5, 6, 789000000, time.UTC)
	type answer struct {
		Prepared, N int64
		Text        string
		Flag        bool
		At          time.Time
		Among       bool
		Null        *string
		Chosen      string
	}
	for i := range 10 {
		var got answer
		require.NoError(t, p.QueryRowContext(wall.WithLock(as(t.Context(), m1), "key"), `
			SELECT (SELECT count(*) FROM pg_prepared_statements), $1::int8, $2::text, $3::bool, $4::timestamptz, 'b' = ANY($5::text[]), $6::text,
			       CASE WHEN $7 THEN name ELSE $8 END FROM customers WHERE id = $9 AND id = ANY($10) AND tax_id IS NOT DISTINCT FROM $11`,
			int64(i), `të"x{t`, true, at, []string{"a", "b"}, nil, false, "Bea", "cust_1", []string{"cust_1", `{"`}, nil,
		).Scan(&got.Prepared, &got.N, &got.Text, &got.Flag, &got.At, &got.Among, &got.Null, &got.Chosen))
		require.Equal(t, answer{0, int64(i), `të"x{t`, true, at, true, nil, "Bea"}, got)
		_, err := p.ExecContext(as(t.Context(), m1), "UPDATE customers SET tax_id = $1, user_id = $2 WHERE id = $3", nil, "user_1", "cust_1")
		require.NoError(t, err)
	}
	require.Equal(t, clean, p.residue(t))
	require.Equal(t, int64(1), p.opened.Load())
}
