package store

import (
	"context"
	"maps"
	"strings"
	"sync"

	"lumen/store/wall"
)

// Rows reads and writes the rows of one noun. Each method works for the merchant whose credential
// the context carries (I1), and returns Unauthenticated without one. A bound caller, whose access
// token is bound to one customer, sees only rows that the customer owns. All errors are of the type
// *Error.
type Rows[T any] struct {
	noun  *noun[T]
	scope scope

	// Bun builds these statements once. $1 is the merchant, $2 the owner that the caller is bound
	// to or "", $3 the id or the ids. The rest of a deletion's are those of an update.
	getText, getManyText, deleteText string
	history                          historyTexts
	writes                           sync.Map // write by writeKey
}

func newRows[T any](n *noun[T], s *Store) *Rows[T] {
	db := s.walled
	r := &Rows[T]{noun: n, scope: scope{db, s.gate, s.waker, n.trace()}}
	live := func(id string) string {
		return db.NewSelect().Model((*T)(nil)).Column(n.columnNames()...).Where(n.scoped("c")).
			Where("c.deleted_at IS NULL").Where("c.id " + id).String()
	}
	r.getText, r.getManyText = live("= $3"), live("= ANY($3)")
	r.deleteText = r.changing(r.updating().
		Set("(deleted_at, updated_at, version) = (SELECT t.now, t.now, c.version + 1 "+
			"FROM (SELECT GREATEST(c.updated_at, "+sqlNow+") AS now) AS t)"), deleted, []string{"updated_at", "deleted_at"})
	r.history = r.historyTexts()
	return r
}

// Authorize returns Unauthenticated without a credential, and Forbidden if the credential does not
// allow the operation. Every operation calls it. An API may call it before it reads a body.
func (r *Rows[T]) Authorize(ctx context.Context, operation Operation) error {
	credential, ok := CredentialFrom(ctx)
	switch {
	case !ok:
		return NewError(Unauthenticated)
	case credential.isBound() && !r.noun.BoundMay(operation), operation.writes() && credential.Access != WriteAccess:
		return NewError(Forbidden)
	}
	return nil
}

// Get returns the live row with this id that belongs to the merchant in ctx (I1). If the row is
// absent, deleted or another merchant's, Get returns the same NotFound. A malformed id is
// InvalidID.
func (r *Rows[T]) Get(ctx context.Context, id string) (*T, error) {
	if err := r.noun.checkID(id); err != nil {
		return nil, err
	}
	row, err := r.one(ctx, reads, r.getText, id)
	if err != nil {
		return nil, Failed("fetch "+r.noun.name, err)
	}
	if row == nil {
		return nil, r.noun.NewError(NotFound)
	}
	return row, nil
}

// GetMany returns, by id, the rows that Get would return, with one statement for all ids. Malformed
// ids match no row.
func (r *Rows[T]) GetMany(ctx context.Context, ids []string) (map[string]*T, error) {
	text, arg, object := r.getManyText, any(ids), r.noun.plural
	if len(ids) == 1 { // because Postgres plans an array of one id each time
		text, arg, object = r.getText, ids[0], r.noun.name
	}
	rows, err := r.run(ctx, reads, text, arg)
	if err != nil {
		return nil, Failed("fetch "+object, err)
	}
	found := make(map[string]*T, len(rows))
	for i := range rows {
		found[r.noun.idOf(&rows[i])] = &rows[i]
	}
	return found, nil
}

// Create adds a row and returns it after the commit (I4). It returns InvalidInput if the input is
// invalid, and Forbidden if the credential may not create.
func (r *Rows[T]) Create(ctx context.Context, in Input, options WriteOptions) (*T, error) {
	if err := r.Authorize(ctx, ToCreate); err != nil {
		return nil, err
	}
	v, err := r.noun.normalize(in, true)
	if err := options.judge(ctx, err); err != nil {
		return nil, Failed("create "+r.noun.name, err)
	}
	created, err := r.insert(ctx, v, options, nil)
	if err == nil && created == nil {
		err = r.noun.NewError(Forbidden) // the caller is bound to another owner than the row's
	}
	if err != nil {
		return nil, Failed("create "+r.noun.name, err)
	}
	return created, nil
}

// Update changes the fields that are in the input and keeps the rest. UpdatedAt and the version
// change only if a stored value changes. Update returns the errors of Get for the id, those of Create
// for the input, and VersionConflict if the row has none of the expected versions.
func (r *Rows[T]) Update(ctx context.Context, id string, in Input, options WriteOptions) (*T, error) {
	if err := r.authorizeID(ctx, ToUpdate, id); err != nil {
		return nil, err
	}
	v, err := r.normalizeUpdate(ctx, id, in, r.noun.normalize)
	if err := options.judge(ctx, err); err != nil {
		return nil, Failed("update "+r.noun.name, err)
	}
	updated, err := r.update(ctx, id, v, options, nil)
	if err != nil {
		return nil, Failed("update "+r.noun.name, err)
	}
	return updated, nil
}

// normalizeUpdate normalizes the input of an update of the row with this id. A caller may send back
// a stored text that an earlier release accepted and this one refuses. The update then leaves the
// field alone, and so keeps what another writer stores in it meanwhile.
func (r *Rows[T]) normalizeUpdate(
	ctx context.Context, id string, in Input, normalize func(Input, bool) (values, error),
) (values, error) {
	v, refused := normalize(in, false)
	if refused == nil || AsError(refused).Code != InvalidInput {
		return v, refused
	}
	row, err := r.Get(ctx, id)
	if err != nil {
		if code := AsError(err).Code; code == Internal || code == Unavailable || code == RateLimited {
			return nil, err
		}
		return nil, refused
	}
	changed := maps.Clone(in)
	for _, fault := range AsError(refused).Faults {
		if text, ok := in[fault.Field].(string); ok && r.noun.holds(row, fault.Field, strings.TrimSpace(text)) {
			delete(changed, fault.Field)
		}
	}
	if len(changed) == len(in) {
		return nil, refused
	}
	return normalize(changed, false)
}

// Delete marks the row as deleted (I3) and returns it. It returns the errors of Get, so a second
// Delete returns NotFound, and VersionConflict if the row has none of the expected versions.
func (r *Rows[T]) Delete(ctx context.Context, id string, options WriteOptions) (*T, error) {
	if err := r.authorizeID(ctx, ToDelete, id); err != nil {
		return nil, err
	}
	if err := options.judge(ctx, nil); err != nil {
		return nil, err
	}
	deleted, err := r.softDelete(ctx, id, options)
	if err != nil {
		return nil, Failed("delete "+r.noun.name, err)
	}
	return deleted, nil
}

// authorizeID authorizes an operation on the row with this id.
func (r *Rows[T]) authorizeID(ctx context.Context, operation Operation, id string) error {
	if err := r.Authorize(ctx, operation); err != nil {
		return err
	}
	return r.noun.checkID(id)
}

// run executes a statement that was built once and returns its rows. args are its arguments from $3
// on.
func (r *Rows[T]) run(ctx context.Context, effect effect, text string, args ...any) ([]T, error) {
	var rows []T
	err := r.scope.run(ctx, effect, text, args, func(row *wall.Row) { rows = r.noun.appendRow(rows, row) })
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// one is run for a statement that returns at most one row. It returns nil if there is none.
func (r *Rows[T]) one(ctx context.Context, effect effect, text string, args ...any) (*T, error) {
	rows, err := r.run(ctx, effect, text, args...)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// appendRow appends the T that the next columns of row hold.
func (n *noun[T]) appendRow(to []T, row *wall.Row) []T {
	var none T
	to = append(to, none)
	for i := range n.columns {
		n.columns[i].scan(row, &to[len(to)-1])
	}
	return to
}
