package rest

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"time"

	"lumen/store"
)

// resource is the routes of one noun.
type resource[T any] struct {
	path string
	// filters are the parameters of the list that are filters of the noun under the same name.
	filters []string
	// misnomers are parameters of other APIs, and what messages name instead.
	misnomers map[string]string
	// rows are a noun's own rules; nil for store.RowsOf.
	rows func(*store.Store) rows[T]
}

// rows is what a resource needs of a noun: store.Rows, or a noun's own rules around them.
type rows[T any] interface {
	Authorize(context.Context, store.Operation) error
	Check(context.Context, store.PageQuery) error
	Get(ctx context.Context, id string) (*T, error)
	List(context.Context, store.PageQuery) (*store.Page[T], error)
	All(context.Context, store.Filter) iter.Seq2[[]T, error]
	Create(context.Context, store.Input) (*T, error)
	Update(ctx context.Context, id string, in store.Input) (*T, error)
	Delete(ctx context.Context, id string) (*T, error)
}

// service answers the requests of a resource.
type service[T any] struct {
	resource[T]
	noun   store.Noun
	fields []field[T]
	meant  map[string]string // see meanings
}

// field writes one member of a T.
type field[T any] struct {
	key    string // with its quotes, its colon and the comma or brace before it
	append func([]byte, *T) []byte
}

func (r resource[T]) service() *service[T] {
	if r.rows == nil {
		r.rows = func(s *store.Store) rows[T] { return store.RowsOf[T](s) }
	}
	s := &service[T]{resource: r, noun: store.NounOf[T](), meant: r.meanings()}
	before := "{"
	for _, c := range store.ColumnsOf[T]() {
		if c.Field != "" && !c.GraphQLOnly {
			s.fields = append(s.fields, field[T]{before + `"` + c.Field + `":`, c.AppendJSON})
			before = ","
		}
	}
	return s
}

// routes returns the routes of the noun, whose operations are named after it.
func (s *service[T]) routes() []route {
	title := func(name string) string { return strings.ToUpper(name[:1]) + name[1:] }
	one, all := title(s.noun.Name()), title(s.noun.Plural())
	each := s.path + "/{id}"
	return []route{
		{Route{http.MethodGet, s.path, "list" + all}, s.list},
		{Route{http.MethodPost, s.path, "create" + one}, s.create},
		{Route{http.MethodGet, each, "get" + one}, s.get},
		{Route{http.MethodPost, each, "update" + one}, s.update},
		{Route{http.MethodPatch, each, "update" + one}, s.update},
		{Route{http.MethodDelete, each, "delete" + one}, s.delete},
	}
}

func (s *service[T]) list(h *handler, w http.ResponseWriter, r *http.Request) error {
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
		if query.Began, err = s.began(h, r, query.Filter); err != nil {
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
	return s.write(h, w, http.StatusOK)(s.rows(h.store).Get(r.Context(), r.PathValue("id")))
}

func (s *service[T]) create(h *handler, w http.ResponseWriter, r *http.Request) error {
	if err := s.rows(h.store).Authorize(r.Context(), store.ToCreate); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	return s.write(h, w, http.StatusCreated)(s.rows(h.store).Create(r.Context(), readInput(body, s.noun)))
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
	return s.write(h, w, http.StatusOK)(s.rows(h.store).Update(r.Context(), id, readInput(body, s.noun)))
}

func (s *service[T]) delete(h *handler, w http.ResponseWriter, r *http.Request) error {
	if _, err := s.rows(h.store).Delete(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	send(w, http.StatusOK, "application/json", []byte(`{"success":true}`))
	return nil
}

// write returns a function that answers with one row, or returns the error.
func (s *service[T]) write(h *handler, w http.ResponseWriter, status int) func(*T, error) error {
	return func(row *T, err error) error {
		if err != nil {
			return err
		}
		body := s.appendRow([]byte(`{"`+s.noun.Name()+`":`), row)
		if status == http.StatusCreated {
			w.Header().Set("Location", h.BasePath+s.path+"/"+store.IDOf(row))
		}
		send(w, status, "application/json", append(body, '}'))
		return nil
	}
}

// appendRow appends a row as it is on the wire: the documented fields in the documented order. Lists have
// hundreds of thousands of them, so nothing is allocated for one but its text.
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

// appendPage appends a page as it is on the wire, without the brace that ends it.
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

// batchTime is how long a client may take to receive one batch of a streamed list.
const batchTime = 30 * time.Second

// stream answers with the whole list, two batches in memory at a time. When a batch fails after the first
// byte, or the credential has ended, the connection is aborted: a client must never take half a list for
// the whole.
func (s *service[T]) stream(h *handler, w http.ResponseWriter, r *http.Request, filter store.Filter) error {
	connection := http.NewResponseController(w)
	started := false
	began, err := s.began(h, r, filter)
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
		text = s.appendRows(text, batch)
		if _, err := w.Write(text); err != nil {
			panic(http.ErrAbortHandler) // the client left
		}
		text = text[:0]
	}
	text = append(appendSyncedUntil(append(text, ']'), filter, began), '}')
	if _, err := w.Write(text); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
