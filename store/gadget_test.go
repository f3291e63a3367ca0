package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/storetest"
)

// gadgetsTable returns the SQL that creates the table of the tests' noun, as a migration would. The
// table has a policy for bound callers only if it has an owner column.
func gadgetsTable(owner string) string {
	const merchant = "merchant_id = NULLIF(current_setting('lumen.merchant_id', true), '')"
	table := `
		CREATE TABLE gadgets (
			merchant_id text COLLATE "C" NOT NULL REFERENCES merchants (id), id text COLLATE "C" NOT NULL, customer_id text COLLATE "C" NOT NULL,
			label text NOT NULL, label_key text COLLATE "C" NOT NULL, size bigint NOT NULL, state text COLLATE "C", parent_id text COLLATE "C",
			due_at timestamptz NOT NULL, active boolean NOT NULL, search_key text COLLATE "C" NOT NULL,
			created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz, version bigint NOT NULL DEFAULT 1,
			PRIMARY KEY (merchant_id, id));
		ALTER TABLE gadgets ENABLE ROW LEVEL SECURITY;
		ALTER TABLE gadgets FORCE ROW LEVEL SECURITY;
		CREATE POLICY gadgets_wall ON gadgets TO lumen_app USING (` + merchant + `) WITH CHECK (` + merchant + `);
		CREATE POLICY gadgets_history ON gadgets AS RESTRICTIVE FOR UPDATE TO lumen_app USING (deleted_at IS NULL) WITH CHECK (true);
		GRANT SELECT, INSERT ON gadgets TO lumen_app;
		GRANT UPDATE (label, label_key, size, state, parent_id, due_at, active, search_key, updated_at, deleted_at, version) ON gadgets TO lumen_app;`
	if owner != "" {
		table += `CREATE POLICY gadgets_bound ON gadgets AS RESTRICTIVE TO lumen_app
			USING ((CASE (SELECT COALESCE(current_setting('lumen.customer_id', true), '')) WHEN '' THEN true WHEN ` + owner + ` THEN true END) IS NOT NULL);`
	}
	return table
}

// gadgetOwners are the owner columns that the tests use: one other than the id, and none.
var gadgetOwners = map[string]string{"with an owner column": "customer_id", "without an owner column": ""}

// gadgetShop is a merchant with two customers, ann and bob.
type gadgetShop struct {
	ctx      context.Context
	merchant string
	ann, bob string
}

// bound returns the context of a caller who is bound to a customer.
func (s gadgetShop) bound(customer string) context.Context {
	credential, _ := store.CredentialFrom(s.ctx)
	credential.TokenID, credential.CustomerID = "token", customer
	return store.WithCredential(s.ctx, credential)
}

func (s gadgetShop) gadget(customer, label string, more store.Input) store.Input {
	in := store.Input{"customerId": customer, "label": label, "size": int64(1), "dueAt": time.Unix(0, 0), "active": true}
	maps.Copy(in, more)
	return in
}

// openGadgets returns a database with gadgets, its gadgets, and two merchants.
func openGadgets(t *testing.T, owner string) (*storetest.Database, *store.Rows[store.Gadget], [2]gadgetShop) {
	t.Helper()
	db := storetest.New(t)
	execute(t, db, gadgetsTable(owner))
	s := db.Store(t)
	var shops [2]gadgetShop
	for i := range shops {
		m := db.Merchant(t, "Shop")
		shops[i] = gadgetShop{ctx: db.Context(t, m), merchant: m.ID}
		for email, id := range map[string]*string{"ann@example.com": &shops[i].ann, "bob@example.com": &shops[i].bob} {
			c, err := s.Customers.Create(shops[i].ctx, store.Input{"email": email}, store.WriteOptions{})
			require.NoError(t, err)
			*id = c.ID
		}
	}
	return db, store.GadgetsOf(s, owner), shops
}

// The core supports a noun that it does not know, in every operation, on real rows.
func TestGadgets(t *testing.T) {
	t.Parallel()
	for name, owner := range gadgetOwners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, gadgets, shops := openGadgets(t, owner)
			a, b := shops[0], shops[1]

			in := a.gadget(a.ann, "  Drill ", store.Input{
				"size": int64(1 << 40), "state": "new", "dueAt": time.Date(2026, 1, 2, 3, 4, 5, 6_789_000, time.FixedZone("", 3600)), "force": true,
			})
			drill, err := gadgets.Create(a.ctx, in, store.WriteOptions{})
			require.NoError(t, err)
			require.Equal(t, store.Gadget{
				ID: drill.ID, MerchantID: a.merchant, CustomerID: a.ann, Label: "Drill", LabelKey: "drill", Size: 1 << 40, State: new("new"),
				DueAt: time.Date(2026, 1, 2, 2, 4, 5, 6_000_000, time.UTC), Active: true, CreatedAt: drill.CreatedAt, UpdatedAt: drill.CreatedAt, Version: 1,
			}, *drill)

			found, err := gadgets.Get(a.ctx, drill.ID)
			require.NoError(t, err)
			require.Equal(t, drill, found)
			many, err := gadgets.GetMany(a.ctx, []string{drill.ID, "gad_absent", a.ann})
			require.NoError(t, err)
			require.Equal(t, map[string]*store.Gadget{drill.ID: drill}, many)

			// An absent field is kept, null clears a field, and an immutable or unchanged field is
			// ignored.
			same, err := gadgets.Update(a.ctx, drill.ID, store.Input{"label": "Drill", "customerId": a.bob}, store.WriteOptions{})
			require.NoError(t, err)
			require.Equal(t, drill, same)
			changed, err := gadgets.Update(a.ctx, drill.ID, store.Input{"state": nil, "parentId": drill.ID, "size": int64(-5), "active": false}, store.WriteOptions{})
			require.NoError(t, err)
			require.True(t, changed.UpdatedAt.After(drill.UpdatedAt))
			want := *drill
			want.State, want.ParentID, want.Size, want.Active, want.UpdatedAt = nil, &drill.ID, -5, false, changed.UpdatedAt
			want.Version = 2
			require.Equal(t, want, *changed)

			requireCode := func(code store.Code, message string, err error) {
				t.Helper()
				require.Equal(t, code, store.AsError(err).Code, "%v", err)
				require.Equal(t, message, store.AsError(err).Message)
				require.Equal(t, "gadget", store.AsError(err).Noun)
			}
			const absent = "Gadget not found or access denied"
			for _, ctx := range []context.Context{a.ctx, b.ctx} {
				for _, id := range []string{"gad_absent", drill.ID} {
					if ctx == a.ctx && id == drill.ID {
						continue
					}
					_, err := gadgets.Get(ctx, id)
					requireCode(store.NotFound, absent, err)
					_, err = gadgets.Update(ctx, id, store.Input{"label": "Mine"}, store.WriteOptions{})
					requireCode(store.NotFound, absent, err)
					_, err = gadgets.Delete(ctx, id, store.WriteOptions{})
					requireCode(store.NotFound, absent, err)
				}
			}
			_, err = gadgets.Get(a.ctx, a.ann)
			requireCode(store.InvalidID, "Invalid gadget ID format", err)

			deleted, err := gadgets.Delete(a.ctx, drill.ID, store.WriteOptions{})
			require.NoError(t, err)
			require.NotNil(t, deleted.DeletedAt)
			_, err = gadgets.Delete(a.ctx, drill.ID, store.WriteOptions{})
			requireCode(store.NotFound, absent, err)
			n, err := gadgets.Count(a.ctx, store.Filter{"includeDeleted": true})
			require.NoError(t, err)
			require.Equal(t, 1, n)
			n, err = gadgets.Count(a.ctx, store.Filter{})
			require.NoError(t, err)
			require.Zero(t, n)
		})
	}
}

// Each kind of input refuses values of other types and values that its rule forbids. All faults are
// reported together.
func TestGadgetInputs(t *testing.T) {
	t.Parallel()
	_, gadgets, shops := openGadgets(t, "customer_id")
	a := shops[0]
	made, err := gadgets.Create(a.ctx, a.gadget(a.ann, "Kept", nil), store.WriteOptions{})
	require.NoError(t, err)
	for field, values := range map[string]map[store.Reason][]any{
		"customerId": {store.InvalidFormat: {nil, "", made.ID, "cust_", "x"}, store.WrongType: {int64(1), true, time.Now(), store.Mistyped{}}},
		"label":      {store.InvalidFormat: {nil, " "}, store.TooLong: {strings.Repeat("x", 21)}, store.ForbiddenCharacter: {"a\x00b"}, store.WrongType: {int64(1), true, time.Now(), store.Mistyped{}}},
		"size":       {store.InvalidFormat: {nil, int64(-6), int64(1<<40 + 1)}, store.WrongType: {"1", "", true, 1.5, time.Now(), store.Mistyped{}}},
		"state":      {store.InvalidFormat: {"NEW", "old"}, store.WrongType: {int64(1), true, time.Now(), store.Mistyped{}}},
		"parentId":   {store.InvalidFormat: {a.ann, "gad_"}, store.WrongType: {int64(1), true, store.Mistyped{}}},
		"dueAt":      {store.InvalidFormat: {nil, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}.Add(-1)}, store.WrongType: {"2026-01-01T00:00:00Z", int64(1), store.Mistyped{}}},
		"active":     {store.InvalidFormat: {nil}, store.WrongType: {"true", "", int64(1), store.Mistyped{}}},
		"force":      {store.WrongType: {"true", int64(1), store.Mistyped{}}},
	} {
		for reason, refused := range values {
			for _, value := range refused {
				want := store.Invalid(store.GadgetFault(field, reason))
				_, err := gadgets.Create(a.ctx, a.gadget(a.ann, "New", store.Input{field: value}), store.WriteOptions{})
				require.Equal(t, want, err, "%s %v", field, value)
				if field == "customerId" { // immutable
					want = nil
				}
				_, err = gadgets.Update(a.ctx, made.ID, store.Input{field: value}, store.WriteOptions{})
				require.Equal(t, want, err, "%s %v", field, value)
			}
		}
	}
	_, err = gadgets.Create(a.ctx, store.Input{"state": "old"}, store.WriteOptions{})
	var fields []string
	for _, fault := range store.AsError(err).Faults {
		fields = append(fields, fault.Field)
	}
	require.Equal(t, []string{"customerId", "label", "size", "state", "dueAt", "active"}, fields)
	_, err = gadgets.Create(a.ctx, a.gadget(a.ann, "New", store.Input{"email": "a@example.com"}), store.WriteOptions{})
	require.Equal(t, store.Internal, store.AsError(err).Code, "an API that passes on an unknown field has a bug")
	kept, err := gadgets.Get(a.ctx, made.ID)
	require.NoError(t, err)
	require.Equal(t, made, kept)
	n, err := gadgets.Count(a.ctx, store.Filter{"includeDeleted": true})
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// Gadgets can be listed in every sort and direction, in pages from either end, and with filters.
func TestGadgetLists(t *testing.T) {
	t.Parallel()
	for name, owner := range gadgetOwners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, gadgets, shops := openGadgets(t, owner)
			a := shops[0]
			for _, s := range shops {
				for i, label := range []string{"Éclair", "drill", "Drill", "axe", "zip", "saw", "Awl"} {
					in := s.gadget([]string{s.ann, s.bob}[i%2], label, nil)
					if i%3 > 0 {
						in["state"] = store.GadgetStates[i%3]
					}
					_, err := gadgets.Create(s.ctx, in, store.WriteOptions{})
					require.NoError(t, err)
				}
			}
			var all []store.Gadget
			for batch, err := range gadgets.All(a.ctx, store.Filter{}) {
				require.NoError(t, err)
				all = append(all, batch...)
			}
			require.Len(t, all, 7)
			for field, less := range map[store.SortField]func(x, y store.Gadget) int{
				store.SortCreatedAt: func(x, y store.Gadget) int { return x.CreatedAt.Compare(y.CreatedAt) },
				store.SortUpdatedAt: func(x, y store.Gadget) int { return x.UpdatedAt.Compare(y.UpdatedAt) },
				store.SortLabel:     func(x, y store.Gadget) int { return strings.Compare(x.LabelKey, y.LabelKey) },
				store.SortState:     func(x, y store.Gadget) int { return strings.Compare(stateOf(x), stateOf(y)) },
			} {
				for _, direction := range []store.SortDirection{store.Ascending, store.Descending} {
					sort := store.Sort{Field: field, Direction: direction}
					want := slices.SortedFunc(slices.Values(all), func(x, y store.Gadget) int {
						c := less(x, y)
						if field == store.SortState && c != 0 && (x.State == nil || y.State == nil) {
							return c // gadgets without a state come last in either direction
						}
						if c == 0 {
							c = strings.Compare(x.ID, y.ID)
						}
						if direction == store.Descending {
							c = -c
						}
						return c
					})
					var forward, backward []store.Gadget
					for query := (store.PageQuery{Sort: sort, First: new(3)}); ; {
						page, err := gadgets.List(a.ctx, query)
						require.NoError(t, err)
						require.Equal(t, query.After != nil, page.HasPrevious)
						forward = append(forward, page.Items...)
						query.After = new(page.Cursor(len(page.Items) - 1))
						if !page.HasNext {
							break
						}
					}
					for query := (store.PageQuery{Sort: sort, Last: new(2)}); ; {
						page, err := gadgets.List(a.ctx, query)
						require.NoError(t, err)
						require.Equal(t, query.Before != nil, page.HasNext)
						backward = append(slices.Clone(page.Items), backward...)
						query.Before = new(page.Cursor(0))
						if !page.HasPrevious {
							break
						}
					}
					require.Equal(t, want, forward, "%v", sort)
					require.Equal(t, want, backward, "%v", sort)
				}
			}
			for n, filter := range []store.Filter{
				1: {"label": "éclair"}, 2: {"label": "DRILL"}, 3: {"customerId": a.bob}, 4: {"customerId": a.ann}, 5: {"search": "WORN", "includeDeleted": true},
			} {
				if n == 5 {
					n = 2
				}
				count, err := gadgets.Count(a.ctx, filter)
				require.NoError(t, err)
				if filter != nil {
					require.Equal(t, n, count, "%v", filter)
				}
			}
			for _, filter := range []store.Filter{{"customerId": shops[1].ann}, {"dueAt": store.TimeRange{From: new(time.Unix(1, 0))}}} {
				count, err := gadgets.Count(a.ctx, filter)
				require.NoError(t, err)
				require.Zero(t, count)
			}
			err := gadgets.Check(a.ctx, store.PageQuery{Sort: store.Sort{Field: store.SortEmail}})
			require.Equal(t, store.Invalid(store.NewFault("sort", store.InvalidFormat, "must be a sort of this list")), err, "a sort of another noun")
		})
	}
}

func stateOf(g store.Gadget) string {
	if g.State == nil {
		return "\U0010FFFF"
	}
	return *g.State
}

// A list refuses a cursor of another noun's list, although its digest is correct.
func TestCursorsTellTheirNoun(t *testing.T) {
	t.Parallel()
	_, gadgets, shops := openGadgets(t, "customer_id")
	customers := storetest.New(t).Store(t).Customers
	a := shops[0]
	refused := store.Invalid(store.NewFault("after", store.InvalidFormat, "must be a cursor that this list returned"))
	for _, field := range []store.SortField{store.SortCreatedAt, store.SortUpdatedAt} {
		sort := store.Sort{Field: field, Direction: store.Ascending}
		now := time.Now()
		customer := store.CursorOf(a.merchant, sort, &store.Customer{ID: "cust_1", CreatedAt: now, UpdatedAt: now})
		gadget := store.GadgetCursorOf(a.merchant, sort, &store.Gadget{ID: "gad_1", CreatedAt: now, UpdatedAt: now})
		require.NoError(t, customers.Check(a.ctx, store.PageQuery{Sort: sort, After: &customer}))
		require.NoError(t, gadgets.Check(a.ctx, store.PageQuery{Sort: sort, After: &gadget}))
		require.Equal(t, refused, customers.Check(a.ctx, store.PageQuery{Sort: sort, After: &gadget}))
		require.Equal(t, refused, gadgets.Check(a.ctx, store.PageQuery{Sort: sort, After: &customer}))
	}
}

// A caller who is bound to a customer sees only gadgets of that customer, which the owner column
// tells. Both the predicates and the policy ensure it.
func TestBoundGadgets(t *testing.T) {
	t.Parallel()
	for guards, off := range map[string]string{
		"both guards": "", "only the predicates": "ALTER TABLE gadgets DISABLE ROW LEVEL SECURITY",
	} {
		t.Run(guards, func(t *testing.T) {
			t.Parallel()
			db, gadgets, shops := openGadgets(t, "customer_id")
			a := shops[0]
			ids := map[string][]string{}
			for i := range 6 {
				customer := []string{a.ann, a.bob}[i%2]
				g, err := gadgets.Create(a.ctx, a.gadget(customer, fmt.Sprint("Gadget ", i), nil), store.WriteOptions{})
				require.NoError(t, err)
				ids[customer] = append(ids[customer], g.ID)
			}
			if off != "" {
				execute(t, db, off)
			}
			own, others := ids[a.ann], ids[a.bob]
			ctx := a.bound(a.ann)
			idsOf := func(list []store.Gadget) (found []string) {
				for _, g := range list {
					found = append(found, g.ID)
				}
				return found
			}
			many, err := gadgets.GetMany(ctx, slices.Concat(own, others))
			require.NoError(t, err)
			require.ElementsMatch(t, own, slices.Collect(maps.Keys(many)))
			page, err := gadgets.List(ctx, store.PageQuery{})
			require.NoError(t, err)
			require.ElementsMatch(t, own, idsOf(page.Items))
			page, err = gadgets.List(ctx, store.PageQuery{Filter: store.Filter{"customerId": a.bob}})
			require.NoError(t, err)
			require.Empty(t, page.Items)
			n, err := gadgets.Count(ctx, store.Filter{"includeDeleted": true})
			require.NoError(t, err)
			require.Equal(t, 3, n)
			var all []store.Gadget
			for batch, err := range gadgets.All(ctx, store.Filter{}) {
				require.NoError(t, err)
				all = append(all, batch...)
			}
			require.ElementsMatch(t, own, idsOf(all))

			_, err = gadgets.Create(ctx, a.gadget(a.ann, "Own", nil), store.WriteOptions{})
			require.NoError(t, err)
			_, err = gadgets.Create(ctx, a.gadget(a.bob, "Another's", nil), store.WriteOptions{})
			require.Equal(t, store.Forbidden, store.AsError(err).Code)
			for _, id := range others {
				_, err := gadgets.Get(ctx, id)
				require.Equal(t, store.NotFound, store.AsError(err).Code)
				_, err = gadgets.Update(ctx, id, store.Input{"label": "Changed"}, store.WriteOptions{})
				require.Equal(t, store.NotFound, store.AsError(err).Code)
				_, err = gadgets.Delete(ctx, id, store.WriteOptions{})
				require.Equal(t, store.NotFound, store.AsError(err).Code)
			}
			_, err = gadgets.Update(ctx, own[0], store.Input{"label": "Changed"}, store.WriteOptions{})
			require.NoError(t, err)
			_, err = gadgets.Delete(ctx, own[0], store.WriteOptions{})
			require.NoError(t, err)
			n, err = gadgets.Count(a.ctx, store.Filter{"search": "changed", "includeDeleted": true})
			require.NoError(t, err)
			require.Equal(t, 1, n)
		})
	}
}

// Each of the two guards isolates the rows of another noun than customers. See TestIsolation.
func TestGadgetIsolation(t *testing.T) {
	t.Parallel()
	for name, owner := range gadgetOwners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fixture{
				noun: store.GadgetNoun(owner), prefix: "gad",
				rows: func(s *store.Store) any {
					return struct {
						*store.Rows[store.Gadget]
						*store.Changes
					}{store.GadgetsOf(s, owner), s.Changes}
				},
				setup: gadgetsTable(owner), identical: identicalGadgets, all: 11,
				operations: plain[store.Gadget]{
					rows: func(s *store.Store) *store.Rows[store.Gadget] { return store.GadgetsOf(s, owner) }, table: "gadgets", prefix: "gad", owner: owner,
					create: gadgetShop{}.gadget("cust_2_1", "New", nil), change: store.Input{"label": "Changed"},
					filter: store.Filter{"dueAt": store.TimeRange{From: new(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))}},
				}.operations,
				want: map[string]outcome{
					"Get, one's own":            {Rows: "merchant_2/gad_2_1"},
					"Get, another merchant's":   {Code: store.NotFound},
					"GetMany, of all merchants": {Rows: "merchant_2/gad_2_1"},
					"Count, no filter":          {Count: 11},
					"Create, one":               {Rows: "merchant_2/new", Wrote: "new"},
					"Update, one's own":         {Rows: "merchant_2/gad_2_1", Wrote: "gad_2_1"},
				},
			}.test(t)
		})
	}
}

// identicalGadgets is the counterpart of identicalCustomers for gadgets.
func identicalGadgets(first, last int) string {
	return fmt.Sprintf(`(merchant_id, id, customer_id, label, label_key, size, due_at, active, search_key, created_at, updated_at, deleted_at)
		SELECT 'merchant_' || m, 'gad_' || m || '_' || n, 'cust_' || m || '_' || n, 'G' || n, 'g' || n, n, timestamptz '2026-01-01Z', true, 'g' || n,
			timestamptz '2026-01-01Z' - n * interval '1 hour', timestamptz '2026-01-02Z', CASE WHEN n = 5 THEN timestamptz '2026-01-03Z' END
		FROM generate_series(1, 3) AS m, generate_series(%d, %d) AS n`, first, last)
}
