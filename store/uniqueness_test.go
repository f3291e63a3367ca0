package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"lumen/store"
	"lumen/store/storetest"
)

// Many writers write one email, in several spellings, through two stores, as two processes would.
// Exactly one of them succeeds.
func TestManyWritersOfOneEmail(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	stores := []*store.Customers{s.customers, s.db.Store(t).Customers}
	const rounds, writers = 20, 64

	for round := range rounds {
		email := fmt.Sprintf("Zoë.Straße%d@Bücher.example", round)
		variants := []string{
			email, strings.ToUpper(email), strings.ToLower(email), norm.NFD.String(email), norm.NFD.String(strings.ToUpper(email)),
			fmt.Sprintf("zoë.STRAẞE%d@xn--bcher-kva.example", round), " " + email + "\n",
		}
		// Every other writer changes a customer's email instead of creating a customer.
		movers := make([]*store.Customer, writers)
		for i := range movers {
			if i%2 == 1 {
				movers[i] = s.create(t, emailOf(fmt.Sprintf("mover%d.%d@example.com", round, i)))
			}
		}
		errs := make([]error, writers)
		var start, done sync.WaitGroup
		start.Add(1)
		for i := range writers {
			in := emailOf(variants[i%len(variants)])
			done.Go(func() {
				start.Wait()
				errs[i] = retryOverload(func() (err error) {
					if mover := movers[i]; mover != nil {
						_, err = stores[i/2%2].Update(s.ctx, mover.ID, in, store.WriteOptions{})
					} else {
						_, err = stores[i/2%2].Create(s.ctx, in, store.WriteOptions{})
					}
					return err
				})
			})
		}
		start.Done()
		done.Wait()

		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
			case movers[i] != nil:
				require.Equal(t, emailTakenOnUpdate, err)
			default:
				require.Equal(t, customerError(store.EmailTaken), err)
			}
		}
		require.Equal(t, 1, won, "round %d", round)
		n, err := s.customers.Count(s.ctx, store.Filter{"email": email})
		require.NoError(t, err)
		require.Equal(t, 1, n, "round %d", round)
	}
}

// retryOverload writes, and repeats the write while it is refused because of an overload, as it may
// be on a busy machine.
func retryOverload(write func() error) error {
	for {
		err := write()
		switch store.AsError(err).Code {
		case store.RateLimited, store.Unavailable:
		default:
			return err
		}
	}
}

// hold is a period in which a row had an email: from the time of the write that set it to the time
// of the write that changed it or deleted the row. The database's clock (I5) is read while the
// writer holds the email's lock, so the times of an email's holds are in the order of the writes.
// Other sessions see the end of a hold only after its time.
type hold struct {
	row       string
	from      time.Time
	until     time.Time // zero if it did not end
	acked     time.Time // when the writer learned of the end; other writers may have seen the hold until then
	unflagged bool
}

// refusal is an EmailTaken, with the database's time before and after it.
type refusal struct{ before, after time.Time }

// Writers with and without the flag create, change and delete customers with two emails at the same
// time. Each successful write without the flag must have found the email free, and each refusal
// must have a reason.
func TestFlaggedAndUnflaggedWriters(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	stores := []*store.Customers{s.customers, s.db.Store(t).Customers}
	keys := []string{"one@example.com", "two@example.com"}
	spell := []func(string) string{strings.ToLower, strings.ToUpper}
	const writers, steps = 16, 100

	var mu sync.Mutex
	holds := make(map[string][]*hold)       // by address
	refusals := make(map[string][]*refusal) // by address
	rows := make(map[string]*store.Customer)
	succeeded := make(map[string]int)

	var done sync.WaitGroup
	for writer := range writers {
		random := rand.New(rand.NewPCG(uint64(writer), 2026))
		customers := stores[writer%2]
		done.Go(func() {
			var mine *store.Customer
			var held *hold
			for range steps {
				key, unflagged := keys[random.IntN(2)], random.IntN(4) > 0
				in := emailOf(spell[random.IntN(2)](key))
				in[store.DangerousFlag] = !unflagged
				before := s.now(t)
				var after *store.Customer
				var err error
				var what string
				switch {
				case mine == nil:
					what = "create"
					after, err = customers.Create(s.ctx, in, store.WriteOptions{})
				case random.IntN(2) > 0:
					what = "update"
					after, err = customers.Update(s.ctx, mine.ID, in, store.WriteOptions{})
				default:
					what = "delete"
					after, err = customers.Delete(s.ctx, mine.ID, store.WriteOptions{})
				}
				if err != nil {
					if store.AsError(err).Code != store.EmailTaken || !unflagged {
						t.Errorf("%s: %v", what, err)
						return
					}
					refused := &refusal{before, s.now(t)}
					mu.Lock()
					refusals[key] = append(refusals[key], refused)
					mu.Unlock()
					continue
				}
				acked := s.now(t)
				mu.Lock()
				succeeded[fmt.Sprint(what, " unflagged:", unflagged && what != "delete")]++
				moved := mine == nil || after.EmailKey != mine.EmailKey
				if held != nil && (moved || what == "delete") {
					held.until, held.acked = after.UpdatedAt, acked
				}
				if moved {
					held = &hold{row: after.ID, from: after.UpdatedAt, unflagged: unflagged}
					holds[key] = append(holds[key], held)
				}
				rows[after.ID] = after
				mu.Unlock()
				if mine = after; what == "delete" {
					mine, held = nil, nil
				}
			}
		})
	}
	done.Wait()

	for _, key := range keys {
		for _, one := range holds[key] {
			if !one.unflagged {
				continue
			}
			for _, other := range holds[key] {
				held := other.from.Before(one.from) && (other.until.IsZero() || other.until.After(one.from))
				require.False(t, other != one && held, "%+v was allowed beside %+v", one, other)
			}
		}
		for _, refused := range refusals[key] {
			require.True(t, slices.ContainsFunc(holds[key], func(h *hold) bool {
				return !h.from.After(refused.after) && (h.until.IsZero() || !h.acked.Before(refused.before))
			}), "no row had %s at the time of %+v", key, refused)
		}
	}
	for _, what := range []string{"create unflagged:true", "create unflagged:false", "update unflagged:true", "update unflagged:false", "delete unflagged:false"} {
		require.NotZero(t, succeeded[what], what)
	}
	require.NotEmpty(t, refusals)

	// The stored rows are those that the writers got back.
	unmarked := make(map[string]int)
	found := make(map[string]*store.Customer)
	for batch, err := range s.customers.All(s.ctx, store.Filter{"includeDeleted": true}) {
		require.NoError(t, err)
		for _, c := range batch {
			found[c.ID] = &c
			if c.DeletedAt == nil && !c.EmailShared {
				unmarked[c.EmailKey]++
			}
		}
	}
	require.Equal(t, rows, found)
	for key, n := range unmarked {
		require.LessOrEqual(t, n, 1, key)
	}
	t.Logf("%v, %d refused", succeeded, len(refusals[keys[0]])+len(refusals[keys[1]]))
}

// The check alone would allow both writes, because neither sees the other's uncommitted row. A
// writer that waits for the email's lock must check after the wait.
func TestUnflaggedWriterWaitsForFlaggedWriter(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const rounds = 50
	for round := range rounds {
		email := fmt.Sprintf("pair%d@example.com", round)
		var flaggedRow, plainRow *store.Customer
		var flaggedErr, plainErr error
		var done sync.WaitGroup
		done.Go(func() {
			flaggedRow, flaggedErr = s.customers.Create(s.ctx, flagged(emailOf(email)), store.WriteOptions{})
		})
		done.Go(func() { plainRow, plainErr = s.customers.Create(s.ctx, emailOf(email), store.WriteOptions{}) })
		done.Wait()
		require.NoError(t, flaggedErr)
		require.True(t, flaggedRow.EmailShared)
		if plainErr != nil {
			require.Equal(t, customerError(store.EmailTaken), plainErr)
			continue
		}
		require.False(t, plainRow.CreatedAt.After(flaggedRow.CreatedAt), "it succeeded, so it came first")
	}
}

// A writer of an email waits only for writers of the same merchant. Otherwise the wait would reveal
// other merchants' customers (I1).
func TestMerchantsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, one, other := db.Store(t), db.Merchant(t, "Acme"), db.Merchant(t, "Acme")
	writing, err := db.Superuser().Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, writing.Rollback(t.Context())) }()
	_, err = writing.Exec(t.Context(), "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", one.ID+" a@example.com")
	require.NoError(t, err)

	_, err = s.Customers.Create(db.Context(t, other), emailOf("a@example.com"), store.WriteOptions{})
	require.NoError(t, err)
	_, err = s.Customers.Create(db.Context(t, one), emailOf("a@example.com"), store.WriteOptions{})
	require.Equal(t, store.Unavailable, store.AsError(err).Code, "it waited until the lock timeout")
}
