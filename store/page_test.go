package store_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lumen/store"
	"lumen/store/folding"
)

var everySort = func() []store.Sort {
	var all []store.Sort
	for _, field := range []store.SortField{store.SortCreatedAt, store.SortUpdatedAt, store.SortEmail, store.SortName} {
		for _, direction := range []store.SortDirection{store.Ascending, store.Descending} {
			all = append(all, store.Sort{Field: field, Direction: direction})
		}
	}
	return all
}()

// inOrder returns the customers in the order of the sort. Ties are broken by id, in the direction
// of the sort, and customers without a name come last in either direction.
func inOrder(sort store.Sort, customers []store.Customer) []store.Customer {
	sorted := slices.Clone(customers)
	slices.SortFunc(sorted, func(a, b store.Customer) int {
		order := 0
		switch sort.Field {
		case store.SortUpdatedAt:
			order = a.UpdatedAt.Compare(b.UpdatedAt)
		case store.SortEmail:
			order = strings.Compare(a.EmailKey, b.EmailKey)
		case store.SortName:
			if (a.NameSort == nil) != (b.NameSort == nil) {
				if a.NameSort == nil {
					return 1
				}
				return -1
			}
			if a.NameSort != nil {
				order = strings.Compare(*a.NameSort, *b.NameSort)
			}
		default:
			order = a.CreatedAt.Compare(b.CreatedAt)
		}
		order = cmp.Or(order, strings.Compare(a.ID, b.ID))
		if sort.Direction == store.Descending {
			return -order
		}
		return order
	})
	return sorted
}

func live(customers []store.Customer) []store.Customer {
	return slices.DeleteFunc(slices.Clone(customers), func(c store.Customer) bool { return c.DeletedAt != nil })
}

// all returns all rows that match the filter, and checks the sizes of the batches.
func (s *shop) all(t testing.TB, filter store.Filter) []store.Customer {
	t.Helper()
	list := []store.Customer{}
	short := false
	for batch, err := range s.customers.All(s.ctx, filter) {
		require.NoError(t, err)
		require.False(t, short, "only the last batch may be short")
		require.LessOrEqual(t, len(batch), 500)
		short = len(batch) < 500
		list = append(list, batch...)
	}
	return list
}

// newLongShop returns a shop with 1,000 customers, and all of them in the default order. They have
// the same created_at. One in ten is deleted, one in ten shares its email, and most share their
// name or have none. The other merchants have a few customers with the same values.
func newLongShop(t *testing.T) (*shop, []store.Customer) {
	t.Helper()
	s := newShop(t)
	names := []string{"Ann", "ann", "Émile", "Zoë", "Łukasz", "\U0010FFFE", "Straße", "a", "A b", "100%", "a_b", "a\U0001F600"}
	countries := []string{"DE", "FR", "US"}
	var writers sync.WaitGroup
	for writer := range 8 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(writer), 7))
			for i := range 125 {
				in := store.Input{"email": fmt.Sprintf("User%d.%d@Example.com", writer, i)}
				if i%10 == 0 {
					in = flagged(emailOf(fmt.Sprintf("shared%d@example.com", i%3)))
				}
				if random.IntN(10) < 7 {
					in["name"] = names[random.IntN(len(names))]
				}
				if random.IntN(10) < 5 {
					in["userId"] = fmt.Sprintf("U%%_%d", random.IntN(50))
				}
				if random.IntN(10) < 8 {
					in["billingCountry"] = countries[random.IntN(3)]
				}
				created, err := s.customers.Create(s.ctx, in, store.WriteOptions{})
				if err != nil {
					t.Errorf("create: %v", err)
					return
				}
				if i%10 == 5 {
					if _, err := s.customers.Delete(s.ctx, created.ID, store.WriteOptions{}); err != nil {
						t.Errorf("delete: %v", err)
						return
					}
				}
				if i%25 == 0 {
					for _, other := range s.others {
						if _, err := s.customers.Create(other, in, store.WriteOptions{}); err != nil {
							t.Errorf("create: %v", err)
							return
						}
					}
				}
			}
		})
	}
	writers.Wait()
	s.exec(t, `UPDATE customers SET created_at = $1, updated_at = $1, deleted_at = CASE WHEN deleted_at IS NOT NULL THEN $1::timestamptz END`, longAgo)
	s.exec(t, `ANALYZE customers`)

	list := s.all(t, store.Filter{"includeDeleted": true})
	require.Equal(t, 1000, len(list))
	require.Equal(t, inOrder(store.Sort{Field: store.SortCreatedAt, Direction: store.Descending}, list), list)
	return s, list
}

func ids(customers []store.Customer) []string {
	list := make([]string, len(customers))
	for i := range customers {
		list[i] = customers[i].ID
	}
	return list
}

func TestPages(t *testing.T) {
	t.Parallel()
	s, everyone := newLongShop(t)

	t.Run("in sequence are the list", func(t *testing.T) {
		t.Parallel()
		for i, sort := range everySort {
			sizes := []int{13, 50, 97, 226, 250} // the 904 live customers are four pages of 226
			if i == 1 || i == 6 {
				sizes = append(sizes, 1)
			}
			t.Run(fmt.Sprint(sort), func(t *testing.T) {
				t.Parallel()
				want := inOrder(sort, live(everyone))
				require.Equal(t, 904, len(want))
				for _, size := range sizes {
					var cursor *string
					for at := 0; at < len(want); at += size {
						page, err := s.customers.List(s.ctx, store.PageQuery{Sort: sort, First: &size, After: cursor})
						require.NoError(t, err)
						end := min(at+size, len(want))
						require.Equal(t, want[at:end], page.Items)
						require.Equal(t, []bool{end < len(want), at > 0}, []bool{page.HasNext, page.HasPrevious}, "size %d, %d to %d", size, at, end)
						cursor = ptr(page.Cursor(len(page.Items) - 1))
					}
					page, err := s.customers.List(s.ctx, store.PageQuery{Sort: sort, First: &size, After: cursor})
					require.NoError(t, err)
					require.Empty(t, page.Items)
					require.Equal(t, []bool{false, true}, []bool{page.HasNext, page.HasPrevious}, "after the end")

					cursor = nil
					for end := len(want); end > 0; end -= size {
						page, err := s.customers.List(s.ctx, store.PageQuery{Sort: sort, Last: &size, Before: cursor})
						require.NoError(t, err)
						at := max(end-size, 0)
						require.Equal(t, want[at:end], page.Items)
						require.Equal(t, []bool{end < len(want), at > 0}, []bool{page.HasNext, page.HasPrevious}, "size %d, %d to %d, backwards", size, at, end)
						cursor = ptr(page.Cursor(0))
					}
					page, err = s.customers.List(s.ctx, store.PageQuery{Sort: sort, Last: &size, Before: cursor})
					require.NoError(t, err)
					require.Empty(t, page.Items)
					require.Equal(t, []bool{true, false}, []bool{page.HasNext, page.HasPrevious}, "before the start")
				}
			})
		}
	})

	t.Run("of any range are exact", func(t *testing.T) {
		t.Parallel()
		orders, cursors := make(map[store.Sort][]store.Customer), make(map[store.Sort][]string)
		for _, sort := range everySort {
			orders[sort] = inOrder(sort, everyone)
			var after *string
			for len(cursors[sort]) < len(everyone) {
				page, err := s.customers.List(s.ctx, store.PageQuery{
					Sort: sort, First: ptr(250), After: after, Filter: store.Filter{"includeDeleted": true},
				})
				require.NoError(t, err)
				for i := range page.Items {
					cursors[sort] = append(cursors[sort], page.Cursor(i))
				}
				after = ptr(page.Cursor(len(page.Items) - 1))
			}
		}
		rapid.Check(t, func(r *rapid.T) {
			sort := rapid.SampledFrom(everySort).Draw(r, "sort")
			order := orders[sort]
			deleted := rapid.Bool().Draw(r, "includeDeleted")
			query := store.PageQuery{Sort: sort, Filter: store.Filter{"includeDeleted": deleted}}
			kept := func(c store.Customer) bool { return deleted || c.DeletedAt == nil }
			if rapid.Bool().Draw(r, "filtered") {
				query.Filter["billingCountry"] = "de"
				all := kept
				kept = func(c store.Customer) bool { return all(c) && c.BillingCountry != nil && *c.BillingCountry == "DE" }
			}

			// The bounds are often close to each other, in the wrong order, or rows that are not in
			// the list.
			after, before := -1, len(order)
			if rapid.Bool().Draw(r, "with after") {
				after = rapid.IntRange(0, len(order)-1).Draw(r, "after")
				query.After = &cursors[sort][after]
			}
			if rapid.Bool().Draw(r, "with before") {
				before = rapid.IntRange(0, len(order)-1).Draw(r, "before")
				if rapid.Bool().Draw(r, "near") {
					before = min(max(after+rapid.IntRange(-2, 20).Draw(r, "distance"), 0), len(order)-1)
				}
				query.Before = &cursors[sort][before]
			}
			size, backwards := store.DefaultPageSize, false
			switch rapid.IntRange(0, 4).Draw(r, "way") {
			case 0:
			case 1, 2:
				size = rapid.IntRange(1, 250).Draw(r, "first")
				query.First = &size
			default:
				size, backwards = rapid.IntRange(1, 250).Draw(r, "last"), true
				query.Last = &size
			}

			// The rows between the bounds, cut to the size. The others decide what lies before and
			// after.
			var within []int
			for i, c := range order {
				if kept(c) && i > after && i < before {
					within = append(within, i)
				}
			}
			if backwards {
				within = within[max(len(within)-size, 0):]
			} else {
				within = within[:min(size, len(within))]
			}
			hasPrevious := slices.ContainsFunc(order[:min(after+1, len(order))], kept)
			hasNext := before < len(order) && slices.ContainsFunc(order[before:], kept)
			want := []store.Customer{}
			if len(within) > 0 {
				hasPrevious = slices.ContainsFunc(order[:within[0]], kept)
				hasNext = slices.ContainsFunc(order[within[len(within)-1]+1:], kept)
			}
			for _, i := range within {
				want = append(want, order[i])
			}

			page, err := s.customers.List(s.ctx, query)
			require.NoError(r, err)
			require.Equal(r, ids(want), ids(page.Items))
			require.Equal(r, []bool{hasNext, hasPrevious}, []bool{page.HasNext, page.HasPrevious}, "has next, has previous")
			for i, at := range within {
				require.Equal(r, cursors[sort][at], page.Cursor(i))
			}
		})
	})

	t.Run("without arguments are the newest 50", func(t *testing.T) {
		t.Parallel()
		page, err := s.customers.List(s.ctx, store.PageQuery{})
		require.NoError(t, err)
		require.Equal(t, live(everyone)[:50], page.Items)
		require.Equal(t, []bool{true, false}, []bool{page.HasNext, page.HasPrevious})
	})
	t.Run("end with customers without a name in either direction", func(t *testing.T) {
		t.Parallel()
		for _, direction := range []store.SortDirection{store.Ascending, store.Descending} {
			page, err := s.customers.List(s.ctx, store.PageQuery{Sort: store.Sort{Field: store.SortName, Direction: direction}, Last: ptr(250)})
			require.NoError(t, err)
			for _, c := range page.Items {
				require.Nil(t, c.Name)
			}
		}
	})
}

func TestFilters(t *testing.T) {
	t.Parallel()
	s, _ := newLongShop(t)
	// The times differ by a minute each, and their order differs from the others.
	s.exec(t, `UPDATE customers SET created_at = $1::timestamptz + n * interval '1 minute', updated_at = $1::timestamptz + (2000 - n % 700) * interval '1 minute',
			deleted_at = CASE WHEN deleted_at IS NOT NULL THEN $1::timestamptz + (2000 - n % 700) * interval '1 minute' END
		FROM (SELECT id, row_number() OVER (ORDER BY email_key, id DESC) AS n FROM customers) AS t WHERE t.id = customers.id`, longAgo)
	for i, in := range []store.Input{
		{"email": "İ.Groß@Example.com", "name": "ΟΔΟΣ", "userId": "K\\x"},
		{"email": "plain@example.com", "name": "rene\u0301", "userId": "' OR 1=1"},
		{"email": "jose@example.org", "name": "José\u00A0 O’Brien"},
	} {
		c := s.create(t, in)
		s.age(t, c.ID, longAgo.Add(time.Duration(i)*time.Hour))
	}
	everyone := s.all(t, store.Filter{"includeDeleted": true})
	require.Equal(t, 1003, len(everyone))

	// The model folds texts only as far as these texts need it.
	foldsEmail := strings.NewReplacer("ẞ", "ß", "e\u0301", "é", "É", "é")
	foldEmail := func(text string) string { return strings.ToLower(foldsEmail.Replace(text)) }
	foldsSearch := strings.NewReplacer("é", "e", "É", "e", "ß", "ss", "ẞ", "ss", "Σ", "σ", "ς", "σ", "Ο", "ο", "Δ", "δ", "İ", "i", "ë", "e",
		"\u0301", "", "\u0307", "", "\u212a", "k", "’", "'", "`", "'", "\u00A0", " ")
	foldSearch := func(text string) string {
		return strings.ReplaceAll(strings.ToLower(foldsSearch.Replace(text)), "  ", " ")
	}
	within := func(at time.Time, r store.TimeRange) bool {
		return (r.From == nil || !at.Before(*r.From)) && (r.Before == nil || at.Before(*r.Before))
	}
	model := func(f store.Filter) []store.Customer {
		want := []store.Customer{}
		for _, c := range everyone {
			email, byEmail := f["email"].(string)
			userID, byUserID := f["userId"].(string)
			country, byCountry := f["billingCountry"].(string)
			search, bySearch := f["search"].(string)
			created, _ := f["createdAt"].(store.TimeRange)
			updated, _ := f["updatedAt"].(store.TimeRange)
			if (f["includeDeleted"] == true || c.DeletedAt == nil) &&
				(!byEmail || foldEmail(c.Email) == foldEmail(strings.TrimSpace(email))) &&
				(!byUserID || deref(c.UserID) == strings.TrimSpace(userID)) &&
				(!byCountry || deref(c.BillingCountry) == strings.ToUpper(strings.TrimSpace(country))) &&
				(!bySearch || slices.ContainsFunc([]string{c.Email, deref(c.Name), deref(c.UserID)}, func(text string) bool {
					return strings.Contains(foldSearch(text), foldSearch(strings.TrimSpace(search)))
				})) && within(c.CreatedAt, created) && within(c.UpdatedAt, updated) {
				want = append(want, c)
			}
		}
		return want
	}
	check := func(t require.TestingT, f store.Filter, sort store.Sort) int {
		want := model(f)
		n, err := s.customers.Count(s.ctx, f)
		require.NoError(t, err)
		require.Equal(t, len(want), n)
		var list []store.Customer
		for batch, err := range s.customers.All(s.ctx, f) {
			require.NoError(t, err)
			list = append(list, batch...)
		}
		require.Equal(t, ids(want), ids(list))
		page, err := s.customers.List(s.ctx, store.PageQuery{Filter: f, Sort: sort, First: ptr(250)})
		require.NoError(t, err)
		want = inOrder(sort, want)
		require.Equal(t, ids(want[:min(250, len(want))]), ids(page.Items))
		require.Equal(t, []bool{len(want) > 250, false}, []bool{page.HasNext, page.HasPrevious})
		return len(want)
	}

	searches := []string{
		"an", "AN", "éM", "e\u0301mile", "ł", "straSSE", "STRAẞE", "%_", "0%", "a_b", "a\U0001F600", "user1.1", "User1.1@EXAMPLE", "@example.com", "u%_1", "\\x",
		"\u212a\\X", "οδος", "i\u0307.gross", "' or", "é@", "example.comann", "nosuchthing", "  an ", "..", "jose", "JOSÉ", "o'brien", "O’B", "jose o", "José  O`b", "Łuk", "emile",
	}
	t.Run("one by one", func(t *testing.T) {
		t.Parallel()
		newest := everySort[1]
		some := everyone[500]
		for _, search := range searches {
			if len([]rune(strings.TrimSpace(search))) >= 2 {
				check(t, store.Filter{"search": search, "includeDeleted": true}, newest)
			}
		}
		require.Zero(t, check(t, store.Filter{"search": "example.comann"}, newest), "a match cannot span two fields")
		require.NotZero(t, check(t, store.Filter{"search": "STRASSE"}, newest))
		require.Equal(t, 1, check(t, store.Filter{"search": "RENÉ"}, newest))
		require.Equal(t, 1, check(t, store.Filter{"search": "' OR 1"}, newest))
		for _, email := range []string{some.Email, strings.ToUpper(some.Email), " " + strings.ToLower(some.Email) + "\n"} {
			require.NotZero(t, check(t, store.Filter{"email": email, "includeDeleted": true}, newest))
		}
		require.Greater(t, check(t, store.Filter{"email": "SHARED1@example.com"}, newest), 20)
		require.Equal(t, 1, check(t, store.Filter{"email": "İ.GROẞ@example.com"}, newest))
		require.Zero(t, check(t, store.Filter{"email": "i\u0307.gross@example.com"}, newest))
		for _, search := range []string{"jose", "JOSÉ", "o'brien", "José O’Brien", "jose  o`brien"} {
			require.Equal(t, 1, check(t, store.Filter{"search": search}, newest), search)
		}
		require.NotZero(t, check(t, store.Filter{"userId": "U%_7"}, newest))
		require.Zero(t, check(t, store.Filter{"userId": "u%_7"}, newest), "the filter by user id is exact")
		for _, country := range []string{"de", "DE", " dE "} {
			require.NotZero(t, check(t, store.Filter{"billingCountry": country}, newest))
		}
		require.Zero(t, check(t, store.Filter{"billingCountry": "JP"}, newest))

		at := some.CreatedAt
		one := store.TimeRange{From: &at, Before: ptr(at.Add(time.Millisecond))}
		require.Equal(t, 1, check(t, store.Filter{"createdAt": one, "includeDeleted": true}, newest))
		require.Zero(t, check(t, store.Filter{"createdAt": store.TimeRange{From: &at, Before: &at}, "includeDeleted": true}, newest))
		require.Zero(t, check(t, store.Filter{"createdAt": store.TimeRange{From: ptr(at.Add(time.Nanosecond)), Before: ptr(at.Add(time.Millisecond))}, "includeDeleted": true}, newest),
			"a nanosecond later is later")
		require.Equal(t, 1, check(t, store.Filter{"createdAt": store.TimeRange{From: &at, Before: ptr(at.Add(time.Nanosecond))}, "includeDeleted": true}, newest))
		elsewhere := at.In(time.FixedZone("", 14*3600))
		require.Equal(t, 1, check(t, store.Filter{"createdAt": store.TimeRange{From: &elsewhere, Before: ptr(at.Add(time.Millisecond))}, "includeDeleted": true}, newest))
		first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
		require.Equal(t, 1003, check(t, store.Filter{"createdAt": store.TimeRange{From: &first, Before: &last}, "updatedAt": store.TimeRange{From: &first, Before: &last}, "includeDeleted": true}, newest))
		require.Equal(t, 907, check(t, store.Filter{}, newest))
	})
	t.Run("together", func(t *testing.T) {
		t.Parallel()
		maybe := func(r *rapid.T, what string, values ...string) any {
			if rapid.IntRange(0, 2).Draw(r, what+"?") > 0 {
				return nil
			}
			return rapid.SampledFrom(values).Draw(r, what)
		}
		rapid.Check(t, func(r *rapid.T) {
			f := store.Filter{
				"email":          maybe(r, "email", "shared0@EXAMPLE.com", "Shared1@example.com", "user3.12@example.com"),
				"userId":         maybe(r, "userId", "U%_1", "U%_22", "nobody"),
				"billingCountry": maybe(r, "country", "de", "FR", "us"),
				"search":         maybe(r, "search", "an", "sha", "U%", "ss", "1."),
				"includeDeleted": rapid.Bool().Draw(r, "includeDeleted"),
			}
			for _, name := range []string{"createdAt", "updatedAt"} {
				var span store.TimeRange
				for _, bound := range []**time.Time{&span.From, &span.Before} {
					if rapid.IntRange(0, 3).Draw(r, "bound?") == 0 {
						*bound = ptr(longAgo.Add(time.Duration(rapid.IntRange(0, 2200).Draw(r, "minute")) * time.Minute))
					}
				}
				f[name] = span
			}
			check(r, f, rapid.SampledFrom(everySort).Draw(r, "sort"))
		})
	})
}

// Rows are created and deleted between two pages. Each row that exists from start to end appears
// exactly once.
func TestPagesDuringConcurrentChanges(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"Ann", "Bea", "Zoë", ""}
	made := 0
	add := func() string {
		made++
		in := store.Input{
			"email": fmt.Sprintf("%c%d@example.com", 'a'+random.IntN(26), made), "name": names[random.IntN(4)],
		}
		id := s.create(t, in).ID
		s.age(t, id, longAgo.Add(time.Duration(random.IntN(20))*time.Millisecond))
		return id
	}
	var stay, leave []string
	for range 120 {
		stay = append(stay, add())
		leave = append(leave, add())
	}
	for _, sort := range everySort {
		if sort.Field == store.SortUpdatedAt {
			continue // a deletion changes the position of a row in this order
		}
		for _, backwards := range []bool{false, true} {
			seen := make(map[string]int)
			query := store.PageQuery{Sort: sort}
			size := 1 + random.IntN(17)
			for {
				query.First, query.Last = &size, nil
				if backwards {
					query.First, query.Last = nil, &size
				}
				page, err := s.customers.List(s.ctx, query)
				require.NoError(t, err)
				for _, c := range page.Items {
					seen[c.ID]++
				}
				if more := page.HasNext && !backwards || page.HasPrevious && backwards; !more {
					break
				}
				// Delete the row that the cursor was made from, if it is one that may be deleted.
				boundary := len(page.Items) - 1
				if backwards {
					boundary = 0
				}
				cursor := page.Cursor(boundary)
				query.After, query.Before = &cursor, nil
				if backwards {
					query.After, query.Before = nil, &cursor
				}
				gone := page.Items[boundary].ID
				if !slices.Contains(leave, gone) {
					gone = leave[random.IntN(len(leave))]
				}
				leave = slices.DeleteFunc(leave, func(id string) bool { return id == gone })
				_, err = s.customers.Delete(s.ctx, gone, store.WriteOptions{})
				require.NoError(t, err)
				leave = append(leave, add())
			}
			for id, n := range seen {
				require.Equal(t, 1, n, "%v %s", sort, id)
			}
			for _, id := range stay {
				require.Equal(t, 1, seen[id], "%v, backwards: %v", sort, backwards)
			}
		}
	}
}

// The same holds for the complete list. A caller may also leave it early.
func TestAllDuringConcurrentChanges(t *testing.T) {
	t.Parallel()
	s, everyone := newLongShop(t)
	want := live(everyone)

	var seen []string
	batches := 0
	for batch, err := range s.customers.All(s.ctx, store.Filter{}) {
		require.NoError(t, err)
		seen = append(seen, ids(batch)...)
		if batches++; batches == 1 {
			require.Len(t, batch, 500)
			_, err := s.customers.Delete(s.ctx, batch[499].ID, store.WriteOptions{}) // the next batch starts from it
			require.NoError(t, err)
			s.create(t, emailOf("late@example.com"))
		}
	}
	require.Equal(t, ids(want), seen)
	require.Equal(t, 2, batches)

	for batch, err := range s.customers.All(s.ctx, store.Filter{}) {
		require.NoError(t, err)
		require.Len(t, batch, 500)
		break
	}

	t.Run("yields one empty batch if no row matches", func(t *testing.T) {
		t.Parallel()
		batches := 0
		for batch, err := range s.customers.All(s.ctx, store.Filter{"userId": "nobody"}) {
			require.NoError(t, err)
			require.Empty(t, batch)
			batches++
		}
		require.Equal(t, 1, batches)
	})
	t.Run("works if the last batch is full", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, 1000, len(s.all(t, store.Filter{"createdAt": store.TimeRange{Before: ptr(longAgo.Add(time.Nanosecond))}, "includeDeleted": true})))
	})
	t.Run("yields an invalid filter's error first", func(t *testing.T) {
		t.Parallel()
		var errs []error
		for batch, err := range s.customers.All(s.ctx, store.Filter{"billingCountry": "XX"}) {
			require.Nil(t, batch)
			errs = append(errs, err)
		}
		require.Equal(t, []error{store.Invalid(store.CustomerFault("billingCountry", store.InvalidFormat))}, errs)
	})
}

func TestListArguments(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for i := range 3 {
		s.create(t, emailOf(fmt.Sprintf("a%d@example.com", i)))
	}
	_, err := s.customers.Create(s.others[0], emailOf("theirs@example.com"), store.WriteOptions{})
	require.NoError(t, err)
	page, err := s.customers.List(s.ctx, store.PageQuery{})
	require.NoError(t, err)
	mine := page.Cursor(1)
	page, err = s.customers.List(s.others[0], store.PageQuery{})
	require.NoError(t, err)
	theirs := page.Cursor(0)

	forms := map[string]string{
		"first": "must be 1 to 250", "last": "must be 1 to 250",
		"after": "must be a cursor that this list returned", "before": "must be a cursor that this list returned",
		"createdAt": "must be in the years 1 to 9999", "updatedAt": "must be in the years 1 to 9999",
		"email": "must be an email address", "billingCountry": "must be an ISO 3166-1 alpha-2 code",
		"search": "must be text of 2 to 100 characters",
	}
	fault := func(field string) store.Fault { return store.NewFault(field, store.InvalidFormat, forms[field]) }
	both := store.Fault{Field: "last", Reason: store.InvalidFormat, Message: "first and last exclude each other"}
	tooEarly, tooLate := time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		query  store.PageQuery
		faults []store.Fault
	}{
		"first of 0":               {store.PageQuery{First: ptr(0)}, []store.Fault{fault("first")}},
		"first of -1":              {store.PageQuery{First: ptr(-1)}, []store.Fault{fault("first")}},
		"first of 251":             {store.PageQuery{First: ptr(251)}, []store.Fault{fault("first")}},
		"last of 0":                {store.PageQuery{Last: ptr(0)}, []store.Fault{fault("last")}},
		"last of 251":              {store.PageQuery{Last: ptr(251)}, []store.Fault{fault("last")}},
		"first and last":           {store.PageQuery{First: ptr(1), Last: ptr(1)}, []store.Fault{both}},
		"first and last, both bad": {store.PageQuery{First: ptr(0), Last: ptr(0)}, []store.Fault{fault("first"), fault("last"), both}},
		"an empty cursor":          {store.PageQuery{After: ptr("")}, []store.Fault{fault("after")}},
		"a damaged cursor":         {store.PageQuery{Before: ptr(mine[:len(mine)-1])}, []store.Fault{fault("before")}},
		"another merchant's":       {store.PageQuery{After: &theirs, Before: &theirs}, []store.Fault{fault("after"), fault("before")}},
		"another sort's":           {store.PageQuery{After: &mine, Sort: store.Sort{Field: store.SortName}}, []store.Fault{fault("after")}},
		"another direction's":      {store.PageQuery{After: &mine, Sort: store.Sort{Direction: store.Ascending}}, []store.Fault{fault("after")}},
		"times beyond the calendar": {store.PageQuery{Filter: store.Filter{
			"createdAt": store.TimeRange{From: &tooEarly}, "updatedAt": store.TimeRange{Before: &tooLate},
		}}, []store.Fault{fault("createdAt"), fault("updatedAt")}},
		"everything at once": {store.PageQuery{First: ptr(251), After: ptr("x"), Filter: store.Filter{
			"email": "nobody", "billingCountry": "XX", "search": "a", "updatedAt": store.TimeRange{From: &tooEarly},
		}}, []store.Fault{fault("first"), fault("after"), fault("email"), fault("billingCountry"), fault("search"), fault("updatedAt")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := s.customers.List(s.ctx, c.query)
			require.Equal(t, store.Invalid(c.faults...), err)
			require.Nil(t, page)
		})
	}
	t.Run("a cursor of the default order is valid for the same order when it is given", func(t *testing.T) {
		t.Parallel()
		page, err := s.customers.List(s.ctx, store.PageQuery{After: &mine, Sort: everySort[1], First: ptr(250)})
		require.NoError(t, err)
		require.Len(t, page.Items, 1)
	})
}

// A name cursor of an earlier release holds the folded name. The page after it misses no customer,
// and may repeat customers with the same name.
func TestPagesContinueFromLegacyNameCursors(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for i, name := range []string{"Anna Schmidt", "Anna Schmidt", "anna schmidt", "ANNA SCHMIDT", "Ánna Schmidt", "Anna", "Anna Schmidtova", "Zoë", ""} {
		for n := range 2 {
			s.create(t, store.Input{"email": fmt.Sprintf("old%d.%d@example.com", i, n), "name": name})
		}
	}
	credential, _ := store.CredentialFrom(s.ctx)
	for _, direction := range []store.SortDirection{store.Ascending, store.Descending} {
		sort := store.Sort{Field: store.SortName, Direction: direction}
		whole, err := s.customers.List(s.ctx, store.PageQuery{Sort: sort})
		require.NoError(t, err)
		require.Len(t, whole.Items, 18)
		for i, c := range whole.Items {
			after := store.OldNameCursor(credential.Merchant.ID, sort, c.ID, c.Name)
			rest, err := s.customers.List(s.ctx, store.PageQuery{Sort: sort, After: &after})
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(rest.Items), 17-i, "%s: no customer is missed after %d", direction, i)
			require.Equal(t, ids(whole.Items[18-len(rest.Items):]), ids(rest.Items))
			for _, again := range whole.Items[18-len(rest.Items) : i+1] {
				require.Equal(t, folding.PrimaryKey(deref(c.Name)), folding.PrimaryKey(deref(again.Name)), "only customers with the same name are repeated")
			}
		}
	}
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
