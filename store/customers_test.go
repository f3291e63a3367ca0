package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"lumen/store"
	"lumen/store/folding"
	"lumen/store/storetest"
)

// shop is a merchant in a database of its own, which has two other merchants.
type shop struct {
	db        *storetest.Database
	customers *store.Customers
	merchant  storetest.Merchant
	ctx       context.Context
	others    []context.Context
}

func newShop(t *testing.T) *shop {
	t.Helper()
	db := storetest.New(t)
	s := &shop{db: db, customers: db.Store(t).Customers, merchant: db.Merchant(t, "Acme")}
	s.ctx = db.Context(t, s.merchant)
	for range 2 {
		s.others = append(s.others, db.Context(t, db.Merchant(t, "Acme")))
	}
	return s
}

func (s *shop) create(t testing.TB, in store.Input) *store.Customer {
	t.Helper()
	created, err := s.customers.Create(s.ctx, in, store.WriteOptions{})
	require.NoError(t, err)
	return created
}

func (s *shop) update(t testing.TB, id string, in store.Input) *store.Customer {
	t.Helper()
	updated, err := s.customers.Update(s.ctx, id, in, store.WriteOptions{})
	require.NoError(t, err)
	return updated
}

func (s *shop) get(t testing.TB, id string) *store.Customer {
	t.Helper()
	found, err := s.customers.Get(s.ctx, id)
	require.NoError(t, err)
	return found
}

func (s *shop) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := s.db.Superuser().Exec(s.ctx, sql, args...)
	require.NoError(t, err)
}

// age sets updated_at to at, and created_at if it is later, and returns the customer.
func (s *shop) age(t testing.TB, id string, at time.Time) *store.Customer {
	t.Helper()
	s.exec(t, `UPDATE customers SET created_at = LEAST(created_at, $2), updated_at = $2 WHERE id = $1`, id, at)
	return s.get(t, id)
}

// now returns the database's time, which is the one clock (I5).
func (s *shop) now(t testing.TB) time.Time {
	t.Helper()
	var now time.Time
	require.NoError(t, s.db.Superuser().QueryRow(s.ctx, `SELECT date_trunc('milliseconds', clock_timestamp())`).Scan(&now))
	return now.UTC()
}

var (
	longAgo = time.Date(2020, 2, 29, 12, 0, 0, int(123*time.Millisecond), time.UTC)
	farAway = time.Date(2100, 1, 1, 0, 0, 0, int(7*time.Millisecond), time.UTC)
)

func emailOf(email string) store.Input {
	return store.Input{"email": email}
}

func flagged(in store.Input) store.Input {
	return with(in, store.DangerousFlag, true)
}

// with returns a copy of the input with another value for one field.
func with(in store.Input, name string, value any) store.Input {
	in = maps.Clone(in)
	if in == nil {
		in = store.Input{}
	}
	in[name] = value
	return in
}

// fieldNames are the documented names of a customer's writable fields.
var fieldNames = func() (names []string) {
	for _, input := range store.NounOf[store.Customer]().Inputs() {
		if input.Kind != store.FlagKind {
			names = append(names, input.Name)
		}
	}
	return names
}()

func ptr[T any](value T) *T { return &value }

// everyField is an input with a value for every field.
func everyField(email string) store.Input {
	return store.Input{
		"email": email, "name": "Zoë Straße", "userId": "User_1",
		"billingAddressLine1": "1 Main Street", "billingAddressLine2": "Floor 2",
		"billingCity": "Zürich", "billingPostalCode": "8001", "billingCountry": "ch",
		"taxId": "CHE-123.456.789",
	}
}

var emailTakenOnUpdate = &store.Error{
	Code: store.EmailTaken, Noun: "customer", Field: "email",
	Message: "Another customer with this email already exists. Use dangerouslyAllowSameEmailForDifferentCustomers to allow.",
}

// requireTimes checks the times of a customer that the store returned.
func requireTimes(t require.TestingT, c *store.Customer) {
	times := []time.Time{c.CreatedAt, c.UpdatedAt}
	if c.DeletedAt != nil {
		times = append(times, *c.DeletedAt)
		require.Equal(t, c.UpdatedAt, *c.DeletedAt)
	}
	for _, at := range times {
		require.Equal(t, time.UTC, at.Location())
		require.Equal(t, at.Truncate(time.Millisecond), at)
	}
	require.False(t, c.UpdatedAt.Before(c.CreatedAt))
}

func TestCreate(t *testing.T) {
	t.Parallel()
	s := newShop(t)

	t.Run("returns what it stored", func(t *testing.T) {
		t.Parallel()
		before := s.now(t)
		created := s.create(t, everyField("  Zoë@Example.COM "))
		after := s.now(t)

		require.True(t, store.IsCustomerID(created.ID))
		requireTimes(t, created)
		require.False(t, created.CreatedAt.Before(before) || created.CreatedAt.After(after))
		require.Equal(t, &store.Customer{
			ID: created.ID, Email: "Zoë@Example.COM", Name: ptr("Zoë Straße"), UserID: ptr("User_1"),
			BillingAddressLine1: ptr("1 Main Street"), BillingAddressLine2: ptr("Floor 2"), BillingCity: ptr("Zürich"),
			BillingPostalCode: ptr("8001"), BillingCountry: ptr("CH"), TaxID: ptr("CHE-123.456.789"),
			MerchantID: s.merchant.ID, CreatedAt: created.CreatedAt, UpdatedAt: created.CreatedAt,
			EmailKey: "zoë@example.com", NameSort: ptr(string(folding.SortKey("Zoë Straße"))), Version: 1,
		}, created)
		require.Equal(t, created, s.get(t, created.ID))
	})
	t.Run("needs an email only", func(t *testing.T) {
		t.Parallel()
		created := s.create(t, emailOf("alone@example.com"))
		require.Equal(t, &store.Customer{
			ID: created.ID, Email: "alone@example.com", EmailKey: "alone@example.com", MerchantID: s.merchant.ID,
			CreatedAt: created.CreatedAt, UpdatedAt: created.CreatedAt, Version: 1,
		}, created)
		require.Equal(t, created, s.get(t, created.ID))
	})
	t.Run("stores the longest values", func(t *testing.T) {
		t.Parallel()
		// These characters become longest when they are folded and composed, and an index entry has
		// a limit.
		name := strings.Repeat("\U0001D15E\U0001D15F\U0001D160\U0001D161\U0001D162\U0001D163\U0001D164\u1FB7\u0390\uFB03", 26)
		name = string([]rune(name)[:255])
		in := everyField(strings.Repeat("ΰ", 100) + "@" + strings.Repeat("x", 40) + ".example")
		in["name"], in["userId"] = name, strings.Repeat("\U0001F600", 255)
		created := s.create(t, in)
		require.Equal(t, name, *created.Name)
		require.Equal(t, created, s.get(t, created.ID))
		for _, field := range []store.SortField{store.SortName, store.SortEmail} {
			page, err := s.customers.List(s.ctx, store.PageQuery{Sort: store.Sort{Field: field}, Filter: store.Filter{"userId": in["userId"]}})
			require.NoError(t, err)
			require.Equal(t, []store.Customer{*created}, page.Items)
			_, err = s.customers.List(s.ctx, store.PageQuery{Sort: store.Sort{Field: field}, After: ptr(page.Cursor(0))})
			require.NoError(t, err)
		}
	})
	t.Run("stores text as it was sent", func(t *testing.T) {
		t.Parallel()
		for i, text := range []string{
			`'; DROP TABLE customers; --`, `\'\\`, "?", "$1", "%_", "e\u0301", "\u200bzero", "\u202Eover", "\U0001F468\u200D\U0001F469", "a\u2028b", `{"a":1}`, "null", "NULL",
		} {
			in := emailOf("text" + string(rune('a'+i)) + "@example.com")
			in["name"], in["billingCity"] = text, text
			created := s.create(t, in)
			require.Equal(t, &text, created.Name)
			require.Equal(t, created, s.get(t, created.ID))
			require.Equal(t, created, s.update(t, created.ID, store.Input{"name": text}))
		}
	})
	t.Run("lets other merchants use the same email", func(t *testing.T) {
		t.Parallel()
		mine := s.create(t, everyField("same@example.com"))
		for _, other := range s.others {
			theirs, err := s.customers.Create(other, everyField("same@example.com"), store.WriteOptions{})
			require.NoError(t, err)
			require.NotEqual(t, mine.MerchantID, theirs.MerchantID)
			require.False(t, theirs.EmailShared)
		}
	})
}

func TestOptionalFields(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	created := s.create(t, everyField("fields@example.com"))
	read := map[string]func(*store.Customer) *string{
		"name": func(c *store.Customer) *string { return c.Name }, "userId": func(c *store.Customer) *string { return c.UserID },
		"billingAddressLine1": func(c *store.Customer) *string { return c.BillingAddressLine1 },
		"billingAddressLine2": func(c *store.Customer) *string { return c.BillingAddressLine2 },
		"billingCity":         func(c *store.Customer) *string { return c.BillingCity },
		"billingPostalCode":   func(c *store.Customer) *string { return c.BillingPostalCode },
		"billingCountry":      func(c *store.Customer) *string { return c.BillingCountry },
		"taxId":               func(c *store.Customer) *string { return c.TaxID },
	}
	require.Len(t, read, len(fieldNames)-1)

	for name, value := range read {
		nothing := map[string]any{"absent": absent{}, "null": nil, "empty": "", "blank": " \u00A0\t"}
		for what, said := range nothing {
			in := with(everyField(name+what+"@example.com"), name, said)
			if said == (absent{}) {
				delete(in, name)
			}
			fresh := s.create(t, in)
			require.Nil(t, value(fresh), "create, %s, %s", name, what)
			require.Equal(t, fresh, s.get(t, fresh.ID))
			for other, otherValue := range read {
				require.Equal(t, other == name, otherValue(fresh) == nil, "create, %s, %s: %s", name, what, other)
			}
		}
		for what, said := range nothing {
			before := s.get(t, created.ID)
			in := store.Input{}
			if said != (absent{}) {
				in[name] = said
			}
			after := s.update(t, created.ID, in)
			require.Equal(t, after, s.get(t, created.ID))
			if what == "absent" {
				require.Equal(t, before, after, "update, %s, absent", name)
				continue
			}
			require.Nil(t, value(after), "update, %s, %s", name, what)
			in[name] = "  SE "
			back := s.update(t, created.ID, in)
			require.Equal(t, ptr("SE"), value(back), name)
			require.Equal(t, back, s.get(t, created.ID))
			for other, otherValue := range read {
				if other != name {
					require.Equal(t, otherValue(before), otherValue(back), "update, %s: %s", name, other)
				}
			}
		}
	}
}

func TestUpdatedAt(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in := everyField("Moves@Example.com")

	t.Run("does not change if no value changes", func(t *testing.T) {
		t.Parallel()
		same := everyField("Stays@Example.com")
		id := s.create(t, same).ID
		aged := s.age(t, id, longAgo)
		onlyEmail := emailOf("Stays@Example.com")
		padded := store.Input{"name": "  Zoë Straße\n", "billingCountry": "Ch"}
		for _, update := range []store.Input{{}, flagged(store.Input{}), same, flagged(same), onlyEmail, padded} {
			require.Equal(t, aged, s.update(t, id, update))
			require.Equal(t, aged, s.get(t, id))
		}
		bare := s.create(t, emailOf("bare@example.com")).ID
		aged = s.age(t, bare, longAgo)
		for _, name := range fieldNames[1:] {
			require.Equal(t, aged, s.update(t, bare, store.Input{name: nil}), "null for %s, which is null", name)
		}
	})
	t.Run("changes if a value changes", func(t *testing.T) {
		t.Parallel()
		id := s.create(t, in).ID
		for _, name := range fieldNames {
			for _, value := range []any{"DE", nil, "FR"} {
				update := store.Input{name: value}
				if name == "email" {
					if value == nil {
						continue
					}
					update = emailOf(value.(string) + "@example.com")
				}
				aged := s.age(t, id, longAgo)
				before := s.now(t)
				updated := s.update(t, id, update)
				require.False(t, updated.UpdatedAt.Before(before) || updated.UpdatedAt.After(s.now(t)), name)
				require.Equal(t, aged.CreatedAt, updated.CreatedAt)
				requireTimes(t, updated)
			}
		}
		aged := s.age(t, id, longAgo)
		updated := s.update(t, id, emailOf(strings.ToUpper(aged.Email)))
		require.True(t, updated.UpdatedAt.After(aged.UpdatedAt), "the letter case of the email is stored")
		require.Equal(t, aged.EmailKey, updated.EmailKey)
	})
	t.Run("never decreases", func(t *testing.T) {
		t.Parallel()
		id := s.create(t, everyField("future@example.com")).ID
		s.age(t, id, farAway)
		updated := s.update(t, id, store.Input{"name": "Other"})
		require.Equal(t, ptr("Other"), updated.Name)
		require.Equal(t, farAway, updated.UpdatedAt)
		deleted, err := s.customers.Delete(s.ctx, id, store.WriteOptions{})
		require.NoError(t, err)
		require.Equal(t, farAway, deleted.UpdatedAt)
		requireTimes(t, deleted)
	})
	t.Run("is the time of the deletion after a delete", func(t *testing.T) {
		t.Parallel()
		id := s.create(t, everyField("deleted@example.com")).ID
		want := s.age(t, id, longAgo)
		before := s.now(t)
		deleted, err := s.customers.Delete(s.ctx, id, store.WriteOptions{})
		require.NoError(t, err)
		require.False(t, deleted.UpdatedAt.Before(before) || deleted.UpdatedAt.After(s.now(t)))
		requireTimes(t, deleted)
		want.UpdatedAt, want.DeletedAt, want.Version = deleted.UpdatedAt, &deleted.UpdatedAt, 2
		require.Equal(t, want, deleted, "nothing else changes")
	})
}

func TestDeletedCustomerIsNotFound(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.create(t, everyField("gone@example.com")).ID
	deleted, err := s.customers.Delete(s.ctx, id, store.WriteOptions{})
	require.NoError(t, err)

	_, err = s.customers.Delete(s.ctx, id, store.WriteOptions{})
	require.Equal(t, customerError(store.NotFound), err)
	_, err = s.customers.Get(s.ctx, id)
	require.Equal(t, customerError(store.NotFound), err)
	_, err = s.customers.Update(s.ctx, id, store.Input{"name": "back"}, store.WriteOptions{})
	require.Equal(t, customerError(store.NotFound), err)
	found, err := s.customers.GetMany(s.ctx, []string{id})
	require.NoError(t, err)
	require.Empty(t, found)
	page, err := s.customers.List(s.ctx, store.PageQuery{})
	require.NoError(t, err)
	require.Empty(t, page.Items)

	page, err = s.customers.List(s.ctx, store.PageQuery{Filter: store.Filter{"includeDeleted": true}})
	require.NoError(t, err)
	require.Equal(t, []store.Customer{*deleted}, page.Items, "history stays (I3)")
}

func TestUnknownIDs(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	theirs, err := s.customers.Create(s.others[0], everyField("theirs@example.com"), store.WriteOptions{})
	require.NoError(t, err)
	s.create(t, emailOf("taken@example.com"))
	gone := s.create(t, emailOf("gone@example.com"))
	_, err = s.customers.Delete(s.ctx, gone.ID, store.WriteOptions{})
	require.NoError(t, err)

	calls := map[string]func(id string) error{
		"get":    func(id string) error { _, err := s.customers.Get(s.ctx, id); return err },
		"delete": func(id string) error { _, err := s.customers.Delete(s.ctx, id, store.WriteOptions{}); return err },
		"update with nothing": func(id string) error {
			_, err := s.customers.Update(s.ctx, id, store.Input{}, store.WriteOptions{})
			return err
		},
		"update to a taken address": func(id string) error {
			_, err := s.customers.Update(s.ctx, id, emailOf("taken@example.com"), store.WriteOptions{})
			return err
		},
	}
	for what, call := range calls {
		for _, id := range []string{theirs.ID, gone.ID, "cust_stable_123", "cust_" + strings.Repeat("x", 64)} {
			require.Equal(t, customerError(store.NotFound), call(id), "%s %s", what, id)
		}
		for _, id := range []string{"", "cust_", strings.ToUpper(gone.ID), gone.ID + "\x00", "' OR 1=1--"} {
			require.Equal(t, customerError(store.InvalidID), call(id), "%s %q", what, id)
		}
	}
	still, err := s.customers.Get(s.others[0], theirs.ID)
	require.NoError(t, err)
	require.Equal(t, theirs, still)

	t.Run("the id and the input are checked before existence", func(t *testing.T) {
		t.Parallel()
		bad := store.Input{"billingCountry": "XX"}
		_, err := s.customers.Update(s.ctx, "nonsense", bad, store.WriteOptions{})
		require.Equal(t, customerError(store.InvalidID), err)
		_, err = s.customers.Update(s.ctx, gone.ID, bad, store.WriteOptions{})
		require.Equal(t, store.Invalid(store.CustomerFault("billingCountry", store.InvalidFormat)), err)
	})
}

func TestGetMany(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a, b, gone := s.create(t, everyField("a@example.com")), s.create(t, emailOf("b@example.com")), s.create(t, emailOf("c@example.com"))
	_, err := s.customers.Delete(s.ctx, gone.ID, store.WriteOptions{})
	require.NoError(t, err)
	theirs, err := s.customers.Create(s.others[0], emailOf("a@example.com"), store.WriteOptions{})
	require.NoError(t, err)

	found, err := s.customers.GetMany(s.ctx, []string{b.ID, a.ID, a.ID, gone.ID, theirs.ID, "cust_absent", "", "nonsense", `{"a,b"}`, "NULL"})
	require.NoError(t, err)
	require.Equal(t, map[string]*store.Customer{a.ID: a, b.ID: b}, found)

	for _, none := range [][]string{nil, {}, {"cust_absent"}} {
		found, err = s.customers.GetMany(s.ctx, none)
		require.NoError(t, err)
		require.Equal(t, map[string]*store.Customer{}, found)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	kept := s.create(t, emailOf("a@example.com"))
	reader := s.db.ReadContext(t, s.merchant)

	for name, c := range map[string]struct {
		ctx         context.Context
		read, write error
	}{
		"a read key":    {reader, nil, store.NewError(store.Forbidden)},
		"no credential": {t.Context(), store.NewError(store.Unauthenticated), store.NewError(store.Unauthenticated)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			same := func(want, err error) {
				t.Helper()
				if want == nil {
					require.NoError(t, err)
					return
				}
				require.Equal(t, want, err)
			}
			_, err := s.customers.Get(c.ctx, kept.ID)
			same(c.read, err)
			_, err = s.customers.GetMany(c.ctx, []string{kept.ID})
			same(c.read, err)
			_, err = s.customers.List(c.ctx, store.PageQuery{})
			same(c.read, err)
			_, err = s.customers.Count(c.ctx, store.Filter{})
			same(c.read, err)
			for _, err := range s.customers.All(c.ctx, store.Filter{}) {
				same(c.read, err)
			}
			// Access is checked before the id and the input.
			_, err = s.customers.Create(c.ctx, store.Input{}, store.WriteOptions{})
			same(c.write, err)
			_, err = s.customers.Update(c.ctx, "nonsense", store.Input{}, store.WriteOptions{})
			same(c.write, err)
			_, err = s.customers.Delete(c.ctx, "nonsense", store.WriteOptions{})
			same(c.write, err)
			require.Equal(t, kept, s.get(t, kept.ID))
		})
	}
}

func TestEmailRules(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	taken := customerError(store.EmailTaken)

	t.Run("a taken email is refused in every spelling", func(t *testing.T) {
		t.Parallel()
		s.create(t, emailOf("ÉLise@bücher.example"))
		for _, email := range []string{
			"ÉLise@bücher.example", "élise@BÜCHER.EXAMPLE", norm.NFD.String("élise@bücher.example"), " ÉLISE@xn--bcher-kva.example ",
		} {
			_, err := s.customers.Create(s.ctx, emailOf(email), store.WriteOptions{})
			require.Equal(t, taken, err, "%q", email)
		}
	})
	t.Run("the flag allows a duplicate and marks the row", func(t *testing.T) {
		t.Parallel()
		first := s.create(t, emailOf("dup@example.com"))
		second := s.create(t, flagged(emailOf("DUP@example.com")))
		third := s.create(t, flagged(emailOf("dup@example.com")))
		require.Equal(t, []bool{false, true, true}, []bool{first.EmailShared, second.EmailShared, third.EmailShared})
		_, err := s.customers.Create(s.ctx, emailOf("dup@example.com"), store.WriteOptions{})
		require.Equal(t, taken, err)
		require.Equal(t, first, s.get(t, first.ID), "the first customer is unchanged")
	})
	t.Run("the flag also marks a row without a duplicate, whose email is then taken", func(t *testing.T) {
		t.Parallel()
		require.True(t, s.create(t, flagged(emailOf("only@example.com"))).EmailShared)
		_, err := s.customers.Create(s.ctx, emailOf("only@example.com"), store.WriteOptions{})
		require.Equal(t, taken, err)
	})
	t.Run("after the first holder is deleted, a flagged duplicate still holds the email", func(t *testing.T) {
		t.Parallel()
		first := s.create(t, emailOf("outlive@example.com"))
		second := s.create(t, flagged(emailOf("outlive@example.com")))
		_, err := s.customers.Delete(s.ctx, first.ID, store.WriteOptions{})
		require.NoError(t, err)
		_, err = s.customers.Create(s.ctx, emailOf("outlive@example.com"), store.WriteOptions{})
		require.Equal(t, taken, err)
		_, err = s.customers.Delete(s.ctx, second.ID, store.WriteOptions{})
		require.NoError(t, err)
		require.False(t, s.create(t, emailOf("outlive@example.com")).EmailShared)
	})
	t.Run("the email of a deleted customer is free", func(t *testing.T) {
		t.Parallel()
		for range 3 {
			c := s.create(t, emailOf("again@example.com"))
			_, err := s.customers.Delete(s.ctx, c.ID, store.WriteOptions{})
			require.NoError(t, err)
		}
		other := s.create(t, emailOf("other@example.com"))
		s.update(t, other.ID, emailOf("again@example.com"))
		s.create(t, emailOf("other@example.com"))
	})
	t.Run("the former email of a customer is free", func(t *testing.T) {
		t.Parallel()
		mover := s.create(t, emailOf("old@example.com"))
		s.update(t, mover.ID, emailOf("new@example.com"))
		s.create(t, emailOf("old@example.com"))
		_, err := s.customers.Update(s.ctx, mover.ID, emailOf("old@example.com"), store.WriteOptions{})
		require.Equal(t, emailTakenOnUpdate, err)
	})
	t.Run("an update to a taken email is refused and changes nothing", func(t *testing.T) {
		t.Parallel()
		s.create(t, emailOf("holder@example.com"))
		c := s.create(t, everyField("mine@example.com"))
		in := emailOf("HOLDER@example.com")
		in["name"], in["taxId"] = "Other", nil
		_, err := s.customers.Update(s.ctx, c.ID, in, store.WriteOptions{})
		require.Equal(t, emailTakenOnUpdate, err)
		require.Equal(t, c, s.get(t, c.ID))

		updated := s.update(t, c.ID, flagged(in))
		require.True(t, updated.EmailShared)
		require.Equal(t, "HOLDER@example.com", updated.Email)
		require.Equal(t, ptr("Other"), updated.Name)
	})
	t.Run("a customer's own email is never a conflict and leaves the mark unchanged", func(t *testing.T) {
		t.Parallel()
		plain := s.create(t, emailOf("own@example.com"))
		shared := s.create(t, flagged(emailOf("own@example.com")))
		for _, c := range []*store.Customer{plain, shared} {
			for _, email := range []string{"own@example.com", "OWN@Example.com", "Own@EXAMPLE.com"} {
				for _, in := range []store.Input{emailOf(email), flagged(emailOf(email))} {
					updated := s.update(t, c.ID, in)
					require.Equal(t, email, updated.Email)
					require.Equal(t, c.EmailShared, updated.EmailShared)
				}
			}
		}
	})
	t.Run("the mark changes only with the email", func(t *testing.T) {
		t.Parallel()
		c := s.create(t, flagged(emailOf("mark1@example.com")))
		require.True(t, s.update(t, c.ID, flagged(store.Input{"name": "x"})).EmailShared)
		require.False(t, s.update(t, c.ID, emailOf("mark2@example.com")).EmailShared)
		require.False(t, s.update(t, c.ID, flagged(store.Input{"name": "y"})).EmailShared, "without a changed email the flag has no effect")
		require.True(t, s.update(t, c.ID, flagged(emailOf("mark3@example.com"))).EmailShared, "with or without a duplicate")
	})
}

// Two updates change one row. The second waits for the first, and then evaluates its predicates on
// the changed row. It must not mistake the row's own former email for another customer's.
func TestUpdateWaitsForConcurrentUpdateOfSameRow(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c := s.create(t, emailOf("first@example.com"))

	tx, err := s.db.Superuser().Begin(s.ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(s.ctx)) }()
	_, err = tx.Exec(s.ctx, `UPDATE customers SET email = 'second@example.com', email_key = 'second@example.com',
		search_key = E'second@example.com\n\n' WHERE id = $1`, c.ID)
	require.NoError(t, err)

	type result struct {
		customer *store.Customer
		err      error
	}
	done := make(chan result, 1)
	go func() {
		updated, err := s.customers.Update(s.ctx, c.ID, emailOf("FIRST@example.com"), store.WriteOptions{})
		done <- result{updated, err}
	}()
	require.Eventually(t, func() bool {
		var waiting bool
		require.NoError(t, s.db.Superuser().QueryRow(s.ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting))
		return waiting
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, tx.Commit(s.ctx))

	after := <-done
	require.NoError(t, after.err)
	require.Equal(t, "FIRST@example.com", after.customer.Email)
	require.Equal(t, after.customer, s.get(t, c.ID))
}

func TestConcurrentUpdatesLoseNoField(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.create(t, emailOf("fields@example.com")).ID
	for round := range 25 {
		value := []string{"DE", "FR"}[round%2]
		want := emailOf(value + "@example.com")
		var writers sync.WaitGroup
		for _, name := range fieldNames {
			in := store.Input{name: value}
			if name == "email" {
				in = maps.Clone(want)
			}
			want[name] = in[name]
			writers.Go(func() {
				_, err := s.customers.Update(s.ctx, id, in, store.WriteOptions{})
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		writers.Wait()
		found := s.get(t, id)
		require.Equal(t, found, s.update(t, id, want), "the values of all writers are stored")
		// The search key holds all three texts.

		for _, text := range []string{value + "@example", value} {
			page, err := s.customers.List(s.ctx, store.PageQuery{Filter: store.Filter{"search": text}})
			require.NoError(t, err)
			require.Len(t, page.Items, 1)
		}
	}
}

func TestDeleteWinsOverConcurrentUpdates(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for range 25 {
		id := s.create(t, emailOf("race@example.com")).ID
		var writers sync.WaitGroup
		var deleted *store.Customer
		writers.Go(func() {
			var err error
			if deleted, err = s.customers.Delete(s.ctx, id, store.WriteOptions{}); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
		for range 4 {
			writers.Go(func() {
				_, err := s.customers.Update(s.ctx, id, store.Input{"name": "x"}, store.WriteOptions{})
				if err != nil && store.AsError(err).Code != store.NotFound {
					t.Errorf("update: %v", err)
				}
			})
		}
		writers.Wait()
		page, err := s.customers.List(s.ctx, store.PageQuery{Filter: store.Filter{"includeDeleted": true}, First: ptr(1)})
		require.NoError(t, err)
		require.Equal(t, []store.Customer{*deleted}, page.Items)
	}
}

// customerModel is the expected state of one merchant's customers.
type customerModel struct {
	ctx  context.Context
	rows []*store.Customer
}

// live returns the live row with this id.
func (m *customerModel) live(id string) *store.Customer {
	for _, row := range m.rows {
		if row.ID == id && row.DeletedAt == nil {
			return row
		}
	}
	return nil
}

func (m *customerModel) holds(key, except string) bool {
	return slices.ContainsFunc(m.rows, func(row *store.Customer) bool {
		return row.DeletedAt == nil && row.EmailKey == key && row.ID != except
	})
}

// keyed maps emails to their keys. They are few, so that they collide.
var keyed = map[string]string{
	"ann@example.com": "ann@example.com", "ANN@Example.COM": "ann@example.com",
	"zoe\u0301@example.com": "zo\u00e9@example.com", "ZO\u00c9@example.com": "zo\u00e9@example.com",
	"a@xn--bcher-kva.example": "a@xn--bcher-kva.example", "A@B\u00dcCHER.example": "a@xn--bcher-kva.example",
}

func TestCustomersMatchModel(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	customers := db.Store(t).Customers

	emails := rapid.SampledFrom(slices.Sorted(func(yield func(string) bool) {
		for email := range keyed {
			if !yield(email) {
				return
			}
		}
	}))
	// value draws one of the texts, null, or absent.
	value := func(values ...string) *rapid.Generator[any] {
		return rapid.Custom(func(t *rapid.T) any {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				return absent{}
			case 1:
				return nil
			default:
				return rapid.SampledFrom(values).Draw(t, "value")
			}
		})
	}
	names, countries := value("Ann", "ANN", "Ann ", ""), value("de", "DE", "FR")

	// apply changes the row as the input says, and reports whether a value changes.
	apply := func(row *store.Customer, in store.Input) bool {
		before := *row
		if email, ok := in["email"].(string); ok {
			row.Email = email
			if key := keyed[email]; key != row.EmailKey {
				row.EmailKey, row.EmailShared = key, in[store.DangerousFlag].(bool)
			}
		}
		set := func(name string, to **string, change func(string) string) {
			value, present := in[name]
			if !present {
				return
			}
			*to = nil
			if text, ok := value.(string); ok && strings.TrimSpace(text) != "" {
				*to = ptr(change(strings.TrimSpace(text)))
			}
		}
		same := func(text string) string { return text }
		set("name", &row.Name, same)
		set("name", &row.NameSort, func(text string) string { return string(folding.SortKey(text)) })
		set("billingCountry", &row.BillingCountry, strings.ToUpper)
		equal := func(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }
		return row.Email != before.Email || !equal(row.Name, before.Name) || !equal(row.BillingCountry, before.BillingCountry)
	}

	rapid.Check(t, func(r *rapid.T) {
		models := []*customerModel{{ctx: db.Context(t, db.Merchant(t, "A"))}, {ctx: db.Context(t, db.Merchant(t, "B"))}}
		model := func(r *rapid.T) *customerModel { return rapid.SampledFrom(models).Draw(r, "merchant") }
		// The id of a live or deleted row of either merchant, or of no row.
		anID := func(r *rapid.T) string {
			ids := []string{"cust_nobody"}
			for _, m := range models {
				for _, row := range m.rows {
					ids = append(ids, row.ID)
				}
			}
			return rapid.SampledFrom(ids).Draw(r, "id")
		}
		// The versions that a write expects, and whether the row has one of them. They are near its
		// own.
		versions := func(r *rapid.T, row *store.Customer) (expected store.Versions, allowed bool) {
			if rapid.Bool().Draw(r, "without a condition") {
				return nil, true
			}
			version := int64(1)
			if row != nil {
				version = row.Version
			}
			expected = rapid.SliceOfN(rapid.Int64Range(version-1, version+1), 0, 2).Draw(r, "expected")
			expected = append(store.Versions{}, expected...) // not nil, which would set no condition
			return expected, slices.Contains(expected, version)
		}
		input := func(r *rapid.T) store.Input {
			in := store.Input{
				"name": names.Draw(r, "name"), "billingCountry": countries.Draw(r, "country"),
				store.DangerousFlag: rapid.Bool().Draw(r, "flag"),
			}
			maps.DeleteFunc(in, func(_ string, value any) bool { return value == (absent{}) })
			return in
		}
		r.Repeat(map[string]func(*rapid.T){
			"create": func(r *rapid.T) {
				m, in := model(r), input(r)
				email := emails.Draw(r, "email")
				in["email"] = email
				created, err := customers.Create(m.ctx, in, store.WriteOptions{})
				if in[store.DangerousFlag] == false && m.holds(keyed[email], "") {
					require.Equal(r, customerError(store.EmailTaken), err)
					return
				}
				require.NoError(r, err)
				credential, _ := store.CredentialFrom(m.ctx)
				want := &store.Customer{
					ID: created.ID, MerchantID: credential.Merchant.ID, CreatedAt: created.CreatedAt, UpdatedAt: created.CreatedAt,
					Version: 1,
				}
				apply(want, in)
				require.Equal(r, want, created)
				requireTimes(r, created)
				m.rows = append(m.rows, created)
			},
			"update": func(r *rapid.T) {
				m, in, id := model(r), input(r), anID(r)
				if rapid.Bool().Draw(r, "with email") {
					in["email"] = emails.Draw(r, "email")
				}
				expected, allowed := versions(r, m.live(id))
				updated, err := customers.Update(m.ctx, id, in, store.WriteOptions{Expected: expected})
				row := m.live(id)
				if row == nil {
					require.Equal(r, customerError(store.NotFound), err)
					return
				}
				if !allowed {
					require.Equal(r, conflict(row.Version), err)
					return
				}
				if email, ok := in["email"].(string); ok && keyed[email] != row.EmailKey &&
					in[store.DangerousFlag] == false && m.holds(keyed[email], id) {
					require.Equal(r, emailTakenOnUpdate, err)
					return
				}
				require.NoError(r, err)
				want := *row
				if apply(&want, in) {
					require.False(r, updated.UpdatedAt.Before(row.UpdatedAt))
					want.UpdatedAt = updated.UpdatedAt
					want.Version++
				}
				require.Equal(r, &want, updated)
				requireTimes(r, updated)
				*row = *updated
			},
			"delete": func(r *rapid.T) {
				m, id := model(r), anID(r)
				expected, allowed := versions(r, m.live(id))
				deleted, err := customers.Delete(m.ctx, id, store.WriteOptions{Expected: expected})
				row := m.live(id)
				if row == nil {
					require.Equal(r, customerError(store.NotFound), err)
					return
				}
				if !allowed {
					require.Equal(r, conflict(row.Version), err)
					return
				}
				require.NoError(r, err)
				want := *row
				want.UpdatedAt, want.DeletedAt = deleted.UpdatedAt, &deleted.UpdatedAt
				want.Version++
				require.Equal(r, &want, deleted)
				requireTimes(r, deleted)
				*row = *deleted
			},
			"get": func(r *rapid.T) {
				m, id := model(r), anID(r)
				found, err := customers.Get(m.ctx, id)
				if row := m.live(id); row != nil {
					require.NoError(r, err)
					require.Equal(r, row, found)
					return
				}
				require.Equal(r, customerError(store.NotFound), err)
			},
			"": func(r *rapid.T) {
				for _, m := range models {
					want := make([]store.Customer, len(m.rows))
					for i, row := range m.rows {
						want[i] = *row
					}
					slices.SortFunc(want, func(a, b store.Customer) int {
						if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
							return c
						}
						return strings.Compare(b.ID, a.ID)
					})
					for _, includeDeleted := range []bool{true, false} {
						filter := store.Filter{"includeDeleted": includeDeleted}
						if !includeDeleted {
							want = slices.DeleteFunc(want, func(c store.Customer) bool { return c.DeletedAt != nil })
						}
						page, err := customers.List(m.ctx, store.PageQuery{Filter: filter, First: ptr(250)})
						require.NoError(r, err)
						require.Equal(r, want, page.Items)
						n, err := customers.Count(m.ctx, filter)
						require.NoError(r, err)
						require.Equal(r, len(want), n)
					}
				}
			},
		})
	})
}

// conflict is the error for a customer that has this version and none of the expected ones.
func conflict(version int64) error {
	err := store.NounOf[store.Customer]().NewError(store.VersionConflict)
	err.Version = version
	return err
}

// absent stands for a field that an input does not hold.
type absent struct{}

// An update can leave a stored email unchanged that an earlier release accepted and this one
// refuses.
func TestStoredEmailThatIsNoLongerValid(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for i, email := range []string{"a@127.0.0.1", "a\u034F@example.com", "a@x\u2800.example", "A@b_c.example"} {
		id := s.create(t, emailOf(fmt.Sprintf("old%d@example.com", i))).ID
		s.exec(t, `UPDATE customers SET email = $2, email_key = lower($2) WHERE id = $1`, id, email)
		require.Equal(t, email, s.get(t, id).Email)

		for _, in := range []store.Input{
			{"name": "One"}, {"name": "Two", "email": email}, {"name": "Three", "email": " " + email + "\n"},
			{"name": "Four", "email": email, store.DangerousFlag: true},
		} {
			updated, err := s.customers.Update(s.ctx, id, in, store.WriteOptions{})
			require.NoError(t, err, "%v", in)
			require.Equal(t, []any{in["name"], email, strings.ToLower(email), false}, []any{*updated.Name, updated.Email, updated.EmailKey, updated.EmailShared})
		}
		before := s.get(t, id)
		unchanged, err := s.customers.Update(s.ctx, id, emailOf(email), store.WriteOptions{})
		require.NoError(t, err)
		require.Equal(t, before, unchanged, "updatedAt does not change")

		other := s.create(t, emailOf(fmt.Sprintf("other%d@example.com", i))).ID
		for target, in := range map[string]store.Input{
			other: emailOf(email), "cust_nobody": emailOf(email), id: {"email": email + "x_"},
		} {
			_, err := s.customers.Update(s.ctx, target, in, store.WriteOptions{})
			require.Equal(t, store.InvalidInput, store.AsError(err).Code, "%s", target)
		}
		_, err = s.customers.Update(s.ctx, id, store.Input{"email": email, "billingCountry": "XX"}, store.WriteOptions{})
		require.Equal(t, []string{"billingCountry"}, faultyFields(err), "the email is no fault")
		_, err = s.customers.Delete(s.ctx, id, store.WriteOptions{})
		require.NoError(t, err)
	}
}

// The same holds for texts other than the email.
func TestStoredTextThatIsNoLongerValid(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.create(t, emailOf("old@example.com")).ID
	s.exec(t, `UPDATE customers SET user_id = E'u\u034F1', billing_postal_code = E'1\u2800', tax_id = E't\u3164' WHERE id = $1`, id)
	stored := s.get(t, id)
	back := store.Input{"userId": *stored.UserID, "billingPostalCode": *stored.BillingPostalCode, "taxId": *stored.TaxID, "name": "New"}
	updated, err := s.customers.Update(s.ctx, id, back, store.WriteOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"New", *stored.UserID, *stored.TaxID}, []string{*updated.Name, *updated.UserID, *updated.TaxID})

	_, err = s.customers.Update(s.ctx, id, with(back, "taxId", "x\u3164"), store.WriteOptions{})
	require.Equal(t, []string{"taxId"}, faultyFields(err))
	_, err = s.customers.Update(s.ctx, id, store.Input{"userId": nil, "taxId": "t"}, store.WriteOptions{})
	require.NoError(t, err)
}

// A server of an earlier release may store another key after the migration.
func TestUnchangedEmailWithLegacyKeyIsNoConflict(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const email = "max@straße.example"
	first, second := s.create(t, emailOf(email)).ID, s.create(t, emailOf("second@example.com")).ID
	for _, shared := range []bool{false, true} {
		s.exec(t, `UPDATE customers SET email = $2, email_key = 'max@strasse.example', email_shared = $3 WHERE id = $1`, second, email, shared)
		updated, err := s.customers.Update(s.ctx, second, store.Input{"email": email, "name": fmt.Sprint(shared)}, store.WriteOptions{})
		require.NoError(t, err)
		require.Equal(t, shared, updated.EmailShared)
	}
	_, err := s.customers.Update(s.ctx, first, store.Input{"email": email, "name": "New"}, store.WriteOptions{})
	require.NoError(t, err)
}

func faultyFields(err error) (fields []string) {
	for _, f := range store.AsError(err).Faults {
		fields = append(fields, f.Field)
	}
	return fields
}

// customerError returns an error about a customer.
func customerError(code store.Code) *store.Error {
	err := store.NounOf[store.Customer]().NewError(code)
	if code == store.EmailTaken || code == store.EmailRequired {
		err.Field = "email"
	}
	return err
}
