package rest

import (
	"net/http"
	"slices"
	"time"

	"lumen/store"
)

// listParameters returns the parameters of the list.
func (r resource[T]) listParameters() parameters {
	names := slices.Concat([]string{"limit", "cursor"}, r.filters, []string{"updatedSince", "includeDeleted"})
	p := newParameters(r.misnomers, names...)
	p.storeNames = map[string]string{"first": "limit", "after": "cursor", "updatedAt": "updatedSince"}
	return p
}

// readQuery reads the parameters of the list.
func (s *service[T]) readQuery(r *http.Request, rows rows[T]) (query store.PageQuery, err error) {
	err = s.list.read(r, func(q queryReader) error {
		query = s.pageQuery(q)
		return rows.Check(r.Context(), query)
	})
	return query, err
}

func (s *service[T]) pageQuery(q queryReader) store.PageQuery {
	query := store.PageQuery{Filter: make(store.Filter)}
	for _, name := range s.filters {
		if text := q.text(name); text != nil {
			query.Filter[name] = *text
		}
	}
	if since := q.time("updatedSince"); since != nil {
		query.Filter["updatedAt"] = store.TimeRange{From: since}
	}
	if deleted := q.text("includeDeleted"); deleted != nil {
		query.Filter["includeDeleted"] = *deleted == "true"
		if *deleted != "true" && *deleted != "false" {
			q.refuse("includeDeleted", "must be true or false")
		}
	}
	query.First, query.After = q.integer("limit", store.PageSizeForm), q.text("cursor")
	if query.After != nil && q.values["limit"] == nil {
		q.refuse("cursor", "must be given with limit") // Without limit the list has no pages.
	}
	return query
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
