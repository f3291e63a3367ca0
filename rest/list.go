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

// parameterNames holds the names of parameters by the names that the store has for them.
var parameterNames = map[string]string{"first": "limit", "after": "cursor", "updatedAt": "updatedSince"}

// parameters returns the names of the parameters of the list, in the documented order.
func (r resource[T]) parameters() []string {
	return slices.Concat([]string{"limit", "cursor"}, r.filters, []string{"updatedSince", "includeDeleted"})
}

// readQuery reads the parameters of the list. It ignores unknown parameters, except near misses.
// Near misses and known parameters that are repeated, malformed or out of range are reported
// together, in one store.InvalidInput.
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
		q.refuse("cursor", "must be given with limit") // Without limit the list has no pages.
	}
	return query, q.check(rows.Check(ctx, query), s.parameters(), s.nearMisses(q.values))
}

// commitTime is how long a write may take until it is committed. A list does not show writes that
// are uncommitted when it begins, but the times of these writes are earlier. So the next list must
// reach back by this time.
const commitTime = 15 * time.Second

// startTime returns the database's time at the start of a list with updatedSince, and the zero time
// for every other list.
func (s *service[T]) startTime(h *handler, r *http.Request, filter store.Filter) (time.Time, error) {
	if filter["updatedAt"] == nil {
		return time.Time{}, nil
	}
	now, err := h.store.Now(r.Context())
	if err != nil {
		return time.Time{}, store.Failed("fetch "+s.noun.Plural(), err)
	}
	return now, nil
}

// appendSyncedUntil appends syncedUntil to a list with updatedSince: the time from which the client
// continues. If the cursor of the list does not hold the time at which the list began, syncedUntil
// is updatedSince.
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

// queryReader holds the parameters of a query and their faults, by name.
type queryReader struct {
	values map[string][]string
	// plus holds the values that contain a raw "+", with the "+" kept. In values it is a space.
	plus   map[string]string
	faults map[string]store.Fault
}

// parse reads the pairs one by one, so that a malformed unknown parameter does not affect known
// ones.
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

// malformed replaces a value whose percent-encoding is malformed. It is not UTF-8, so it is refused
// like other invalid values.
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

// restorePlus replaces refused values by their variants with a raw "+", which clients forget to
// encode, as in email=a+b@example.com, and clears the faults. It reports whether there are any.
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

// check adds the faults in an error of the store. It returns all faults in the documented order of
// the parameters, followed by the near misses. If the error has another code, it returns that
// error.
func (q queryReader) check(err error, parameters []string, nearMisses []store.Fault) error {
	var invalid *store.Error
	if errors.As(err, &invalid) && invalid.Code != store.InvalidInput {
		return err
	}
	if invalid != nil {
		for _, f := range invalid.Faults {
			name := f.Field
			if parameter, ok := parameterNames[name]; ok {
				name = parameter
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
