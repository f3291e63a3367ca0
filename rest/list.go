package rest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lumen/store"
)

// ownNames are the parameters that the store knows by other names.
var ownNames = map[string]string{"first": "limit", "after": "cursor", "updatedAt": "updatedSince"}

// parameters are the names of the list's parameters, in the documented order.
func (r resource[T]) parameters() []string {
	return slices.Concat([]string{"limit", "cursor"}, r.filters, []string{"updatedSince", "includeDeleted"})
}

// readQuery reads the list's parameters. Unknown ones are ignored, but for near misses. Those, and
// known ones that are repeated, malformed or out of range, are InvalidInput, all of them together.
func (s *service[T]) readQuery(r *http.Request, rows rows[T]) (store.PageQuery, error) {
	q := queryReader{
		values: make(map[string][]string), plus: make(map[string]string), faults: make(map[string]store.Fault),
	}
	q.parse(r.URL.RawQuery)
	query, err := s.readParameters(r.Context(), q, rows)
	if err != nil && q.restorePlus() {
		return s.readParameters(r.Context(), q, rows)
	}
	return query, err
}

func (s *service[T]) readParameters(ctx context.Context, q queryReader, rows rows[T]) (store.PageQuery, error) {
	query := store.PageQuery{Filter: make(store.Filter)}
	for _, name := range s.filters {
		if text := q.text(name); text != nil {
			query.Filter[name] = *text
		}
	}
	if since := q.text("updatedSince"); since != nil {
		if t, ok := store.ParseTime(*since); ok {
			query.Filter["updatedAt"] = store.TimeRange{From: &t}
		} else {
			q.refuse("updatedSince", store.TimeForm)
		}
	}
	if deleted := q.text("includeDeleted"); deleted != nil {
		query.Filter["includeDeleted"] = *deleted == "true"
		if *deleted != "true" && *deleted != "false" {
			q.refuse("includeDeleted", "must be true or false")
		}
	}
	if limit := q.text("limit"); limit != nil {
		n, err := strconv.Atoi(*limit)
		if err != nil || strconv.Itoa(n) != *limit {
			q.refuse("limit", store.PageSizeForm)
		} else {
			query.First = &n
		}
	}
	query.After = q.text("cursor")
	if query.After != nil && q.values["limit"] == nil {
		q.refuse("cursor", "must be given with limit") // without one there are no pages to continue
	}
	return query, q.check(rows.Check(ctx, query), s.parameters(), s.nearMisses(q.values))
}

// commitTime is how long a write may take to its commit. A list does not show the writes that are not
// committed when it begins, and their times are earlier.
const commitTime = 15 * time.Second

// began returns the time at which a list begins that is asked for what changed since another time, and
// zero for every other list.
func (s *service[T]) began(h *handler, r *http.Request, filter store.Filter) (time.Time, error) {
	if filter["updatedAt"] == nil {
		return time.Time{}, nil
	}
	now, err := h.store.Now(r.Context())
	if err != nil {
		return time.Time{}, store.Failed("fetch "+s.noun.Plural(), err)
	}
	return now, nil
}

// appendSyncedUntil appends the time from which a client goes on, to a list of what changed since another.
// A list whose cursors do not say when it began gets no further than it was.
func appendSyncedUntil(to []byte, filter store.Filter, began time.Time) []byte {
	since, ok := filter["updatedAt"].(store.TimeRange)
	if !ok {
		return to
	}
	until := *since.From
	if !began.IsZero() {
		until = began.Add(-commitTime)
	}
	return store.AppendTime(append(to, `,"syncedUntil":`...), until)
}

// queryReader collects the parameters and what is wrong with them, by name.
type queryReader struct {
	values map[string][]string
	// plus are the values with each raw "+" left as it is, where it stands for a space in values.
	plus   map[string]string
	faults map[string]store.Fault
}

// parse reads the pairs one by one: what is wrong with an unknown one must not spoil the known.
func (q queryReader) parse(raw string) {
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			continue
		}
		if plus, err := url.PathUnescape(value); err == nil && strings.Contains(value, "+") {
			q.plus[name] = plus
		}
		if value, err = url.QueryUnescape(value); err != nil {
			value = malformed
		}
		q.values[name] = append(q.values[name], value)
	}
}

// malformed stands for a value that is not percent-encoded text. Like others that are not UTF-8 it is refused.
const malformed = "\xff"

func (q queryReader) text(name string) *string {
	given := q.values[name]
	if len(given) == 0 {
		return nil
	}
	switch {
	case len(given) > 1:
		q.refuse(name, "must be given once")
	case !utf8.ValidString(given[0]):
		q.refuse(name, "must be percent-encoded UTF-8")
	default:
		return &given[0]
	}
	return nil
}

func (q queryReader) refuse(name, form string) {
	q.faults[name] = store.NewFault(name, store.InvalidFormat, form)
}

// restorePlus prepares a second reading, in which refused values hold the "+" that clients forgot
// to encode, as in email=a+b@example.com. It reports whether there are any.
func (q queryReader) restorePlus() bool {
	restored := false
	for name := range q.faults {
		if value, ok := q.plus[name]; ok && len(q.values[name]) == 1 {
			q.values[name], restored = []string{value}, true
		}
	}
	clear(q.faults)
	return restored
}

// check adds what the store finds and returns all faults in the documented order, then the near
// misses, or another error of the store's.
func (q queryReader) check(err error, parameters []string, nearMisses []store.Fault) error {
	var invalid *store.Error
	if errors.As(err, &invalid) && invalid.Code != store.InvalidInput {
		return err
	}
	if invalid != nil {
		for _, f := range invalid.Faults {
			name := f.Field
			if own, ok := ownNames[name]; ok {
				name = own
			}
			q.faults[name] = f.Rename(name)
		}
	}
	var faults []store.Fault
	for _, name := range parameters {
		if f, ok := q.faults[name]; ok {
			faults = append(faults, f)
		}
	}
	return store.Invalid(append(faults, nearMisses...)...)
}
