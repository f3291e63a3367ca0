package rest

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lumen/store"
)

// parameters are the names of the list's parameters, in the documented order.
var parameters = []string{"limit", "cursor", "email", "userId", "updatedSince", "includeDeleted"}

// ownNames are those that the store knows by other names.
var ownNames = map[string]string{"first": "limit", "after": "cursor", "updatedAt": "updatedSince"}

// readQuery reads the list's parameters. Unknown ones are ignored; known ones that are repeated, malformed or out of range
// are InvalidInput, all of them together.
func readQuery(r *http.Request) (store.PageQuery, error) {
	q := queryReader{values: make(map[string][]string), faults: make(map[string]store.Fault)}
	q.parse(r.URL.RawQuery)

	var query store.PageQuery
	query.Filter.Email = q.text("email")
	query.Filter.UserID = q.text("userId")
	if since := q.text("updatedSince"); since != nil {
		if t, ok := store.ParseTime(*since); ok {
			query.Filter.UpdatedAt.From = &t
		} else {
			q.refuse("updatedSince")
		}
	}
	if deleted := q.text("includeDeleted"); deleted != nil {
		query.Filter.IncludeDeleted = *deleted == "true"
		if *deleted != "true" && *deleted != "false" {
			q.refuse("includeDeleted")
		}
	}
	if limit := q.text("limit"); limit != nil {
		n, err := strconv.Atoi(*limit)
		if err != nil || strconv.Itoa(n) != *limit {
			q.refuse("limit")
		} else {
			query.First = &n
		}
	}
	query.After = q.text("cursor")
	if query.After != nil && q.values["limit"] == nil {
		q.refuse("cursor") // it continues pages, and without a limit there are none
	}
	return query, q.check(query.Check(r.Context()))
}

// queryReader collects the parameters and what is wrong with them, by name.
type queryReader struct {
	values map[string][]string
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
	if len(given) > 1 || !utf8.ValidString(given[0]) {
		q.refuse(name)
		return nil
	}
	return &given[0]
}

func (q queryReader) refuse(name string) {
	q.faults[name] = store.NewFault(name, store.InvalidFormat)
}

// check adds what the store finds and returns all faults in the documented order, or another error of the store's.
func (q queryReader) check(err error) error {
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
			q.faults[name] = store.NewFault(name, f.Reason)
		}
	}
	var faults []store.Fault
	for _, name := range parameters {
		if f, ok := q.faults[name]; ok {
			faults = append(faults, f)
		}
	}
	return store.Invalid(faults...)
}

// appendPage appends a page as it is on the wire.
func appendPage(to []byte, p *store.Page) []byte {
	to = appendCustomers(append(to, `{"customers":[`...), p.Customers)
	to = append(to, `],"nextCursor":`...)
	if p.HasNext {
		to = appendText(to, p.Cursor(len(p.Customers)-1))
	} else {
		to = append(to, "null"...)
	}
	return append(to, '}')
}

// appendCustomers appends customers with commas between them.
func appendCustomers(to []byte, customers []store.Customer) []byte {
	for i := range customers {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendCustomer(to, &customers[i])
	}
	return to
}

// batchTime is how long a client may take to receive one batch of a streamed list.
const batchTime = 30 * time.Second

// streamCustomers answers with the whole list, two batches in memory at a time. When a batch fails after the first byte,
// or the credential has ended, the connection is aborted: a client must never take half a list for the whole.
func (h *handler) streamCustomers(w http.ResponseWriter, r *http.Request, filter store.CustomerFilter) error {
	connection := http.NewResponseController(w)
	started := false
	text := []byte(`{"customers":[`)
	for batch, err := range h.customers.All(r.Context(), filter) {
		if err != nil && !started {
			return err
		}
		if err != nil {
			code := store.AsError(err).Code
			h.note(r.Context(), "", code)
			if code != store.Unauthenticated { // a credential that ended is no fault of ours
				h.Log.ErrorContext(r.Context(), "list aborted", "error", err)
			}
			panic(http.ErrAbortHandler)
		}
		if !started {
			w.Header().Set("Content-Type", "application/json")
		} else if len(batch) > 0 {
			text = append(text, ',')
		}
		started = true
		// The list may take as long as it takes, but no batch of it.
		_ = connection.SetWriteDeadline(time.Now().Add(batchTime))
		text = appendCustomers(text, batch)
		if _, err := w.Write(text); err != nil {
			panic(http.ErrAbortHandler) // the client left
		}
		text = text[:0]
	}
	if _, err := w.Write(append(text, "]}"...)); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
