package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"iter"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"lumen/store"
	"lumen/store/storetest"
	"lumen/store/wall"
)

// These tests check I1 with one of its two guards removed. With row-level security off, the
// predicates in the code must isolate merchants. With a predicate cut out of the SQL on its way to
// Postgres, row-level security must. With both removed, rows do leak, which shows that the cuts are
// real.

// All merchants have identical customers. The caller is the second of three.
const (
	isolationAsker = "merchant_2"
	isolationOther = "merchant_3"
)

// fixture describes a noun to the tests. Each noun has one.
type fixture struct {
	noun store.Noun
	rows func(*store.Store) any // returns a value whose methods are the operations
	// setup is SQL that creates what no migration creates, or "".
	setup string
	// prefix is the prefix of the ids, which end in the numbers of the merchant and of the row.
	prefix string
	// identical returns the rest of an INSERT statement that adds the rows from first to last to
	// each merchant.
	identical  func(first, last int) string
	operations func() []operation
	// want are some expected outcomes, by the operations' titles. They show that the operations
	// work.
	want map[string]outcome
	// all is the number of rows that All returns without a filter. It is more than one batch.
	all int
}

// fixtures are the fixtures of all nouns, by name.
var fixtures = map[string]fixture{
	"customer": {
		noun: store.NounOf[store.Customer](), prefix: "cust",
		rows: func(s *store.Store) any {
			return struct {
				*store.Customers
				*store.Changes
			}{s.Customers, s.Changes}
		},
		identical: identicalCustomers, operations: isolationOperations, all: 509,
		want: map[string]outcome{
			"Get, another merchant's customer":         {Code: store.NotFound},
			"Get, one's own customer":                  {Rows: "merchant_2/cust_2_1"},
			"Count, no filter":                         {Count: 11},
			"GetMany, ids of all merchants":            {Rows: "merchant_2/cust_2_1 merchant_2/cust_2_2"},
			"Create, an address that only others hold": {Rows: "merchant_2/new", Wrote: "new"},
		},
	},
}

// predicate is the n-th merchant predicate in a statement. In the text, literals are masked.
type predicate struct {
	text string
	n    int
}

// predicateForm matches one way to write a merchant predicate. cutTo replaces it by an expression
// that is always true and keeps the parameter typed, so that Postgres accepts the statement.
type predicateForm struct {
	form  *regexp.Regexp
	cutTo string
}

// predicateForms are all ways in which a statement names the merchant.
var predicateForms = []predicateForm{
	{regexp.MustCompile(`(\b\w+\.)?merchant_id = \$1`), "$$1::text IS NOT NULL"},
	{regexp.MustCompile(`c\.merchant_id = '[^']*'`), "TRUE"},
	{regexp.MustCompile(`\$1 AS merchant_id`), "'" + isolationOther + "' || left($$1, 0) AS merchant_id"},
}

var isolationLiterals = regexp.MustCompile(`'[^']*'`)

// predicateCutter is a driver.Connector around that of package wall. It records every statement and
// cuts predicates.
type predicateCutter struct {
	driver.Connector
	forms []predicateForm
	bind  string // replaces the second argument: the customer that the caller is bound to

	mu         sync.Mutex
	cut        *predicate // the predicate to cut, or nil
	all        bool       // cut all predicates
	happened   int
	met        map[predicate]bool // since the last cutOut
	predicates map[predicate]bool
	functions  map[string]bool // functions of package store that were on the stack
	masked     map[string]bool
}

func (f *predicateCutter) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := f.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &cutConn{conn.(walledConn), f}, nil
}

// walledConn is the part of package wall's connections that database/sql uses.
type walledConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
	wall.Querier
}

type cutConn struct {
	walledConn
	cutter *predicateCutter
}

func (c *cutConn) Query(ctx context.Context, query string, args []any, each func(*wall.Row)) error {
	if c.cutter.bind != "" && strings.Contains(query, "$2::text = ''") {
		args = slices.Clone(args)
		args[1] = c.cutter.bind
	}
	return c.walledConn.Query(ctx, c.cutter.rewrite(query), args, each)
}

func (c *cutConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.walledConn.QueryContext(ctx, c.cutter.rewrite(query), args)
}

func (c *cutConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.walledConn.ExecContext(ctx, c.cutter.rewrite(query), args)
}

// rewrite records the statement and returns it without the predicates to be cut.
func (f *predicateCutter) rewrite(query string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recordStack()
	masked := isolationLiterals.ReplaceAllString(query, "'?'")
	f.masked[masked] = true
	n := 0
	for _, form := range f.forms {
		query = form.form.ReplaceAllStringFunc(query, func(found string) string {
			p := predicate{masked, n}
			n++
			f.met[p], f.predicates[p] = true, true
			if !f.all && (f.cut == nil || *f.cut != p) {
				return found
			}
			f.happened++
			return form.form.ReplaceAllString(found, form.cutTo)
		})
	}
	return query
}

func (f *predicateCutter) recordStack() {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if name, ok := strings.CutPrefix(frame.Function, "lumen/store."); ok {
			name = strings.ReplaceAll(name, "[...]", "") // of a generic type
			f.functions[strings.SplitN(name, ".func", 2)[0]] = true
		}
	}
}

func (f *predicateCutter) cutOut(cut *predicate, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut, f.all, f.happened, f.met = cut, all, 0, map[predicate]bool{}
}

func (f *predicateCutter) cuts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.happened
}

// isolated is a database with the rows of a fixture, behind a predicateCutter.
type isolated struct {
	fixture
	db      *storetest.Database
	cutter  *predicateCutter
	store   *store.Store
	ctx     context.Context     // the caller's
	setting string              // the customer that package wall gets from the context
	kept    map[string][]string // the rows before an operation, or nil if one may have changed them
}

func (f fixture) isolate(t *testing.T) *isolated {
	t.Helper()
	i := &isolated{fixture: f, db: storetest.New(t)}
	execute(t, i.db, f.setup)
	for _, statement := range []string{
		`INSERT INTO merchants (id, name) SELECT 'merchant_' || m, 'Acme' FROM generate_series(1, 3) AS m`,
		`SELECT lumen_make_head(id) FROM merchants`,
		`CREATE SCHEMA kept`,
		`CREATE TABLE kept.rows (LIKE public.` + f.noun.Table() + ` INCLUDING DEFAULTS)`,
		`INSERT INTO kept.rows ` + f.identical(1, 12),
	} {
		_, err := i.db.Superuser().Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	config, err := pgx.ParseConfig(i.db.AppURL())
	require.NoError(t, err)
	scope := func(ctx context.Context) (merchant, customer string) {
		credential, _ := store.CredentialFrom(ctx)
		return credential.Merchant.ID, i.setting
	}
	i.cutter = &predicateCutter{
		Connector: wall.NewConnector(config, scope), forms: predicateForms,
		met: map[predicate]bool{}, predicates: map[predicate]bool{}, functions: map[string]bool{}, masked: map[string]bool{},
	}
	pool := sql.OpenDB(i.cutter)
	t.Cleanup(func() { _ = pool.Close() })
	i.store = store.New(bun.NewDB(pool, pgdialect.New()), store.Options{})
	i.ctx = store.WithCredential(t.Context(), store.Credential{Access: store.WriteAccess, Merchant: store.Merchant{ID: isolationAsker}})
	return i
}

// identicalCustomers returns the rest of an INSERT statement that adds customers to each merchant.
// A greater number means an older customer. The fifth is deleted.
func identicalCustomers(first, last int) string {
	return fmt.Sprintf(`(merchant_id, id, email, email_key, email_shared, name, name_key, name_sort, user_id, billing_country, search_key,
		                 created_at, updated_at, deleted_at)
		SELECT 'merchant_' || m, 'cust_' || m || '_' || c, 'c' || c || '@example.com', 'c' || c || '@example.com', false, 'Ann ' || c, 'ann ' || c, convert_to('ann ' || c, 'UTF8'),
		       'user' || c, CASE WHEN c <= 5 THEN 'DE' END, E'c' || c || E'@example.com\nann ' || c || E'\nuser' || c,
		       timestamptz '2026-01-01Z' - c * interval '1 hour', timestamptz '2026-01-02Z' - c * interval '1 minute',
		       CASE WHEN c = 5 THEN timestamptz '2026-01-03Z' END
		FROM generate_series(1, 3) AS m, generate_series(%d, %d) AS c`, first, last)
}

// withoutRowSecurity turns row-level security off.
func (i *isolated) withoutRowSecurity(t *testing.T) *isolated {
	t.Helper()
	for _, table := range []string{i.noun.Table(), "merchant_heads", "changes"} {
		execute(t, i.db, "ALTER TABLE "+table+" DISABLE ROW LEVEL SECURITY")
	}
	return i
}

// logOf is the key of the dump's rows of a merchant's log.
func logOf(merchant string) string { return "log of " + merchant }

// dump returns all rows of the noun, in full, by merchant, and those of the log under logOf.
func (i *isolated) dump(t *testing.T) map[string][]string {
	t.Helper()
	rows, err := i.db.Superuser().Query(t.Context(), "SELECT merchant_id, id, c::text FROM "+i.noun.Table()+` AS c
		UNION ALL SELECT 'log of ' || merchant_id, 'head', h::text FROM merchant_heads AS h
		UNION ALL SELECT 'log of ' || merchant_id, sequence::text, x::text FROM changes AS x ORDER BY 1, 2`)
	require.NoError(t, err)
	defer rows.Close()
	all := map[string][]string{}
	for rows.Next() {
		var merchant, id, row string
		require.NoError(t, rows.Scan(&merchant, &id, &row))
		all[merchant] = append(all[merchant], id+" "+row)
	}
	require.NoError(t, rows.Err())
	return all
}

// outcome is what an operation returned, and what it did to other merchants' rows.
type outcome struct {
	Rows                    string // their merchants and ids, in order; "new" for a new id
	Count                   int
	HasNext, HasPrevious    bool
	Code                    store.Code
	Wrote                   string // the ids of the caller's rows that are new or changed
	OthersRead, OthersWrote bool
}

// result is what an operation returned.
type result struct {
	rows                 []tenantRow
	count                int
	hasNext, hasPrevious bool
}

// tenantRow is a row that was returned.
type tenantRow struct{ merchant, id string }

// rowsOf returns rows of any noun as tenantRows.
func rowsOf[T any](rows ...T) (found []tenantRow) {
	for _, row := range rows {
		value := reflect.ValueOf(row)
		found = append(found, tenantRow{value.FieldByName("MerchantID").String(), value.FieldByName("ID").String()})
	}
	return found
}

func oneResult[T any](row *T, err error) (result, error) {
	if row == nil {
		return result{}, err
	}
	return result{rows: rowsOf(*row)}, err
}

func foundResult[T any](found map[string]*T, err error) (result, error) {
	var all []T
	for _, id := range slices.Sorted(maps.Keys(found)) {
		all = append(all, *found[id])
	}
	return result{rows: rowsOf(all...)}, err
}

func pageResult[T any](page *store.Page[T], err error) (result, error) {
	if err != nil {
		return result{}, err
	}
	return result{rows: rowsOf(page.Items...), hasNext: page.HasNext, hasPrevious: page.HasPrevious}, nil
}

func allResult[T any](batches iter.Seq2[[]T, error]) (result, error) {
	var all []T
	for batch, err := range batches {
		if err != nil {
			return result{}, err
		}
		all = append(all, batch...)
	}
	return result{rows: rowsOf(all...)}, nil
}

// operation is one call of a method of the noun's rows by the caller.
type operation struct {
	method string // of the rows' type
	name   string
	before string // SQL that changes the rows first, as the superuser
	run    func(context.Context, *store.Store) (result, error)
}

// shareID returns SQL that gives the first row of each merchant the id of the caller's first row.
func shareID(table, prefix string) string {
	return fmt.Sprintf("UPDATE %s SET id = '%[2]s_2_1' WHERE id IN ('%[2]s_1_1', '%[2]s_3_1')", table, prefix)
}

// logged returns SQL that adds a change of the first row to the log of each merchant, and gives these
// rows the same id. If the noun has an owner, the changes have the same customer, too. The caller's
// change is the creation. The change of the third merchant is earlier, but has a greater sequence.
func logged(noun, table, prefix, owner string) string {
	customer := "NULL"
	if owner != "" {
		customer = "'cust_2_1'"
	}
	return shareID(table, prefix) + fmt.Sprintf(`; INSERT INTO changes (merchant_id, sequence, entity, entity_id, customer_id, version, type, at, actor_kind, data, previous)
		SELECT merchant_id, right(merchant_id, 1)::int, '%[1]s', id, %[3]s, 2, '%[1]s.updated',
			CASE merchant_id WHEN 'merchant_3' THEN timestamptz '2026-01-01Z' ELSE timestamptz '2026-01-02Z' END, 'api_key',
			jsonb_build_object('id', id, 'merchantId', merchant_id), CASE WHEN merchant_id <> 'merchant_2' THEN '{}'::jsonb END
		FROM %[2]s WHERE id = '%[4]s_2_1'`, noun, table, customer, prefix)
}

// Times before and after the changes that logged adds.
var (
	beforeChange = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	afterChange  = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

// pastResult returns the rows of changes.
func pastResult(page *store.HistoryPage, err error) (result, error) {
	if err != nil {
		return result{}, err
	}
	return result{rows: changedRowsOf(page.Changes), hasNext: page.HasNext}, nil
}

// followAll reads the whole log.
func followAll(ctx context.Context, s *store.Store) (result, error) {
	page, err := s.Changes.Page(ctx, store.FeedQuery{})
	if err != nil {
		return result{}, err
	}
	return result{rows: changedRowsOf(page.Changes), hasNext: page.HasMore}, nil
}

// followEnd waits for a change in vain.
func followEnd(ctx context.Context, s *store.Store) (result, error) {
	page, err := s.Changes.Page(ctx, store.FeedQuery{After: new(store.Now), Wait: time.Millisecond})
	if err != nil {
		return result{}, err
	}
	return result{rows: changedRowsOf(page.Changes), hasNext: page.HasMore}, nil
}

func changedRowsOf(changes []store.Change) (rows []tenantRow) {
	for i := range changes {
		rows = append(rows, tenantRow{store.MerchantOf(&changes[i]), changes[i].ID})
	}
	return rows
}

// perform runs the operation on the fixture's rows.
func (i *isolated) perform(t *testing.T, op operation) outcome {
	t.Helper()
	if i.kept == nil || op.before != "" {
		table := i.noun.Table()
		reset := "SET LOCAL synchronous_commit = off; DELETE FROM " + table + "; INSERT INTO " + table + " SELECT * FROM kept.rows; " +
			"DELETE FROM changes; UPDATE merchant_heads SET sequence = 100 * right(merchant_id, 1)::int; " + op.before
		_, err := i.db.Superuser().Exec(t.Context(), reset, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
	}
	before := i.kept
	if before == nil || op.before != "" {
		before = i.dump(t)
	}
	got, err := op.run(i.ctx, i.store)
	after := i.dump(t)
	if i.kept = nil; reflect.DeepEqual(before, after) && op.before == "" {
		i.kept = maps.Clone(after)
	}
	before = maps.Clone(before)

	var out outcome
	if err != nil {
		out.Code = store.AsError(err).Code
	}
	out.Count, out.HasNext, out.HasPrevious = got.count, got.hasNext, got.hasPrevious
	var ids []string
	for _, row := range got.rows {
		ids = append(ids, row.merchant+"/"+i.normalizeID(row.id))
		out.OthersRead = out.OthersRead || row.merchant != isolationAsker
	}
	out.Rows = strings.Join(ids, " ")
	out.Wrote = i.changedRows(before[isolationAsker], after[isolationAsker])
	for _, rows := range []map[string][]string{before, after} {
		delete(rows, isolationAsker)
		delete(rows, logOf(isolationAsker))
	}
	out.OthersWrote = !reflect.DeepEqual(before, after)
	return out
}

// normalizeID returns the id of a row of the fixture unchanged, and "new" for any other id.
func (i *isolated) normalizeID(id string) string {
	if regexp.MustCompile(`^` + i.prefix + `_[123]_\d+$`).MatchString(id) {
		return id
	}
	return "new"
}

// changedRows returns the ids of the rows in after that are new or changed.
func (i *isolated) changedRows(before, after []string) string {
	var ids []string
	for _, row := range after {
		if id, _, _ := strings.Cut(row, " "); !slices.Contains(before, row) {
			ids = append(ids, i.normalizeID(id))
		}
	}
	return strings.Join(ids, " ")
}

func isolationOperations() []operation {
	list := func(name string, query func(context.Context, *store.Customers) store.PageQuery, before string) operation {
		return operation{"List", name, before, func(ctx context.Context, s *store.Store) (result, error) {
			return pageResult(s.Customers.List(ctx, query(ctx, s.Customers)))
		}}
	}
	plain := func(query store.PageQuery) func(context.Context, *store.Customers) store.PageQuery {
		return func(context.Context, *store.Customers) store.PageQuery { return query }
	}
	email := func(address string, flag bool) store.Input {
		return store.Input{"email": address, store.DangerousFlag: flag}
	}
	const mine, others = "cust_2_1", "cust_3_1"
	// Among live customers, only other merchants' have the email c4 then.
	const releaseC4 = `UPDATE customers SET deleted_at = updated_at WHERE merchant_id = 'merchant_2' AND email = 'c4@example.com'`

	const onlyInBetween = `UPDATE customers SET deleted_at = updated_at WHERE merchant_id = 'merchant_2' AND id NOT IN ('cust_2_2', 'cust_2_3')`

	operations := []operation{
		{"Create", "a new address", "", func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.Create(ctx, email("new@example.com", false), store.WriteOptions{}))
		}},
		{"Create", "a new address, flagged", "", func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.Create(ctx, email("new@example.com", true), store.WriteOptions{}))
		}},
		{"Create", "an address that only others hold", releaseC4, func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.Create(ctx, email("c4@example.com", false), store.WriteOptions{}))
		}},
		{"Update", "an address that only others hold", releaseC4, func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.Update(ctx, mine, email("c4@example.com", false), store.WriteOptions{}))
		}},
		list("a probe of a range that is empty", func(_ context.Context, c *store.Customers) store.PageQuery {
			return store.PageQuery{After: new(isolationCursor(c, store.Sort{}, 1)), First: new(3)}
		}, `UPDATE customers SET deleted_at = updated_at WHERE merchant_id = 'merchant_2'`),
		{"Update", "an id that others have, too", shareID("customers", "cust"), func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.Update(ctx, mine, store.Input{"name": "Changed"}, store.WriteOptions{}))
		}},
		{"Update", "the address, an id that others have, too", shareID("customers", "cust"), func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.Update(ctx, mine, email("c2@example.com", true), store.WriteOptions{}))
		}},
		{"Delete", "an id that others have, too", shareID("customers", "cust"), func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.Delete(ctx, mine, store.WriteOptions{}))
		}},
		{"History", "an id that others have, too", logged("customer", "customers", "cust", "id"), func(ctx context.Context, s *store.Store) (result, error) {
			return pastResult(s.Customers.History(ctx, mine, store.HistoryQuery{}))
		}},
		{"History", "another merchant's customer", "", func(ctx context.Context, s *store.Store) (result, error) {
			return pastResult(s.Customers.History(ctx, others, store.HistoryQuery{}))
		}},
		{"GetAsOf", "an id that others have, too", logged("customer", "customers", "cust", "id"), func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.GetAsOf(ctx, mine, beforeChange))
		}},
		{"GetAsOf", "an id that others have, too, after the change", logged("customer", "customers", "cust", "id"), func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.GetAsOf(ctx, mine, afterChange))
		}},
		{"Page", "the log of all", logged("customer", "customers", "cust", "id"), followAll},
		{"Page", "waiting at the end of the log", "", followEnd},
		{"GetAsOf", "another merchant's customer", "", func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.GetAsOf(ctx, others, beforeChange))
		}},
		{"GetMany", "ids of all merchants", "", func(ctx context.Context, s *store.Store) (result, error) {
			return foundResult(s.Customers.GetMany(ctx, []string{"cust_1_1", "cust_2_1", "cust_3_1", "cust_2_2"}))
		}},
	}
	for whose, id := range map[string]string{"one's own customer": mine, "another merchant's customer": others} {
		operations = append(operations,
			operation{"Get", whose, "", func(ctx context.Context, s *store.Store) (result, error) { return oneResult(s.Customers.Get(ctx, id)) }},
			operation{"Delete", whose, "", func(ctx context.Context, s *store.Store) (result, error) {
				return oneResult(s.Customers.Delete(ctx, id, store.WriteOptions{}))
			}},
			operation{"Update", whose, "", func(ctx context.Context, s *store.Store) (result, error) {
				return oneResult(s.Customers.Update(ctx, id, store.Input{"name": "Changed"}, store.WriteOptions{}))
			}},
			operation{"Update", whose + ", flagged", "", func(ctx context.Context, s *store.Store) (result, error) {
				return oneResult(s.Customers.Update(ctx, id, email("c2@example.com", true), store.WriteOptions{}))
			}},
		)
	}

	when := func(text string) *time.Time {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			panic(err)
		}
		return &at
	}
	secondBatch := map[string]string{
		"no filter":    `INSERT INTO customers ` + identicalCustomers(13, 510),
		"deleted, too": `INSERT INTO customers ` + identicalCustomers(13, 510),
	}
	filters := map[string]store.Filter{
		"no filter":       {},
		"email":           {"email": "C2@example.com"},
		"user id":         {"userId": "user2"},
		"billing country": {"billingCountry": "de"},
		"search":          {"search": "ANN 3"},
		"created at":      {"createdAt": store.TimeRange{From: when("2025-12-31T20:00:00Z"), Before: when("2026-01-01T00:00:00Z")}},
		"updated at":      {"updatedAt": store.TimeRange{From: when("2026-01-01T23:55:00Z"), Before: when("2026-01-02T00:00:00Z")}},
		"deleted, too":    {"includeDeleted": true},
	}
	for name, filter := range filters {
		operations = append(operations,
			list("filtered by "+name, plain(store.PageQuery{Filter: filter}), ""),
			operation{"Count", name, "", func(ctx context.Context, s *store.Store) (result, error) {
				n, err := s.Customers.Count(ctx, filter)
				return result{count: n}, err
			}},
			operation{"All", name, secondBatch[name], func(ctx context.Context, s *store.Store) (result, error) {
				return allResult(s.Customers.All(ctx, filter))
			}},
		)
	}
	for _, field := range []store.SortField{store.SortCreatedAt, store.SortUpdatedAt, store.SortEmail, store.SortName} {
		for _, direction := range []store.SortDirection{store.Ascending, store.Descending} {
			sort := store.Sort{Field: field, Direction: direction}
			name := fmt.Sprintf("sorted by %s %s, ", field, direction)
			range_ := func(c *store.Customers) (*string, *string) {
				first, last := isolationCursor(c, sort, 1), isolationCursor(c, sort, 4)
				// The sort decides which of the two comes first.
				if newestFirst := field == store.SortCreatedAt || field == store.SortUpdatedAt; newestFirst == (direction == store.Ascending) {
					first, last = last, first
				}
				return &first, &last
			}
			operations = append(operations,
				list(name+"the first", plain(store.PageQuery{Sort: sort, First: new(3)}), ""),
				list(name+"the last", plain(store.PageQuery{Sort: sort, Last: new(3)}), ""),
			)
			// In the second case the caller has no rows at the ends of the range and beyond, but
			// others have.
			for ends, before := range map[string]string{"": "", " whose ends were deleted": onlyInBetween} {
				operations = append(operations,
					list(name+"after"+ends, func(_ context.Context, c *store.Customers) store.PageQuery {
						after, _ := range_(c)
						return store.PageQuery{Sort: sort, First: new(3), After: after}
					}, before),
					list(name+"before"+ends, func(_ context.Context, c *store.Customers) store.PageQuery {
						_, before := range_(c)
						return store.PageQuery{Sort: sort, Last: new(3), Before: before}
					}, before),
					list(name+"the first of a range"+ends, func(_ context.Context, c *store.Customers) store.PageQuery {
						after, before := range_(c)
						return store.PageQuery{Sort: sort, First: new(250), After: after, Before: before}
					}, before),
					list(name+"the last of a range"+ends, func(_ context.Context, c *store.Customers) store.PageQuery {
						after, before := range_(c)
						return store.PageQuery{Sort: sort, Last: new(250), After: after, Before: before}
					}, before),
				)
			}
		}
	}
	slices.SortFunc(operations, func(a, b operation) int { return strings.Compare(a.title(), b.title()) })
	return operations
}

func (o operation) title() string { return o.method + ", " + o.name }

// isolationCursor returns the cursor of the caller's n-th customer, as a page returns it.
func isolationCursor(c *store.Customers, sort store.Sort, n int) string {
	ctx := store.WithCredential(context.Background(), store.Credential{Merchant: store.Merchant{ID: isolationAsker}})
	page, err := c.List(ctx, store.PageQuery{Sort: sort, First: new(1), Filter: store.Filter{"includeDeleted": true, "email": "c" + strconv.Itoa(n) + "@example.com"}})
	if err != nil || len(page.Items) == 0 {
		panic(fmt.Sprintf("no row for a cursor in sort %v: %v", sort, err))
	}
	// With the merchant's predicate cut, several rows have this email. All are at the same
	// position.
	return page.Cursor(0)
}

func TestIsolation(t *testing.T) {
	t.Parallel()
	for _, noun := range store.Nouns() {
		t.Run(noun.Name(), func(t *testing.T) {
			t.Parallel()
			f, ok := fixtures[noun.Name()]
			require.True(t, ok, "fixtures lacks the noun %s", noun.Name())
			f.test(t)
		})
	}
}

func (f fixture) test(t *testing.T) {
	operations := f.operations()

	// With both guards, the operations return what they should.
	guarded := f.isolate(t)
	want := map[string]outcome{}
	meets := map[predicate][]operation{}
	for _, op := range operations {
		guarded.cutter.cutOut(nil, false)
		got := guarded.perform(t, op)
		for p := range guarded.cutter.met {
			meets[p] = append(meets[p], op)
		}
		require.False(t, got.OthersRead, op.title())
		require.False(t, got.OthersWrote, op.title())
		want[op.title()] = got
	}
	require.Len(t, want, len(operations), "two operations have the same title")
	for title, outcome := range f.want {
		require.Equal(t, outcome, want[title], title)
	}
	require.Equal(t, f.all, strings.Count(want["All, no filter"].Rows, f.prefix+"_2_"))

	t.Run("the operations cover every method, statement and function", func(t *testing.T) {
		t.Parallel()
		requireIsolationIsComplete(t, guarded, operations)
	})
	t.Run("every statement names the merchant in a form that can be cut", func(t *testing.T) {
		t.Parallel()
		requireEveryMentionIsKnown(t, guarded)
	})

	t.Run("without row-level security the predicates isolate merchants", func(t *testing.T) {
		t.Parallel()
		intact := f.isolate(t).withoutRowSecurity(t)
		for _, op := range operations {
			require.Equal(t, want[op.title()], intact.perform(t, op), op.title())
		}
		require.Zero(t, intact.cutter.cuts())
	})

	predicates := slices.SortedFunc(maps.Keys(guarded.cutter.predicates), func(a, b predicate) int {
		return strings.Compare(a.text+strconv.Itoa(a.n), b.text+strconv.Itoa(b.n))
	})

	// forget runs every operation with the cut, and passes the outcome to check if the operation
	// met the cut.
	forget := func(t *testing.T, i *isolated, cut *predicate, check func(operation, outcome)) {
		t.Helper()
		met := 0
		for _, op := range operations {
			i.cutter.cutOut(cut, cut == nil)
			got := i.perform(t, op)
			if cuts := i.cutter.cuts(); cuts > 0 {
				met++
				check(op, got)
			} else {
				require.Equal(t, want[op.title()], got, op.title())
			}
		}
		require.Positive(t, met, "nothing was cut")
		if cut == nil {
			require.Equal(t, len(operations), met, "an operation met no cut")
		}
	}
	// withPolicies returns the expected outcome of an operation whose predicates were cut: the
	// same, except that row-level security refuses a row of another merchant.
	withPolicies := func(op operation) outcome {
		if op.method == "Create" {
			return outcome{Code: store.Internal}
		}
		return want[op.title()]
	}

	t.Run("without all predicates row-level security isolates merchants", func(t *testing.T) {
		t.Parallel()
		forget(t, f.isolate(t), nil, func(op operation, got outcome) {
			require.Equal(t, withPolicies(op), got, op.title())
		})
	})

	t.Run("without both guards rows leak, so the cuts are real", func(t *testing.T) {
		t.Parallel()
		leaks := map[string]bool{}
		forget(t, f.isolate(t).withoutRowSecurity(t), nil, func(op operation, got outcome) {
			if got.OthersRead || got.OthersWrote || got.Count != want[op.title()].Count {
				leaks[op.method] = true
			}
		})
		require.Equal(t, f.methods(), slices.Sorted(maps.Keys(leaks)))
	})

	t.Run("without any one predicate row-level security isolates merchants", func(t *testing.T) {
		t.Parallel()
		held, bare := f.isolate(t), f.isolate(t).withoutRowSecurity(t)
		for _, cut := range predicates {
			leaked := false
			for _, op := range meets[cut] {
				held.cutter.cutOut(&cut, false)
				got := held.perform(t, op)
				require.Positive(t, held.cutter.cuts(), op.title())
				expected := want[op.title()]
				if got.Code == store.Internal {
					expected = withPolicies(op) // the cut predicate was in the inserted row
				}
				require.Equal(t, expected, got, "%s without predicate %d of %s", op.title(), cut.n, cut.text)

				bare.cutter.cutOut(&cut, false)
				leaked = leaked || bare.perform(t, op) != want[op.title()]
			}
			require.True(t, leaked, "without row-level security nothing shows that predicate %d is gone from %s", cut.n, cut.text)
		}
	})
}

// A caller who is bound to one customer sees no other. Both the predicates and the policy ensure
// it. The store refuses most operations of such a caller before it runs a statement; here they run
// without that check.
func TestBindingIsolation(t *testing.T) {
	t.Parallel()
	const own = "cust_2_1"
	// Left out are cursors of rows that a bound caller cannot see, and a second batch, which he
	// never has.
	needs := regexp.MustCompile(`, (after|before)|range`)
	operations := slices.DeleteFunc(isolationOperations(), func(op operation) bool {
		return op.method == "List" && needs.MatchString(op.name) || op.method == "All" && op.before != ""
	})
	const another = "cust_2_2"
	const logOfTwo = `INSERT INTO changes (merchant_id, sequence, entity, entity_id, customer_id, version, type, at, actor_kind, data, previous)
		SELECT merchant_id, right(id, 1)::int, 'customer', id, id, 2, 'customer.updated', timestamptz '2026-01-02Z', 'api_key',
			jsonb_build_object('id', id, 'merchantId', merchant_id), '{}' FROM customers WHERE id IN ('cust_2_1', 'cust_2_2')`
	operations = append(operations,
		operation{"Get", "another customer", "", func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.Get(ctx, another))
		}},
		operation{"Delete", "another customer", "", func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.Delete(ctx, another, store.WriteOptions{}))
		}},
		operation{"Update", "another customer", "", func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.Update(ctx, another, store.Input{"name": "Changed"}, store.WriteOptions{}))
		}},
		operation{"Update", "another customer's address", "", func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.Update(ctx, another, store.Input{"email": "changed@example.com"}, store.WriteOptions{}))
		}},
		operation{"History", "another customer", logOfTwo, func(ctx context.Context, s *store.Store) (result, error) {
			return pastResult(s.Customers.History(ctx, another, store.HistoryQuery{}))
		}},
		operation{"GetAsOf", "another customer", logOfTwo, func(ctx context.Context, s *store.Store) (result, error) {
			return oneResult(s.Customers.GetAsOf(ctx, another, afterChange))
		}},
		operation{"Page", "the log of two customers", logOfTwo, followAll},
		// The unique index does not contain an email that was written with the flag.
		operation{"Update", "an address that another customer shares", `UPDATE customers SET email_shared = true WHERE id = '` + another + `'`,
			func(ctx context.Context, s *store.Store) (result, error) {
				return oneResult(s.Customers.Update(ctx, own, store.Input{"email": "c2@example.com"}, store.WriteOptions{}))
			}},
	)
	world := func(t *testing.T, setting, bind string) *isolated {
		i := fixtures["customer"].isolate(t)
		i.setting, i.cutter.bind = setting, bind
		i.cutter.forms = []predicateForm{{regexp.MustCompile(`\(\$2::text = '' OR [\w.$]+ = \$2::text\)`), "($$2::text IS NOT NULL)"}}
		i.cutter.cutOut(nil, false)
		return i
	}
	// isolates reports whether the outcome shows and changes no other customer.
	isolates := func(got outcome) bool {
		return strings.Trim(strings.ReplaceAll(got.Rows, "merchant_2/"+own, ""), " ") == "" && got.Count <= 1 &&
			(got.Wrote == "" || got.Wrote == own) && !got.OthersRead && !got.OthersWrote
	}

	want := map[string]outcome{}
	meets := map[predicate][]operation{}
	both := world(t, own, own)
	for _, op := range operations {
		both.cutter.cutOut(nil, false)
		got := both.perform(t, op)
		require.True(t, isolates(got), "%s: %+v", op.title(), got)
		want[op.title()] = got
		for p := range both.cutter.met {
			meets[p] = append(meets[p], op)
		}
	}
	require.Equal(t, outcome{Rows: "merchant_2/" + own}, want["Get, one's own customer"])
	require.Equal(t, outcome{Rows: "merchant_2/" + own, Wrote: own}, want["Update, one's own customer"])
	require.Equal(t, outcome{Code: store.NotFound}, want["Get, another customer"])
	require.Equal(t, outcome{Count: 1}, want["Count, no filter"])
	tables := regexp.MustCompile(`(FROM|UPDATE|JOIN) ("public"\.|public\.)?"?(customers|changes)"?|INSERT INTO "public"`)
	for text := range both.cutter.masked {
		named := 0
		for p := range both.cutter.predicates {
			if p.text == text {
				named++
			}
		}
		if !strings.Contains(text, " LIMIT ") && !strings.Contains(text, "count(*)") { // built by selecting; see TestSelectingIsBound
			require.Equal(t, len(tables.FindAllString(text, -1)), named, "one predicate for each mention of the table: %s", text)
		}
	}

	// withPolicies returns the expected outcome of an operation whose predicate was cut: the same,
	// except that the policy refuses a new row.
	withPolicies := func(op operation) outcome {
		if op.method == "Create" {
			return outcome{Code: store.Internal}
		}
		return want[op.title()]
	}

	t.Run("without the binding in the code the policy isolates customers", func(t *testing.T) {
		t.Parallel()
		forgetful, bare := world(t, own, ""), world(t, own, "").withoutRowSecurity(t)
		leaks := map[string]bool{}
		for _, op := range operations {
			require.Equal(t, withPolicies(op), forgetful.perform(t, op), op.title())
			if !isolates(bare.perform(t, op)) {
				leaks[op.method] = true
			}
		}
		require.Equal(t, fixtures["customer"].methods(), slices.Sorted(maps.Keys(leaks)), "without row-level security every method leaks, so the policy is the guard")
	})
	t.Run("without row-level security the predicates isolate customers", func(t *testing.T) {
		t.Parallel()
		held := world(t, "", own).withoutRowSecurity(t)
		for _, op := range operations {
			switch op.method {
			case "All", "Count", "List": // built by selecting
			default:
				require.Equal(t, want[op.title()], held.perform(t, op), op.title())
			}
		}
	})
	t.Run("without any one predicate the policy isolates customers", func(t *testing.T) {
		t.Parallel()
		held, bare := world(t, own, own), world(t, "", own).withoutRowSecurity(t)
		for cut, affected := range meets {
			leaked := false
			for _, op := range affected {
				held.cutter.cutOut(&cut, false)
				got := held.perform(t, op)
				require.Positive(t, held.cutter.cuts(), op.title())
				expected := want[op.title()]
				if got.Code == store.Internal {
					expected = withPolicies(op)
				}
				require.Equal(t, expected, got, "%s without predicate %d of %s", op.title(), cut.n, cut.text)
				bare.cutter.cutOut(&cut, false)
				leaked = leaked || bare.perform(t, op) != want[op.title()]
			}
			switch {
			case strings.HasPrefix(cut.text, `WITH "new"`) && cut.n > 0:
				continue // a caller who may not insert learns nothing about holders of the email
			case strings.HasPrefix(cut.text, `WITH "old"`) && cut.n == 1:
				continue // an update changes only the row that its first part has locked
			case strings.Contains(cut.text, "public.customers AS c") && strings.Contains(cut.text, "public.changes AS x") && cut.n > 0:
				continue // these changes are those of a row that the caller sees
			}
			require.True(t, leaked, "without row-level security nothing shows that predicate %d is gone from %s", cut.n, cut.text)
		}
	})
}

// The store passes a credential's customer to both guards. Each works without the other.
func TestBindingReachesBothGuards(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, m := db.Store(t), db.Merchant(t, "Acme")
	ctx := db.Context(t, m)
	var ids []string
	for _, email := range []string{"own@example.com", "other@example.com"} {
		created, err := s.Customers.Create(ctx, store.Input{"email": email}, store.WriteOptions{})
		require.NoError(t, err)
		ids = append(ids, created.ID)
	}
	credential, _ := store.CredentialFrom(ctx)
	credential.TokenID, credential.CustomerID = "token", ids[0]
	bound := store.WithCredential(ctx, credential)
	seen := func(ctx context.Context) []string {
		found, err := s.Customers.GetMany(ctx, ids)
		require.NoError(t, err)
		return slices.Sorted(maps.Keys(found))
	}
	slices.Sort(ids)
	require.Equal(t, ids, seen(ctx))
	require.Equal(t, []string{credential.CustomerID}, seen(bound))

	// With this policy, only a caller whose setting is made sees rows.
	execute(t, db, "CREATE POLICY probe ON customers AS RESTRICTIVE TO lumen_app USING ((SELECT current_setting('lumen.customer_id', true)) = '"+credential.CustomerID+"')")
	require.Equal(t, []string{credential.CustomerID}, seen(bound))
	require.Empty(t, seen(ctx))
	execute(t, db, "DROP POLICY probe ON customers; DROP POLICY customers_bound ON customers")
	require.Equal(t, []string{credential.CustomerID}, seen(bound))
	require.Equal(t, ids, seen(ctx))
}

func (f fixture) methods() []string {
	var methods []string
	for m := range reflect.TypeOf(f.rows(store.New(bun.NewDB(nil, pgdialect.New()), store.Options{}))).Methods() {
		if !slices.Contains([]string{"Authorize", "Check", "CheckHistory"}, m.Name) { // these send no statement
			methods = append(methods, m.Name)
		}
	}
	slices.Sort(methods)
	return methods
}

// requireEveryMentionIsKnown fails if a statement does not name the merchant, or names it in a form
// that the cutter does not know.
func requireEveryMentionIsKnown(t *testing.T, i *isolated) {
	t.Helper()
	named := map[string]int{}
	for p := range i.cutter.predicates {
		named[p.text]++
	}
	// The part that adds to the log takes the merchant from another mention.
	tables := regexp.MustCompile(`(FROM|UPDATE|JOIN|INTO) ("public"\.|public\.)?"?` + i.noun.Table() + `"?|(FROM|UPDATE|JOIN) public\.(merchant_heads|changes)`)
	selected := regexp.MustCompile(`a\.merchant_id AS "merchant_id"|"merchant_id"|\b(c|new)\.merchant_id(,|\))|RETURNING id, [^)]*`)
	for text := range i.cutter.masked {
		require.Equal(t, len(tables.FindAllString(text, -1)), named[text], "one predicate for each mention of the table: %s", text)
		rest := selected.ReplaceAllString(text, "")
		require.Equal(t, strings.Count(rest, "merchant_id"), named[text], "a form that the cutter does not know: %s", text)
	}
}

// requireIsolationIsComplete fails if a method, a statement or a function that reaches the noun's
// rows did not run.
func requireIsolationIsComplete(t *testing.T, i *isolated, operations []operation) {
	t.Helper()
	methods := map[string]bool{}
	for _, op := range operations {
		methods[op.method] = true
	}
	require.Equal(t, i.methods(), slices.Sorted(maps.Keys(methods)), "a method of the rows of %s has no operation here", i.noun.Plural())

	texts := 0
	var requireRun func(of reflect.Value)
	requireRun = func(of reflect.Value) {
		for field, value := range of.Fields() {
			switch value.Kind() {
			case reflect.String:
				texts++
				require.Contains(t, i.cutter.masked, isolationLiterals.ReplaceAllString(value.String(), "'?'"), "statement %s was not run", field.Name)
			case reflect.Struct:
				if field.Name == "history" {
					requireRun(value)
				}
			}
		}
	}
	rows := reflect.ValueOf(i.rows(i.store))
	requireRun(rows.FieldByName("Rows").Elem())
	requireRun(rows.FieldByName("Changes").Elem())
	require.Equal(t, 3+2+1, texts)

	found := storeMentions(t)
	require.Subset(t, slices.Collect(maps.Keys(found.scoped)), []string{"(*Rows).run", "(*Rows).readPage", "(*Rows).Count"})
	// These only build statements that others run, or run after one. newRows runs before the cutter
	// records.
	for _, builds := range []string{
		"(*Rows).newWriter", "(*Rows).updating", "(*Rows).inserting", "(*Rows).changing", "(*Rows).recorded", "(*Rows).historyTexts",
		"(*Rows).part", "newRows", "(*Rows).confirm",
	} {
		delete(found.scoped, builds)
	}
	for function := range found.scoped {
		require.Contains(t, i.cutter.functions, function, "%s reaches rows and was not run", function)
	}
	// A new declaration that names the table must be reviewed and added here.
	require.Equal(t, []string{
		"store/owner (*Owner).Backdate",         // for dev's samples, by the operator
		"store/schema (*Migrator).CountLoss",    // by the operator, before tables are dropped
		"store/schema (*Migrator).registerKeys", // adds a column
		"store/schema (*Migrator).registerVersions",
		"store/schema roleQuery", // reads the table's policies
	}, slices.Sorted(maps.Keys(found.tables)))
}

type mentions struct{ scoped, tables map[string]bool }

// storeMentions searches the source code. It returns the functions of package store that use the
// scope, and the declarations of package store and of those below it that name a noun's table.
func storeMentions(t *testing.T) mentions {
	t.Helper()
	found := mentions{map[string]bool{}, map[string]bool{}}
	var tables []string
	for _, noun := range store.Nouns() {
		tables = append(tables, noun.Table())
	}
	any := "(" + strings.Join(tables, "|") + ")"
	table := regexp.MustCompile(`\b` + any + `\b`)
	sqlWords := regexp.MustCompile(`^"(public\.)?` + any + `"$|^.bun:"table:public.` + any + `|FROM|UPDATE|INSERT|DELETE|` + any + ` AS`)
	require.NoError(t, filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		folder := path.Join("store", filepath.ToSlash(filepath.Dir(file)))
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || folder == "store/storetest" {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range parsed.Decls {
			name := declarationName(declaration)
			if folder == "store" && isNoun(declaration) {
				continue
			}
			ast.Inspect(declaration, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if field, ok := n.X.(*ast.SelectorExpr); ok && field.Sel.Name == "scope" && folder == "store" {
						found.scoped[name] = true
					}
				case *ast.BasicLit:
					if n.Kind == token.STRING && table.MatchString(n.Value) && sqlWords.MatchString(n.Value) {
						found.tables[folder+" "+name] = true
					}
				}
				return true
			})
		}
		return nil
	}))
	return found
}

// isNoun reports whether a declaration of package store is the struct of a noun's rows or declares
// a noun.
func isNoun(declaration ast.Decl) bool {
	d, ok := declaration.(*ast.GenDecl)
	if !ok || len(d.Specs) != 1 {
		return false
	}
	found := false
	ast.Inspect(d.Specs[0], func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			found = found || len(n.Names) == 0 && types.ExprString(n.Type) == "bun.BaseModel"
		case *ast.CallExpr:
			found = found || types.ExprString(n.Fun) == "declare"
		}
		return true
	})
	return found
}

// declarationName returns the name of a declaration as stack traces have it.
func declarationName(declaration ast.Decl) string {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return d.Name.Name
		}
		name := types.ExprString(d.Recv.List[0].Type)
		name, _, _ = strings.Cut(name, "[") // of a generic type
		return "(" + name + ")." + d.Name.Name
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				return spec.Name.Name
			case *ast.ValueSpec:
				return spec.Names[0].Name
			}
		}
	}
	return "?"
}

// execute runs statements as the superuser, in one transaction.
func execute(t *testing.T, db *storetest.Database, statements string) {
	t.Helper()
	_, err := db.Superuser().Exec(t.Context(), statements, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
}
