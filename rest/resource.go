package rest

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"time"

	"lumen/store"
)

// resource describes the routes of one noun.
type resource[T any] struct {
	path string
	// filters are the parameters of the list that are filters of the noun with the same name.
	filters []string
	// misnomers maps parameters of other APIs to the parameters that messages suggest instead.
	misnomers map[string]string
	// rows returns the noun's own rules; nil for store.RowsOf.
	rows func(*store.Store) rows[T]
}

// rows is the part of a noun that a resource needs: store.Rows, or a type with the noun's own
// rules.
type rows[T any] interface {
	Authorize(context.Context, store.Operation) error
	Check(context.Context, store.PageQuery) error
	Get(ctx context.Context, id string) (*T, error)
	GetAsOf(ctx context.Context, id string, at time.Time) (*T, error)
	History(ctx context.Context, id string, query store.HistoryQuery) (*store.HistoryPage, error)
	CheckHistory(ctx context.Context, query store.HistoryQuery) error
	List(context.Context, store.PageQuery) (*store.Page[T], error)
	All(context.Context, store.Filter) iter.Seq2[[]T, error]
	Create(context.Context, store.Input, store.WriteOptions) (*T, error)
	Update(ctx context.Context, id string, in store.Input, options store.WriteOptions) (*T, error)
	Delete(ctx context.Context, id string, options store.WriteOptions) (*T, error)
}

// service answers the requests of a resource.
type service[T any] struct {
	resource[T]
	noun   store.Noun
	fields []field[T]

	list, one, past parameters // of the list, of one row and of its history
}

// field writes one member of a T.
type field[T any] struct {
	key    string // with quotes and colon, and with the comma or brace before it
	append func([]byte, *T) []byte
}

func (r resource[T]) service() *service[T] {
	if r.rows == nil {
		r.rows = func(s *store.Store) rows[T] { return store.RowsOf[T](s) }
	}
	s := &service[T]{resource: r, noun: store.NounOf[T](), list: r.listParameters(), one: newParameters(nil, "asOf")}
	s.past = newParameters(map[string]string{"after": "cursor", "startingAfter": "cursor", "first": "limit"}, "limit", "cursor")
	s.past.storeNames = s.list.storeNames
	before := "{"
	for _, c := range store.ColumnsOf[T]() {
		if c.Field != "" && !c.GraphQLOnly {
			s.fields = append(s.fields, field[T]{before + `"` + c.Field + `":`, c.AppendJSON})
			before = ","
		}
	}
	return s
}

// routes returns the routes of the noun. Their operations have names such as "createCustomer".
func (s *service[T]) routes() []route {
	title := func(name string) string { return strings.ToUpper(name[:1]) + name[1:] }
	one, all := title(s.noun.Name()), title(s.noun.Plural())
	each := s.path + "/{id}"
	return []route{
		{Route{http.MethodGet, s.path, "list" + all}, s.listRows},
		{Route{http.MethodPost, s.path, "create" + one}, s.create},
		{Route{http.MethodGet, each, "get" + one}, s.get},
		{Route{http.MethodPost, each, "update" + one}, s.update},
		{Route{http.MethodPatch, each, "update" + one}, s.update},
		{Route{http.MethodDelete, each, "delete" + one}, s.delete},
		{Route{http.MethodGet, each + "/history", "list" + one + "History"}, s.history},
	}
}

func (s *service[T]) listRows(h *handler, w http.ResponseWriter, r *http.Request) error {
	query, err := s.readQuery(r, s.rows(h.store))
	switch {
	case err != nil:
		return err
	case r.Method == http.MethodHead:
		w.Header().Set("Content-Type", "application/json")
		return nil
	case query.First == nil:
		return s.stream(h, w, r, query.Filter)
	}
	if query.After == nil {
		if query.Began, err = s.startTime(h, r, query.Filter); err != nil {
			return err
		}
	}
	page, err := s.rows(h.store).List(r.Context(), query)
	if err != nil {
		return err
	}
	body := s.appendPage(nil, page)
	send(w, http.StatusOK, "application/json", append(appendSyncedUntil(body, query.Filter, page.Began), '}'))
	return nil
}

func (s *service[T]) get(h *handler, w http.ResponseWriter, r *http.Request) error {
	row, err := s.read(h, r)
	if err == nil && notModified(r, store.VersionOf(row)) {
		h.found(r.Context(), s.noun.Name(), store.IDOf(row))
		w.Header().Set("ETag", store.ETag(store.VersionOf(row)))
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return s.write(h, w, r, http.StatusOK)(row, err)
}

// read returns the row that a request asks for, as it is or as it was.
func (s *service[T]) read(h *handler, r *http.Request) (*T, error) {
	rows, id := s.rows(h.store), r.PathValue("id")
	var at *time.Time
	invalid := s.one.read(r, func(q queryReader) error { at = q.time("asOf"); return nil })
	if invalid == nil && at == nil {
		return rows.Get(r.Context(), id)
	}
	if err := s.mayFollow(h, r); err != nil {
		return nil, err
	}
	if invalid != nil {
		return nil, invalid
	}
	return rows.GetAsOf(r.Context(), id, *at)
}

// mayFollow returns the error of a request for the past of a row whose credential or id is refused.
func (s *service[T]) mayFollow(h *handler, r *http.Request) error {
	if err := s.rows(h.store).Authorize(r.Context(), store.ToFollow); err != nil {
		return err
	}
	if !s.noun.IsID(r.PathValue("id")) {
		return s.noun.NewError(store.InvalidID)
	}
	return nil
}

func (s *service[T]) create(h *handler, w http.ResponseWriter, r *http.Request) error {
	if err := s.rows(h.store).Authorize(r.Context(), store.ToCreate); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	var receipt store.Receipt
	created, err := s.rows(h.store).Create(r.Context(), readInput(body, s.noun), store.WriteOptions{Receipt: &receipt})
	confirm(w, receipt)
	return s.write(h, w, r, http.StatusCreated)(created, err)
}

func (s *service[T]) update(h *handler, w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if err := s.rows(h.store).Authorize(r.Context(), store.ToUpdate); err != nil {
		return err
	}
	if !s.noun.IsID(id) {
		return s.noun.NewError(store.InvalidID)
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	var receipt store.Receipt
	updated, err := s.rows(h.store).Update(r.Context(), id, readInput(body, s.noun), conditions(r, &receipt))
	confirm(w, receipt)
	return s.write(h, w, r, http.StatusOK)(updated, err)
}

func (s *service[T]) delete(h *handler, w http.ResponseWriter, r *http.Request) error {
	var receipt store.Receipt
	row, err := s.rows(h.store).Delete(r.Context(), r.PathValue("id"), conditions(r, &receipt))
	if err != nil {
		return err
	}
	confirm(w, receipt)
	h.found(r.Context(), s.noun.Name(), store.IDOf(row))
	send(w, http.StatusOK, "application/json", []byte(`{"success":true}`))
	return nil
}

// write returns a function that answers with one row, or returns the error.
func (s *service[T]) write(h *handler, w http.ResponseWriter, r *http.Request, status int) func(*T, error) error {
	return func(row *T, err error) error {
		if err != nil {
			return err
		}
		id := store.IDOf(row)
		h.found(r.Context(), s.noun.Name(), id)
		body := s.appendRow([]byte(`{"`+s.noun.Name()+`":`), row)
		w.Header().Set("ETag", store.ETag(store.VersionOf(row)))
		if status == http.StatusCreated {
			w.Header().Set("Location", h.BasePath+s.path+"/"+id)
		}
		send(w, status, "application/json", append(body, '}'))
		return nil
	}
}

// appendRow appends a row as JSON, with the documented fields in the documented order. It allocates
// only the text, because lists can have hundreds of thousands of rows.
func (s *service[T]) appendRow(to []byte, row *T) []byte {
	for _, f := range s.fields {
		to = f.append(append(to, f.key...), row)
	}
	return append(to, '}')
}

// appendRows appends rows with commas between them.
func (s *service[T]) appendRows(to []byte, rows []T) []byte {
	for i := range rows {
		if i > 0 {
			to = append(to, ',')
		}
		to = s.appendRow(to, &rows[i])
	}
	return to
}

// appendPage appends a page as JSON, without the closing brace.
func (s *service[T]) appendPage(to []byte, p *store.Page[T]) []byte {
	to = s.appendRows(append(to, `{"`+s.noun.Plural()+`":[`...), p.Items)
	to = append(to, `],"nextCursor":`...)
	if p.HasNext {
		to = append(append(append(to, '"'), p.Cursor(len(p.Items)-1)...), '"') // base64url needs no escapes
	} else {
		to = append(to, "null"...)
	}
	return to
}

// batchTimeout is how long a client may take to receive one batch of a streamed list.
const batchTimeout = 30 * time.Second

// stream writes the whole list. At most two batches are in memory at a time. If a batch fails after
// the first byte was sent, or the credential ends, stream aborts the connection, so that the client
// cannot take a part of the list for the whole list.
func (s *service[T]) stream(h *handler, w http.ResponseWriter, r *http.Request, filter store.Filter) error {
	connection := http.NewResponseController(w)
	started := false
	began, err := s.startTime(h, r, filter)
	if err != nil {
		return err
	}
	text := []byte(`{"` + s.noun.Plural() + `":[`)
	for batch, err := range s.rows(h.store).All(r.Context(), filter) {
		if err != nil && !started {
			return err
		}
		if err != nil {
			code := store.AsError(err).Code
			h.annotate(r.Context(), "", code)
			if code != store.Unauthenticated { // The end of a credential is not a fault of the server.
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
		// The time of the list is unlimited. Only the time of each batch is limited.
		_ = connection.SetWriteDeadline(time.Now().Add(batchTimeout))
		text = s.appendRows(text, batch)
		if _, err := w.Write(text); err != nil {
			panic(http.ErrAbortHandler) // The client disconnected.
		}
		text = text[:0]
	}
	text = append(appendSyncedUntil(append(text, ']'), filter, began), '}')
	if _, err := w.Write(text); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
