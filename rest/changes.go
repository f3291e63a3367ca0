package rest

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"lumen/store"
)

// feed are the parameters of the log of changes.
var feed = func() parameters {
	p := newParameters(map[string]string{"cursor": "after", "type": "types", "customer": "customerId", "first": "limit"},
		"after", "limit", "types", "customerId", "wait")
	p.storeNames = map[string]string{"first": "limit"}
	return p
}()

// objects holds, by the name of the noun, the functions that append the row of a change.
var objects = make(map[string]func([]byte, *store.Change) ([]byte, error))

func (h *handler) listChanges(w http.ResponseWriter, r *http.Request) error {
	var query store.FeedQuery
	err := feed.read(r, func(q queryReader) error {
		query = store.FeedQuery{After: q.text("after"), First: q.integer("limit", store.PageSizeForm), CustomerID: q.text("customerId")}
		if types := q.text("types"); types != nil {
			for name := range strings.SplitSeq(*types, ",") {
				query.Types = append(query.Types, store.ChangeType(name))
			}
		}
		if wait := q.integer("wait", store.WaitForm); wait != nil {
			query.Wait = time.Duration(*wait) * time.Second
		}
		return h.store.Changes.Check(r.Context(), query)
	})
	if err != nil {
		return err
	}
	if query.Wait > 0 {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(query.Wait + batchTimeout))
	}
	page, err := h.store.Changes.Page(r.Context(), query)
	if err != nil {
		return err
	}
	h.waited(r.Context(), page.Waited)
	body := []byte(`{"changes":[`)
	for i := range page.Changes {
		if i > 0 {
			body = append(body, ',')
		}
		if body, err = appendChange(body, &page.Changes[i]); err != nil {
			return store.Failed("fetch changes", err)
		}
	}
	body = append(append(body, `],"nextCursor":"`...), page.Next...)
	body = strconv.AppendBool(append(body, `","hasMore":`...), page.HasMore)
	send(w, http.StatusOK, "application/json", append(body, '}'))
	return nil
}

// appendChange appends a change as JSON, with the row as it was after the change.
func appendChange(to []byte, c *store.Change) (_ []byte, err error) {
	to = appendEvent(to, c, true)
	if object, ok := objects[c.Noun]; ok { // otherwise it is a newer program's
		if to, err = object(append(append(append(to, `,"`...), c.Noun...), `":`...), c); err != nil {
			return nil, err
		}
	}
	return append(c.AppendPrevious(append(to, `,"previous":`...)), '}'), nil
}

// appendEvent appends the beginning of a change: what happened, when, and who did it.
func appendEvent(to []byte, c *store.Change, withCustomer bool) []byte {
	to = strconv.AppendInt(append(to, `{"sequence":`...), c.Sequence, 10)
	to = store.AppendText(append(to, `,"type":`...), string(c.Type))
	to = store.AppendTime(append(to, `,"at":`...), c.At)
	if withCustomer {
		to = appendNullable(append(to, `,"customerId":`...), c.CustomerID)
	}
	to = strconv.AppendInt(append(to, `,"version":`...), c.Version, 10)
	to = store.AppendText(append(to, `,"actor":{"kind":`...), string(c.Actor.Kind))
	to = appendNullable(append(to, `,"id":`...), c.Actor.ID)
	to = appendNullable(append(to, `,"name":`...), c.Actor.Name)
	to = appendNullable(append(to, `},"requestId":`...), c.RequestID)
	return appendNullable(append(to, `,"reason":`...), c.Reason)
}

func appendNullable(to []byte, text *string) []byte {
	if text == nil {
		return append(to, "null"...)
	}
	return store.AppendText(to, *text)
}

// appendObject appends the row of a change.
func (s *service[T]) appendObject(to []byte, c *store.Change) ([]byte, error) {
	row, err := store.RowOf[T](c)
	if err != nil {
		return nil, err
	}
	return s.appendRow(to, row), nil
}

func (s *service[T]) history(h *handler, w http.ResponseWriter, r *http.Request) error {
	if err := s.mayFollow(h, r); err != nil {
		return err
	}
	id := r.PathValue("id")
	var query store.HistoryQuery
	err := s.past.read(r, func(q queryReader) error {
		query = store.HistoryQuery{First: q.integer("limit", store.PageSizeForm), After: q.text("cursor")}
		return s.rows(h.store).CheckHistory(r.Context(), query)
	})
	if err != nil {
		return err
	}
	page, err := s.rows(h.store).History(r.Context(), id, query)
	if err != nil {
		return err
	}
	h.found(r.Context(), s.noun.Name(), id)
	body := []byte(`{"changes":[`)
	for i := range page.Changes {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendPast(body, &page.Changes[i])
	}
	body = append(body, `],"nextCursor":`...)
	if page.HasNext {
		body = store.AppendText(body, page.Cursor(len(page.Changes)-1))
	} else {
		body = append(body, "null"...)
	}
	send(w, http.StatusOK, "application/json", append(body, '}'))
	return nil
}

// appendPast appends a change as JSON, with what it did to each field.
func appendPast(to []byte, c *store.Change) []byte {
	to = append(appendEvent(to, c, false), `,"fields":[`...)
	for _, f := range c.Fields() {
		if f.GraphQLOnly {
			continue
		}
		if to[len(to)-1] != '[' {
			to = append(to, ',')
		}
		to = store.AppendText(append(to, `{"field":`...), f.Name)
		to = append(append(to, `,"from":`...), f.From...)
		to = append(append(append(to, `,"to":`...), f.To...), '}')
	}
	return append(to, "]}"...)
}
