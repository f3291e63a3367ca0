package schema_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/store/folding"
	"lumen/store/postgres"
	"lumen/store/schema"
	"lumen/store/storetest"
)

// before returns a database whose schema is that before migration 0006, with two merchants.
func before(t *testing.T) (*storetest.Database, *schema.Migrator) {
	t.Helper()
	db := storetest.New(t)
	for _, statement := range []string{
		`DROP INDEX customers_name_sort_ascending, customers_name_sort_descending`,
		`ALTER TABLE customers DROP COLUMN name_sort`,
		`CREATE INDEX customers_name_ascending ON customers (merchant_id, (CASE WHEN name_key IS NULL THEN U&'\+10FFFF' ELSE name_key END), id)`,
		`CREATE INDEX customers_name_descending ON customers (merchant_id, (CASE WHEN name_key IS NULL THEN '' ELSE name_key END), id)`,
		`DELETE FROM lumen_migrations WHERE name = '0006'`,
		`INSERT INTO merchants (id, name) VALUES ('merchant_a', 'A'), ('merchant_b', 'B')`,
	} {
		_, err := db.Superuser().Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	m, err := schema.Open(db.OwnerURL())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return db, m
}

// oldCustomer is a customer as an earlier release wrote it.
type oldCustomer struct {
	id, email, emailKey, name, nameKey string
	shared, deleted                    bool
}

func insertOld(t *testing.T, db *storetest.Database, merchant string, customers ...oldCustomer) {
	t.Helper()
	for _, c := range customers {
		_, err := db.Superuser().Exec(t.Context(), `INSERT INTO customers (merchant_id, id, email, email_key, email_shared, name, name_key,
				search_key, created_at, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, NULLIF($6, ''), NULLIF($7, ''), $4 || E'\n' || $7 || E'\n', '2026-01-01Z', '2026-01-02Z',
				CASE WHEN $8 THEN timestamptz '2026-01-03Z' END)`,
			merchant, "cust_"+c.id, c.email, c.emailKey, c.shared, c.name, c.nameKey, c.deleted)
		require.NoError(t, err, c.id)
	}
}

// storedKeys are the stored keys of a customer.
type storedKeys struct {
	email, search string
	name          []byte
}

func keysOf(t *testing.T, db *storetest.Database, merchant string) map[string]storedKeys {
	t.Helper()
	rows, err := db.Superuser().Query(t.Context(), `SELECT id, email_key, search_key, name_sort, updated_at FROM customers WHERE merchant_id = $1`, merchant)
	require.NoError(t, err)
	defer rows.Close()
	found := make(map[string]storedKeys)
	for rows.Next() {
		var id string
		var keys storedKeys
		var updated time.Time
		require.NoError(t, rows.Scan(&id, &keys.email, &keys.search, &keys.name, &updated))
		require.True(t, updated.Equal(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)), "updated_at does not change")
		found[id] = keys
	}
	require.NoError(t, rows.Err())
	return found
}

// rekeyed runs Rekey and returns its counts.
func rekeyed(t *testing.T, db *storetest.Database) schema.Rekeyed {
	t.Helper()
	m := db.Migrator(t)
	require.NoError(t, m.Rekey(t.Context()))
	return m.Rekeyed
}

func requireForced(t *testing.T, db *storetest.Database) {
	t.Helper()
	var forced bool
	require.NoError(t, db.Superuser().QueryRow(t.Context(), `SELECT relforcerowsecurity FROM pg_class WHERE oid = 'customers'::regclass`).Scan(&forced))
	require.True(t, forced)
}

func TestKeysOfRowsThatAreThere(t *testing.T) {
	t.Parallel()
	db, m := before(t)
	old := []oldCustomer{
		{id: "plain", email: "Ann@example.com", emailKey: "ann@example.com"},
		{id: "named", email: "zoe@example.com", emailKey: "zoe@example.com", name: "Zoë O’Brien", nameKey: "zoë o’brien"},
		{id: "sharp", email: "max@straße.example", emailKey: "max@strasse.example"},
		{id: "double", email: "max@strasse.example", emailKey: "max@strasse.example", shared: true},
		{id: "deleted", email: "eva@straße.example", emailKey: "eva@strasse.example", deleted: true},
		{id: "refused", email: "a@127.0.0.1", emailKey: "a@127.0.0.1", name: "José", nameKey: "josé"},
		{id: "hidden", email: "a\u034f@example.com", emailKey: "a\u034f@example.com"},
		// The second must get its new key before the first one can, whose row comes earlier in the
		// table.
		{id: "mover1", email: "move1@example.com", emailKey: "stale@example.com"},
		{id: "mover2", email: "move2@example.com", emailKey: "move1@example.com"},
	}
	insertOld(t, db, "merchant_a", old...)
	// Customers of several merchants may have the same id.
	insertOld(t, db, "merchant_b", oldCustomer{id: "sharp", email: "eva@fuß.example", emailKey: "eva@fuss.example"},
		oldCustomer{id: "named", email: "zoe@example.com", emailKey: "zoe@example.com", name: "Zoe", nameKey: "zoe"})

	applied, err := m.Up(t.Context())
	require.NoError(t, err)
	require.Len(t, applied, 1)
	require.Equal(t, schema.Rekeyed{Rows: 11, Changed: 9, Refused: 2}, m.Rekeyed)
	requireForced(t, db)
	want := map[string]storedKeys{
		"cust_plain":   {email: "ann@example.com", search: "ann@example.com\n\n"},
		"cust_named":   {email: "zoe@example.com", search: "zoe@example.com\nzoe o'brien\n", name: folding.SortKey("Zoë O’Brien")},
		"cust_sharp":   {email: "max@xn--strae-oqa.example", search: "max@strasse.example\n\n"},
		"cust_double":  {email: "max@strasse.example", search: "max@strasse.example\n\n"},
		"cust_deleted": {email: "eva@xn--strae-oqa.example", search: "eva@strasse.example\n\n"},
		"cust_refused": {email: "a@127.0.0.1", search: "a@127.0.0.1\njose\n", name: folding.SortKey("José")},
		"cust_hidden":  {email: "a\u034f@example.com", search: "a@example.com\n\n"},
		"cust_mover1":  {email: "move1@example.com", search: "move1@example.com\n\n"},
		"cust_mover2":  {email: "move2@example.com", search: "move2@example.com\n\n"},
	}
	require.Equal(t, want, keysOf(t, db, "merchant_a"))
	require.Equal(t, map[string]storedKeys{
		"cust_sharp": {email: "eva@xn--fu-hia.example", search: "eva@fuss.example\n\n"},
		"cust_named": {email: "zoe@example.com", search: "zoe@example.com\nzoe\n", name: folding.SortKey("Zoe")},
	}, keysOf(t, db, "merchant_b"))

	nameIndexes := func() []string {
		return queryLines(t, db.SuperuserURL(), `SELECT indexrelid::regclass::text FROM pg_index
			WHERE indrelid = 'customers'::regclass AND indisvalid AND pg_get_indexdef(indexrelid) LIKE '%name%' ORDER BY 1`)
	}
	sorted := []string{"customers_name_sort_ascending", "customers_name_sort_descending"}
	require.Equal(t, append([]string{"customers_name_ascending", "customers_name_descending"}, sorted...), nameIndexes())

	require.Equal(t, schema.Rekeyed{Rows: 11, Refused: 2}, rekeyed(t, db))
	require.Equal(t, sorted, nameIndexes(), "Rekey drops the indexes of earlier servers")
}

// While servers of two releases write, one may accept an email that another row has by the new key.
func TestNewKeyThatAnotherRowHas(t *testing.T) {
	t.Parallel()
	db, m := before(t)
	_, err := m.Up(t.Context())
	require.NoError(t, err)
	insertOld(t, db, "merchant_a",
		oldCustomer{id: "first", email: "max@straße.example", emailKey: "max@xn--strae-oqa.example"},
		oldCustomer{id: "second", email: "MAX@straße.example", emailKey: "max@strasse.example", name: "José", nameKey: "josé"},
		oldCustomer{id: "third", email: "eva@straße.example", emailKey: "eva@strasse.example"})

	want := schema.Rekeyed{Rows: 3, Changed: 2, Taken: []schema.TakenKey{{MerchantID: "merchant_a", ID: "cust_second"}}}
	require.Equal(t, want, rekeyed(t, db))
	keys := keysOf(t, db, "merchant_a")
	require.Equal(t, "max@strasse.example", keys["cust_second"].email, "the email key is kept")
	require.Equal(t, folding.SortKey("José"), keys["cust_second"].name, "the other keys are new")
	require.Equal(t, "eva@xn--strae-oqa.example", keys["cust_third"].email)

	_, err = db.Superuser().Exec(t.Context(), `UPDATE customers SET deleted_at = updated_at WHERE id = 'cust_first'`)
	require.NoError(t, err)
	require.Equal(t, schema.Rekeyed{Rows: 3, Changed: 1}, rekeyed(t, db))
}

// insertMany inserts customers with the keys of the last release. The first half needs no new keys.
func insertMany(t *testing.T, db *storetest.Database, merchant string, n int) {
	t.Helper()
	_, err := db.Superuser().Exec(t.Context(), `INSERT INTO customers (merchant_id, id, email, email_key, email_shared, name, name_key,
			search_key, created_at, updated_at)
		SELECT $1, 'cust_' || lpad(n::text, 9, '0'), 'max' || n || host, 'max' || n || replace(host, 'ß', 'ss'), false, name, lower(name),
			'max' || n || replace(host, 'ß', 'ss') || E'\n' || COALESCE(lower(name), '') || E'\n', '2026-01-01Z', '2026-01-02Z'
		FROM generate_series(1, $2::int) AS n, LATERAL (SELECT CASE WHEN n > $2 / 2 THEN '@straße.example' ELSE '@example.com' END AS host,
			CASE WHEN n > $2 / 2 THEN 'Zoë' END AS name) AS t`, merchant, n)
	require.NoError(t, err)
}

// The service's statements succeed while keys are computed: behind a long reader, such as a backup,
// and during a batch in which another row has a new key. They would give up after 2 s.
func TestRekeyLocksTheTableBriefly(t *testing.T) {
	t.Parallel()
	db, m := before(t)
	insertMany(t, db, "merchant_a", 16_000)
	insertOld(t, db, "merchant_a",
		oldCustomer{id: "other", email: "max12000@straße.example", emailKey: "max12000@xn--strae-oqa.example"})
	reader, err := db.Superuser().Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), "SELECT count(*) FROM customers")
	require.NoError(t, err)
	time.AfterFunc(3*time.Second, func() { _ = reader.Rollback(context.Background()) })

	done := make(chan error, 1)
	go func() { _, err := m.Up(t.Context()); done <- err }()
	service := db.Service(t).Open(1)
	defer func() { require.NoError(t, service.Close()) }()
	longest, asked := time.Duration(0), 0
	for running := true; running; asked++ {
		select {
		case err := <-done:
			require.NoError(t, err)
			running = false
		case <-time.After(2 * time.Millisecond):
		}
		began := time.Now()
		require.NoError(t, service.Exec(t.Context(), "SELECT FROM public.customers LIMIT 1"), "after %v", time.Since(began))
		longest = max(longest, time.Since(began))
	}
	t.Logf("the longest of %d statements took %v", asked, longest)
	require.Equal(t, schema.Rekeyed{Rows: 16_001, Changed: 8_000, Taken: []schema.TakenKey{{MerchantID: "merchant_a", ID: "cust_000012000"}}}, m.Rekeyed)
}

// A migrator of the last release waits for the migration lock in a statement, and the creation of
// an index waits for that statement.
func TestMigrateWhileOldMigratorWaits(t *testing.T) {
	t.Parallel()
	db, m := before(t)
	insertMany(t, db, "merchant_a", 2_000)
	blocker, err := db.Superuser().Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = blocker.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = blocker.Exec(t.Context(), "LOCK TABLE customers IN ACCESS SHARE MODE")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { _, err := m.Up(t.Context()); done <- err }()
	const locks = `SELECT 'x' FROM pg_locks WHERE locktype = 'advisory'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	held := locks + " AND granted"
	require.Eventually(t, func() bool { return len(queryLines(t, db.SuperuserURL(), held)) > 0 }, 10*time.Second, 10*time.Millisecond)

	waiting := make(chan error, 1)
	go func() {
		conn, err := pgx.Connect(t.Context(), db.OwnerURL())
		if err == nil {
			_, err = conn.Exec(t.Context(), "SELECT pg_advisory_lock(5860316622531074)")
			_ = conn.Close(t.Context())
		}
		waiting <- err
	}()
	waits := locks + " AND NOT granted"
	require.Eventually(t, func() bool { return len(queryLines(t, db.SuperuserURL(), waits)) > 0 }, 10*time.Second, 10*time.Millisecond)
	// After deadlock_timeout, 1 s, Postgres no longer looks for a deadlock on behalf of the old
	// migrator.
	time.Sleep(1200 * time.Millisecond)
	require.NoError(t, blocker.Rollback(t.Context()))
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("the two migrators wait for each other")
	}
	require.Equal(t, "57014", postgres.SQLState(<-waiting), "the old migrator is canceled")
	require.NoError(t, schema.CheckMigrations(t.Context(), db.Service(t)))
}

// Rekey refuses a schema that is older or newer than the program.
func TestRekeyChecksTheSchema(t *testing.T) {
	t.Parallel()
	db, m := before(t)
	require.ErrorContains(t, m.Rekey(t.Context()), "1 of 8 migrations are pending; run: lumen migrate up")
	_, err := m.Up(t.Context())
	require.NoError(t, err)
	_, err = db.Superuser().Exec(t.Context(), `DROP INDEX customers_name_sort_ascending`)
	require.NoError(t, err)
	require.NoError(t, m.Rekey(t.Context()))
	require.Len(t, queryLines(t, db.SuperuserURL(), `SELECT 'x' FROM pg_class WHERE relname = 'customers_name_sort_ascending'`), 1)

	_, err = db.Superuser().Exec(t.Context(), `INSERT INTO lumen_migrations (name, group_id) VALUES ('9999', 9)`)
	require.NoError(t, err)
	require.ErrorContains(t, m.Rekey(t.Context()), "the schema is newer than this program")
}

// If a migrator is stopped between two batches, each row has either its old keys or its new ones,
// and the next migrator continues.
func TestMigratorThatIsStoppedBetweenBatches(t *testing.T) {
	t.Parallel()
	db, m := before(t)
	const rows = 30_000
	_, err := db.Superuser().Exec(t.Context(), `INSERT INTO customers (merchant_id, id, email, email_key, email_shared, name, name_key,
			search_key, created_at, updated_at)
		SELECT 'merchant_a', 'cust_' || n, 'max' || n || '@straße.example', 'max' || n || '@strasse.example', false, 'Zoë', 'zoë',
			'max' || n || E'@strasse.example\nzoë\n', '2026-01-01Z', '2026-01-02Z'
		FROM generate_series(1, $1::int) AS n`, rows)
	require.NoError(t, err)

	count := func() (done, half int) {
		require.NoError(t, db.Superuser().QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE is_new <> (email_key LIKE '%xn--%')
				OR is_new <> (search_key LIKE E'%\nzoe\n'))
			FROM customers, LATERAL (SELECT name_sort IS NOT NULL) AS t (is_new)`).Scan(&done, &half))
		return done, half
	}
	stopped := false
	for wait := 200 * time.Millisecond; ; wait += 200 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		_, err := m.Up(ctx)
		cancel()
		if err == nil {
			break
		}
		if len(queryLines(t, db.SuperuserURL(), `SELECT 'x' FROM pg_attribute WHERE attrelid = 'customers'::regclass AND attname = 'name_sort'`)) == 0 {
			continue // it was stopped before it added the column
		}
		done, half := count()
		require.Zero(t, half, "no row has a mix of old and new keys")
		requireForced(t, db)
		stopped = stopped || 0 < done && done < rows
	}
	require.True(t, stopped, "no migrator was stopped between two batches")
	done, half := count()
	require.Equal(t, [2]int{rows, 0}, [2]int{done, half})
	pending, err := m.Status(t.Context())
	require.NoError(t, err)
	for _, step := range pending {
		require.NotNil(t, step.AppliedAt, fmt.Sprint(step))
	}
}
