package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/storetest"
)

// past is a state of a customer and the time from which it had it. It is nil once it was deleted.
type past struct {
	from  time.Time
	state *store.Customer
}

// TestPastMatchesModel makes random writes, and then asks how the customers were at random times, which
// are often the exact times of changes and a millisecond before them. It compares the answers, and the
// histories, with what the writes returned.
func TestPastMatchesModel(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	questions := 2000
	if storetest.Long() {
		questions = 10_000
	}
	model := map[string][]past{}
	var ids []string
	var times []time.Time
	record := func(c *store.Customer) {
		state := *c
		state.EmailKey, state.NameSort = "", nil // the log does not have these
		p := past{c.UpdatedAt, &state}
		if c.DeletedAt != nil {
			p.state = nil
		}
		if states := model[c.ID]; len(states) == 0 || states[len(states)-1].state != nil && states[len(states)-1].state.Version < c.Version {
			model[c.ID] = append(states, p)
		}
		times = append(times, p.from, p.from.Add(-time.Millisecond), p.from.Add(time.Millisecond))
	}
	beginning := s.now(t)
	for i := range 150 {
		if i%10 == 0 {
			c := s.create(t, store.Input{"email": fmt.Sprintf("c%d@example.com", i), "name": "Name"})
			ids = append(ids, c.ID)
			record(c)
		}
		id := ids[rand.IntN(len(ids))]
		in := store.Input{}
		for _, field := range []string{"name", "taxId", "userId", "billingCountry", "email"} {
			switch rand.IntN(4) {
			case 0:
				in[field] = map[string]any{"billingCountry": []any{"DE", "US", nil}[rand.IntN(3)], "email": fmt.Sprintf("e%d@example.com", rand.IntN(1000))}[field]
				if in[field] == nil && field != "billingCountry" {
					in[field] = strconv.Itoa(rand.IntN(3))
				}
			case 1:
				if field != "email" {
					in[field] = nil
				}
			}
		}
		in[store.DangerousFlag] = true
		c, err := s.customers.Update(s.ctx, id, in, store.WriteOptions{})
		if err == nil && rand.IntN(20) == 0 {
			record(c)
			c, err = s.customers.Delete(s.ctx, id, store.WriteOptions{})
		}
		if err != nil {
			require.Equal(t, store.NotFound, store.AsError(err).Code)
			continue
		}
		record(c)
	}
	times = append(times, beginning)

	ask := func(id string, at time.Time) error {
		var want *store.Customer
		for _, p := range model[id] {
			if !p.from.After(at) {
				want = p.state
			}
		}
		got, err := s.customers.GetAsOf(s.ctx, id, at)
		if err != nil && (want != nil || store.AsError(err).Code != store.NotFound) {
			return fmt.Errorf("%s as of %v: %w", id, at, err)
		}
		if err == nil {
			got.EmailKey, got.NameSort = "", nil
		}
		if (want == nil) != (got == nil) || want != nil && fmt.Sprintf("%+v", shownFields(*want)) != fmt.Sprintf("%+v", shownFields(*got)) {
			return fmt.Errorf("%s as of %v is %+v, not %+v", id, at, got, want)
		}
		return nil
	}
	end := s.now(t)
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range questions / 4 {
				at := times[rand.IntN(len(times))]
				if rand.IntN(4) == 0 {
					at = beginning.Add(time.Duration(rand.Int64N(int64(end.Sub(beginning)))))
				}
				if at.After(end) {
					at = end
				}
				if err := ask(ids[rand.IntN(len(ids))], at); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	asking.Wait()

	for id, states := range model {
		var all []store.Change
		query := store.HistoryQuery{First: new(3)}
		for {
			page, err := s.customers.History(s.ctx, id, query)
			require.NoError(t, err)
			all = append(all, page.Changes...)
			if !page.HasNext {
				break
			}
			query.After = new(page.Cursor(len(page.Changes) - 1))
		}
		slices.Reverse(all)
		require.Len(t, all, len(states))
		for i, change := range all {
			require.Equal(t, states[i].from, change.At.UTC())
			require.EqualValues(t, i+1, change.Version)
		}
	}
}

// shownFields returns the fields of a customer as JSON, by name.
func shownFields(c store.Customer) map[string]string {
	all := map[string]string{}
	for _, column := range store.ColumnsOf[store.Customer]() {
		if column.Field != "" {
			all[column.Field] = string(column.AppendJSON(nil, &c))
		}
	}
	return all
}

// A customer that is older than the log is known as far back as the log can tell.
func TestPastBeforeTheLog(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.create(t, everyField("a@example.com")).ID
	s.update(t, id, store.Input{"name": "Second"})
	s.exec(t, `DELETE FROM changes`)
	longBefore := s.now(t).Add(-time.Hour)
	s.exec(t, `UPDATE customers SET created_at = $1`, longBefore)
	got, err := s.customers.GetAsOf(s.ctx, id, longBefore)
	require.NoError(t, err)
	require.Equal(t, "Second", *got.Name, "without a later change it is as it is")
	require.EqualValues(t, 2, got.Version)
	s.update(t, id, store.Input{"name": "Third"})
	got, err = s.customers.GetAsOf(s.ctx, id, longBefore)
	require.NoError(t, err)
	require.Equal(t, "Second", *got.Name, "the oldest state that the log can tell")
	_, err = s.customers.GetAsOf(s.ctx, id, longBefore.Add(-time.Millisecond))
	require.Equal(t, store.NotFound, store.AsError(err).Code)
	_, err = s.customers.GetAsOf(s.ctx, id, s.now(t).Add(time.Hour))
	require.Equal(t, store.InvalidInput, store.AsError(err).Code)
}
