package rest

import (
	"bufio"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"lumen/store"
)

// malformed stands for a value that is not percent-encoded text. Like others that are not UTF-8 it is refused.
const malformed = "\xff"

// readQuery reads the list's parameters. Unknown ones are ignored; a known one that is repeated, malformed or out of
// range is InvalidInput, all of them together.
func readQuery(raw string) (store.PageQuery, error) {
	var query store.PageQuery
	var faults []store.Fault
	bad := func(name string) {
		faults = append(faults, store.NewFault(name, store.InvalidFormat))
	}
	values := make(map[string][]string)
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			continue // it is none of the known ones
		}
		if value, err = url.QueryUnescape(value); err != nil {
			value = malformed
		}
		values[name] = append(values[name], value)
	}
	text := func(name string) *string {
		switch given := values[name]; len(given) {
		case 0:
			return nil
		case 1:
			if !utf8.ValidString(given[0]) {
				bad(name)
				return nil
			}
			return &given[0]
		default:
			bad(name)
			return nil
		}
	}

	query.Filter.Email = text("email")
	query.Filter.UserID = text("userId")
	if since := text("updatedSince"); since != nil {
		t, err := time.Parse(time.RFC3339, *since)
		if err != nil {
			bad("updatedSince")
		}
		query.Filter.UpdatedAt.From = &t
	}
	if deleted := text("includeDeleted"); deleted != nil {
		query.Filter.IncludeDeleted = *deleted == "true"
		if *deleted != "true" && *deleted != "false" {
			bad("includeDeleted")
		}
	}
	if limit := text("limit"); limit != nil {
		n, err := strconv.Atoi(*limit)
		if err != nil || n < 1 || n > store.MaxPageSize {
			bad("limit")
		}
		query.First = &n
	}
	query.After = text("cursor")
	if query.After != nil && query.First == nil {
		bad("cursor") // it continues pages, and without a limit there are none
	}
	return query, store.Invalid(faults...)
}

// ownNames are the list's parameters by the names that the store has for them.
var ownNames = map[string]string{"after": "cursor", "updatedAt": "updatedSince"}

// inOwnNames returns err with its faults under the names of the list's parameters.
func inOwnNames(err error) error {
	known := *store.AsError(err)
	for i, f := range known.Faults {
		if name, ok := ownNames[f.Field]; ok {
			known.Faults[i] = store.NewFault(name, f.Reason)
		}
	}
	return &known
}

type page struct {
	Customers  []customer `json:"customers"`
	NextCursor *string    `json:"nextCursor"`
}

func onWirePage(p *store.Page) page {
	wire := page{Customers: make([]customer, len(p.Customers))}
	for i := range p.Customers {
		wire.Customers[i] = onWire(&p.Customers[i])
	}
	if p.HasNext {
		next := p.Cursor(len(p.Customers) - 1)
		wire.NextCursor = &next
	}
	return wire
}

// batchTime is how long a client may take to receive one batch of a streamed list.
const batchTime = 30 * time.Second

// streamCustomers answers with the whole list, a batch in memory at a time. When a batch fails after the first byte
// the connection is aborted: a client must never take half a list for the whole.
func (h *handler) streamCustomers(w http.ResponseWriter, r *http.Request, filter store.CustomerFilter) error {
	out := bufio.NewWriterSize(w, 32<<10)
	connection := http.NewResponseController(w)
	started := false
	for batch, err := range h.customers.All(r.Context(), filter) {
		if err != nil && !started {
			return inOwnNames(err)
		}
		if err != nil {
			h.log.ErrorContext(r.Context(), "list aborted", "error", err)
			panic(http.ErrAbortHandler)
		}
		if !started {
			w.Header().Set("Content-Type", "application/json")
			_, _ = out.WriteString(`{"customers":[`)
		}
		// The list may take as long as it takes, but no batch of it.
		_ = connection.SetWriteDeadline(time.Now().Add(batchTime))
		for i := range batch {
			if started || i > 0 {
				_ = out.WriteByte(',')
			}
			if err := json.MarshalWrite(out, onWire(&batch[i])); err != nil {
				panic(http.ErrAbortHandler) // the client left
			}
		}
		started = true
	}
	_, _ = out.WriteString(`]}`)
	if err := out.Flush(); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
