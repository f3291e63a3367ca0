package schema

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"lumen/store"
	"lumen/store/postgres"
)

// Rekeyed counts the rows whose keys were computed again.
type Rekeyed struct {
	Rows    int `json:"rows"`
	Changed int `json:"changed"`
	// Refused is the number of rows that keep a key because their text is no longer valid.
	Refused int `json:"refused"`
	// Taken are the rows that keep their key because another row has the new one. A server of an
	// earlier release accepted the other row after the migration.
	Taken []TakenKey `json:"taken,omitempty"`
}

// TakenKey identifies a row whose new key another row has.
type TakenKey struct {
	MerchantID string `json:"merchantId"`
	ID         string `json:"id"`
}

// Rekey computes the stored keys of all rows of all merchants again, and drops the indexes that
// only servers of earlier releases use. Run it after the last of those servers has stopped, because
// they write keys of their own.
func (m *Migrator) Rekey(ctx context.Context) error {
	return m.locked(ctx, func() error {
		if err := checkMigrations(ctx, m.pool); err != nil {
			return err
		}
		_, newer, err := migrationStatus(ctx, m.pool)
		switch {
		case err != nil:
			return err
		case newer:
			return errors.New("the schema is newer than this program; run the newer program")
		}
		for _, noun := range store.Nouns() {
			if err := m.rekey(ctx, noun); err != nil {
				return err
			}
		}
		return m.replaceIndexes(ctx, nameSortIndexes, nameKeyIndexes)
	})
}

// A batch locks the table, so its size, in rows, is adapted to the time that the last batch took.
const (
	firstBatch   = 200
	largestBatch = 4_000
	batchTime    = 200 * time.Millisecond
)

// rekey computes the stored keys of a noun's rows in batches, each in its own transaction. If the
// migrator is killed, each row has either its old keys or its new ones. rekey does not change
// updated_at, because no value that clients see changes.
func (m *Migrator) rekey(ctx context.Context, noun store.Noun) error {
	r := newRekeying(noun)
	for size, done := firstBatch, len(r.keys) == 0; !done; {
		took, read := time.Duration(0), 0
		err := retryLock(ctx, func() (err error) {
			took, read, err = r.batch(ctx, m.pool.DB.DB, size)
			return err
		})
		if err != nil {
			return fmt.Errorf("compute the keys of %s: %w", noun.Plural(), err)
		}
		if m.Progress != nil {
			m.Progress(r.Rows)
		}
		done = read < size
		size = max(1, min(largestBatch, 2*size, int(float64(size)*float64(batchTime)/float64(took))))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(took): // lets the statements run that waited for the lock
		}
	}
	m.Rekeyed.add(r.Rekeyed)
	return nil
}

func (r *Rekeyed) add(more Rekeyed) {
	r.Rows += more.Rows
	r.Changed += more.Changed
	r.Refused += more.Refused
	r.Taken = append(r.Taken, more.Taken...)
}

// rekeying is the rekey of one table.
type rekeying struct {
	table   string
	keys    []store.StoredKey
	sources []string // columns
	after   [2]string
	Rekeyed
}

func newRekeying(noun store.Noun) *rekeying {
	r := &rekeying{table: "public." + noun.Table(), keys: noun.StoredKeys()}
	for _, key := range r.keys {
		r.sources = append(r.sources, key.From...)
	}
	return r
}

// rekeyedRow is a row and its new keys, in the order of rekeying.keys.
type rekeyedRow struct {
	merchant, id string
	keys         []any
}

// batch updates the size rows after the last batch. It returns how long it held the lock and how
// many rows it read. Row-level security applies to the owner, too, whose update would change no
// row, so batch lifts it within the transaction.
func (r *rekeying) batch(ctx context.Context, db *sql.DB, size int) (took time.Duration, read int, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = tx.Rollback() }()
	lift := "SET LOCAL lock_timeout = '" + lockTimeout + "'; ALTER TABLE " + r.table + " NO FORCE ROW LEVEL SECURITY"
	if _, err := tx.ExecContext(ctx, lift); err != nil {
		return 0, 0, err
	}
	started := time.Now()
	found := *r
	changed, err := found.read(ctx, tx, size)
	if err != nil {
		return 0, 0, err
	}
	if err := found.write(ctx, tx, changed); err != nil {
		return 0, 0, err
	}
	if _, err := tx.ExecContext(ctx, "ALTER TABLE "+r.table+" FORCE ROW LEVEL SECURITY"); err != nil {
		return 0, 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, 0, err
	}
	read = found.Rows - r.Rows
	*r = found
	return time.Since(started), read, nil
}

// read reads the batch and returns the rows whose stored keys differ from the computed ones.
func (r *rekeying) read(ctx context.Context, tx *sql.Tx, size int) ([]rekeyedRow, error) {
	columns := r.sources
	for _, key := range r.keys {
		columns = append(columns[:len(columns):len(columns)], key.Column)
	}
	rows, err := tx.QueryContext(ctx, "SELECT merchant_id, id, "+strings.Join(columns, ", ")+" FROM "+r.table+
		" WHERE (merchant_id, id) > ($1, $2) ORDER BY merchant_id, id LIMIT $3", r.after[0], r.after[1], size)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()

	var changed []rekeyedRow
	for rows.Next() {
		row := rekeyedRow{keys: make([]any, len(r.keys))}
		texts, stored := make([]*string, len(r.sources)), make([][]byte, len(r.keys))
		into := []any{&row.merchant, &row.id}
		for i := range texts {
			into = append(into, &texts[i])
		}
		for i := range stored {
			into = append(into, &stored[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		r.Rows++
		r.after = [2]string{row.merchant, row.id}
		if r.compute(&row, texts, stored) {
			changed = append(changed, row)
		}
	}
	return changed, rows.Err()
}

// compute computes the keys of a row and reports whether one differs from the stored key.
func (r *rekeying) compute(row *rekeyedRow, texts []*string, stored [][]byte) (differs bool) {
	refused := false
	for i, key := range r.keys {
		computed, ok := key.Of(texts[:len(key.From)])
		texts = texts[len(key.From):]
		var octets []byte
		switch computed := computed.(type) {
		case string:
			octets = []byte(computed)
		case []byte:
			octets = computed
		}
		if !ok {
			refused, octets = true, stored[i]
		}
		differs = differs || !bytes.Equal(octets, stored[i]) || (octets == nil) != (stored[i] == nil)
		switch {
		case octets == nil:
		case key.SQLType == "text":
			row.keys[i] = string(octets)
		default:
			row.keys[i] = octets
		}
	}
	if refused {
		r.Refused++
	}
	return differs
}

// write updates the keys of the rows.
func (r *rekeying) write(ctx context.Context, tx *sql.Tx, rows []rekeyedRow) error {
	stuck, err := r.writeFree(ctx, tx, rows)
	if err != nil {
		return err
	}
	return r.writeSingly(ctx, tx, stuck)
}

// writeFree updates the rows whose new keys no other row has, and returns the others. It finds
// those by halving: they are few, and each statement takes time while the table is locked.
func (r *rekeying) writeFree(ctx context.Context, tx *sql.Tx, rows []rekeyedRow) (stuck []rekeyedRow, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	n, err := r.update(ctx, tx, rows, 0, len(r.keys))
	switch {
	case isTaken(err) && len(rows) == 1:
		return rows, nil
	case isTaken(err):
		for _, half := range [][]rekeyedRow{rows[:len(rows)/2], rows[len(rows)/2:]} {
			more, err := r.writeFree(ctx, tx, half)
			if err != nil {
				return nil, err
			}
			stuck = append(stuck, more...)
		}
		return stuck, nil
	case err != nil:
		return nil, err
	case n != len(rows):
		return nil, fmt.Errorf("%d of %d rows were updated", n, len(rows))
	}
	r.Changed += n
	return nil, nil
}

func isTaken(err error) bool { return postgres.SQLState(err) == "23505" } // unique_violation

// writeSingly updates the rows whose new keys other rows have, as far as possible. Those other rows
// may themselves get new keys, so it repeats until no row can be updated.
func (r *rekeying) writeSingly(ctx context.Context, tx *sql.Tx, rows []rekeyedRow) error {
	for moved := true; moved; {
		taken, err := r.writeFreeKeys(ctx, tx, rows)
		if err != nil {
			return err
		}
		r.Changed += len(rows) - len(taken)
		moved = len(taken) < len(rows)
		rows = taken
	}
	for _, row := range rows {
		r.Taken = append(r.Taken, TakenKey{row.merchant, row.id})
	}
	return nil
}

// writeFreeKeys updates the rows one key at a time. It returns the rows of which another row has a
// new key.
func (r *rekeying) writeFreeKeys(ctx context.Context, tx *sql.Tx, rows []rekeyedRow) (taken []rekeyedRow, err error) {
	for _, row := range rows {
		ok := true
		for i := range r.keys {
			_, err := r.update(ctx, tx, []rekeyedRow{row}, i, i+1)
			if err != nil && !isTaken(err) {
				return nil, err
			}
			ok = ok && err == nil
		}
		if !ok {
			taken = append(taken, row)
		}
	}
	return taken, nil
}

// isFresh matches a row with its new keys. Rows of several merchants may have the same id.
const isFresh = "c.merchant_id = fresh.merchant_id AND c.id = fresh.id"

// update sets the keys from index first to before last, and returns the number of updated rows. If
// it fails, the transaction is as it was before.
func (r *rekeying) update(ctx context.Context, tx *sql.Tx, rows []rekeyedRow, first, last int) (n int, err error) {
	merchants, ids := make([]string, len(rows)), make([]string, len(rows))
	args, names := []any{merchants, ids}, []string{"merchant_id", "id"}
	types := []string{"$1::text[]", "$2::text[]"}
	var set []string
	for k := first; k < last; k++ {
		values := make([]any, len(rows))
		for i, row := range rows {
			merchants[i], ids[i], values[i] = row.merchant, row.id, row.keys[k]
		}
		args = append(args, values)
		name := r.keys[k].Column
		names = append(names, name)
		types = append(types, fmt.Sprintf("$%d::%s[]", len(args), r.keys[k].SQLType))
		set = append(set, name+" = fresh."+name)
	}
	statement := "UPDATE " + r.table + " AS c SET " + strings.Join(set, ", ") +
		" FROM unnest(" + strings.Join(types, ", ") + ") AS fresh (" + strings.Join(names, ", ") + ") WHERE " + isFresh
	if _, err := tx.ExecContext(ctx, "SAVEPOINT keys"); err != nil {
		return 0, err
	}
	result, err := tx.ExecContext(ctx, statement, args...)
	end := "RELEASE SAVEPOINT keys"
	if err != nil {
		end = "ROLLBACK TO SAVEPOINT keys; " + end
	}
	if _, ending := tx.ExecContext(ctx, end); err != nil || ending != nil {
		return 0, errors.Join(err, ending)
	}
	affected, err := result.RowsAffected()
	return int(affected), err
}
