package owner

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"lumen/store"
	"lumen/store/folding"
)

// Merchants manages merchants for the operator. It uses the owner's connection. No API reaches it.
type Merchants struct{ db *bun.DB }

// maxNameLength is the maximum length of a merchant's or a key's name, in code points.
const maxNameLength = 255

func checkName(name string) (string, error) {
	if name = strings.TrimSpace(name); folding.IsBlank(name) {
		return "", nil
	}
	if utf8.RuneCountInString(name) > maxNameLength || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fmt.Errorf("a name has at most %d characters and no control characters", maxNameLength)
	}
	return name, nil
}

// Create adds a merchant. Several merchants may have the same name.
func (m *Merchants) Create(ctx context.Context, name string) (store.Merchant, error) {
	name, err := checkName(name)
	if err != nil {
		return store.Merchant{}, err
	}
	if name == "" {
		return store.Merchant{}, fmt.Errorf("a merchant needs a name")
	}
	id, err := store.NewID(store.MerchantPrefix)
	if err != nil {
		return store.Merchant{}, err
	}
	merchant := store.Merchant{ID: id, Name: name}
	err = m.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&merchant).Column("id", "name").Returning("*").Exec(ctx)
		if err == nil {
			_, err = tx.ExecContext(ctx, "SELECT lumen_make_head(?)", id)
		}
		return err
	})
	if err != nil {
		return store.Merchant{}, fmt.Errorf("create merchant: %w", err)
	}
	return merchant, nil
}

// List returns all merchants, oldest first.
func (m *Merchants) List(ctx context.Context) ([]store.Merchant, error) {
	return m.list(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return q })
}

// Namesakes returns the other merchants with the same name, oldest first.
func (m *Merchants) Namesakes(ctx context.Context, of store.Merchant) ([]store.Merchant, error) {
	return m.list(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("name = ?", of.Name).Where("id <> ?", of.ID)
	})
}

func (m *Merchants) list(
	ctx context.Context, filter func(*bun.SelectQuery) *bun.SelectQuery,
) ([]store.Merchant, error) {
	merchants := []store.Merchant{}
	query := m.db.NewSelect().Model(&merchants).Apply(filter).Order("created_at", "id")
	if err := query.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list merchants: %w", err)
	}
	return merchants, nil
}

// Disable stops every key of the merchant from working within five seconds, until Enable is called.
// It returns the disabled merchant. To disable a merchant again changes nothing.
func (m *Merchants) Disable(ctx context.Context, id string) (store.Merchant, error) {
	return m.set(ctx, id, "disabled_at = COALESCE(disabled_at, date_trunc('milliseconds', clock_timestamp()))")
}

// Enable undoes Disable.
func (m *Merchants) Enable(ctx context.Context, id string) (store.Merchant, error) {
	return m.set(ctx, id, "disabled_at = NULL")
}

func (m *Merchants) set(ctx context.Context, id, change string) (store.Merchant, error) {
	var merchant store.Merchant
	result, err := m.db.NewUpdate().Model(&merchant).Set(change).Where("id = ?", id).Returning("*").Exec(ctx)
	if err != nil {
		return store.Merchant{}, fmt.Errorf("update merchant: %w", err)
	}
	if n, _ := result.RowsAffected(); n == 0 {
		return store.Merchant{}, fmt.Errorf("there is no merchant %q", id)
	}
	return merchant, nil
}
