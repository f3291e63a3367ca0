package schema

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"lumen/store"
	"lumen/store/postgres"
)

// Rekeyed says what became of the rows whose keys were computed.
type Rekeyed struct {
	Rows    int `json:"rows"`
	Changed int `json:"changed"`
	// Refused is how many rows keep a key because their text would be refused today.
	Refused int `json:"refused"`
	// Taken are the rows that keep their key because another row has the new one. A server of an earlier
	// release let it in meanwhile.
	Taken []TakenKey `json:"taken,omitempty"`
}

// TakenKey is a row whose new key another row has.
type TakenKey struct {
	MerchantID string `json:"merchantId"`
	ID         string `json:"id"`
}

// Rekey computes the stored keys of all rows again, of all merchants, and drops the indexes that only
// servers of earlier releases use. It is for when the last of them is gone: they wrote rows after Up.
func (m *Migrator) Rekey(ctx context.Context) (Rekeyed, error) {
	var report Rekeyed
	err := m.locked(ctx, func() error {
		for _, noun := range store.Nouns() {
			if err := rekey(ctx, m.pool.DB, noun, &report); err != nil {
				return err
			}
		}
		return replaceIndexes(ctx, m.pool.DB, nil, nameKeyIndexes)
	})
	return report, err
}

// The size of batches, in rows, follows from the time that they take. Meanwhile the table is locked: statements of
// the service wait for at most 2 s, and for the lock itself no longer than lockTimeout.
const (
	firstBatch    = 200
	largestBatch  = 20_000
	batchTime     = 200 * time.Millisecond
	lockTimeout   = "300ms"
	lockTries     = 200
	betweenTries  = 100 * time.Millisecond
	lockNotGotten = "55P03" // lock_not_available
)

// rekey computes the stored keys of a noun's rows, batch after batch, each in a transaction of its own. A
// migrator that is killed leaves each row with its old keys or its new ones. updated_at stays: what callers
// see of a row does not change.
func rekey(ctx context.Context, db *bun.DB, noun store.Noun, report *Rekeyed) error {
	r := newRekeying(noun)
	for size := firstBatch; ; {
		started, read, err := r.batch(ctx, db.DB, size)
		for tries := 1; postgres.SQLState(err) == lockNotGotten && tries < lockTries; tries++ {
			time.Sleep(betweenTries)
			started, read, err = r.batch(ctx, db.DB, size)
		}
		if err != nil {
			return fmt.Errorf("compute the keys of %s: %w", noun.Plural(), err)
		}
		if read < size {
			report.add(r.Rekeyed)
			return nil
		}
		took := time.Since(started)
		size = max(1, min(largestBatch, 2*size, int(float64(size)*float64(batchTime)/float64(took))))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(took): // what waited for the lock goes on
		}
	}
}

func (r *Rekeyed) add(more Rekeyed) {
	r.Rows += more.Rows
	r.Changed += more.Changed
	r.Refused += more.Refused
	r.Taken = append(r.Taken, more.Taken...)
}

// rekeying is the work on one table.
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

// rekeyedRow is a row and its new keys, by their places in rekeying.keys.
type rekeyedRow struct {
	merchant, id string
	keys         []any
}

// batch does the rows after the last batch. It returns when it had the lock, and how many rows it read. Row-level
// security binds the owner, too, whose update would change nothing: so it is lifted within the transaction.
func (r *rekeying) batch(ctx context.Context, db *sql.DB, size int) (started time.Time, read int, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return started, 0, err
	}
	defer func() { _ = tx.Rollback() }()
	lift := "SET LOCAL lock_timeout = '" + lockTimeout + "'; ALTER TABLE " + r.table + " NO FORCE ROW LEVEL SECURITY"
	if _, err := tx.ExecContext(ctx, lift); err != nil {
		return started, 0, err
	}
	started = time.Now()
	found := *r
	changed, err := found.read(ctx, tx, size)
	if err != nil {
		return started, 0, err
	}
	if err := found.write(ctx, tx, changed); err != nil {
		return started, 0, err
	}
	if _, err := tx.ExecContext(ctx, "ALTER TABLE "+r.table+" FORCE ROW LEVEL SECURITY"); err != nil {
		return started, 0, err
	}
	if err := tx.Commit(); err != nil {
		return started, 0, err
	}
	read = found.Rows - r.Rows
	*r = found
	return started, read, nil
}

// read returns the rows of the batch whose keys differ from what they have.
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

// compute computes the keys of a row and reports whether one differs from what is stored.
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

// write updates the rows, all of which are there.
func (r *rekeying) write(ctx context.Context, tx *sql.Tx, rows []rekeyedRow) error {
	if len(rows) == 0 {
		return nil
	}
	all := make([]int, len(r.keys))
	for i := range all {
		all[i] = i
	}
	n, err := r.update(ctx, tx, rows, all)
	if postgres.SQLState(err) == "23505" { // unique_violation
		return r.writeSingly(ctx, tx, rows)
	}
	if err != nil {
		return err
	}
	if n != len(rows) {
		return fmt.Errorf("%d of %d rows were updated", n, len(rows))
	}
	r.Changed += n
	return nil
}

// writeSingly updates what can be updated, where another row has the new key of one of the rows. That may be a row
// that moves away itself, so those that fail are tried until none succeeds any more.
func (r *rekeying) writeSingly(ctx context.Context, tx *sql.Tx, rows []rekeyedRow) error {
	for done := true; done; {
		var taken []rekeyedRow
		for _, row := range rows {
			ok, err := r.updateOne(ctx, tx, row)
			if err != nil {
				return err
			}
			if !ok {
				taken = append(taken, row)
			}
		}
		r.Changed += len(rows) - len(taken)
		done = len(taken) < len(rows)
		rows = taken
	}
	for _, row := range rows {
		r.Taken = append(r.Taken, TakenKey{row.merchant, row.id})
	}
	return nil
}

// updateOne updates the keys of one row, one by one, and returns false when one of them is another row's.
func (r *rekeying) updateOne(ctx context.Context, tx *sql.Tx, row rekeyedRow) (bool, error) {
	ok := true
	for i := range r.keys {
		_, err := r.update(ctx, tx, []rekeyedRow{row}, []int{i})
		switch {
		case postgres.SQLState(err) == "23505":
			ok = false
		case err != nil:
			return false, err
		}
	}
	return ok, nil
}

// isFresh finds the row that a key was computed for. An id may be of several merchants.
const isFresh = "c.merchant_id = fresh.merchant_id AND c.id = fresh.id"

// update sets some of the keys, by their places, and returns the number of rows. When it fails, the transaction is
// as it was before.
func (r *rekeying) update(ctx context.Context, tx *sql.Tx, rows []rekeyedRow, keys []int) (n int, err error) {
	merchants, ids := make([]string, len(rows)), make([]string, len(rows))
	args, names := []any{merchants, ids}, []string{"merchant_id", "id"}
	types := []string{"$1::text[]", "$2::text[]"}
	var set []string
	for _, k := range keys {
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
	statement := "UPDATE " + r.table + " AS c SET " + strings.Join(set, ", ") + " FROM unnest(" + strings.Join(types, ", ") +
		") AS fresh (" + strings.Join(names, ", ") + ") WHERE " + isFresh
	if _, err := tx.ExecContext(ctx, "SAVEPOINT keys"); err != nil {
		return 0, err
	}
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		_, undo := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT keys")
		return 0, errors.Join(err, undo)
	}
	affected, err := result.RowsAffected()
	return int(affected), err
}
