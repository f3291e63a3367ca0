package program

import (
	"context"
	"fmt"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
)

type merchantCommand struct {
	Create  merchantCreate  `cmd:"" help:"Add a merchant and create its first API key."`
	List    merchantList    `cmd:"" help:"Show all merchants."`
	Disable merchantDisable `cmd:"" help:"Stop every API key of a merchant from working."`
	Enable  merchantEnable  `cmd:"" help:"Let the API keys of a disabled merchant work again."`
}

type merchantCreate struct {
	Name string `required:"" placeholder:"NAME" help:"The merchant's name."`
	ownerFlags
	jsonFlag
}

func (c merchantCreate) Run(ctx context.Context, t terminal) error {
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	merchant, err := operator.Merchants.Create(ctx, c.Name)
	if err != nil {
		return err
	}
	secret := auth.NewSecret()
	key, err := operator.Keys.Create(ctx, owner.NewKey{MerchantID: merchant.ID, Access: store.WriteAccess, Secret: secret})
	if err != nil {
		return fmt.Errorf("merchant %s was created, its first key was not: %w", merchant.ID, err)
	}
	namesakes, err := operator.Merchants.Namesakes(ctx, merchant)
	if err != nil {
		t.warn(fmt.Sprintf("can't tell whether another merchant has the name: %v", err))
	}
	for _, other := range namesakes {
		t.warn(fmt.Sprintf("another merchant has the name %q: %s", other.Name, other.ID))
	}
	if c.JSON {
		return t.printJSON(map[string]any{"merchant": merchant, "apiKey": newKey{Key: key, Secret: string(secret)}})
	}
	_, _ = fmt.Fprintf(t.out, "Created merchant %s (%s) with key %s (write access).\n", merchant.ID, merchant.Name, key.ID)
	t.printSecret(secret)
	return nil
}

type merchantList struct {
	ownerFlags
	jsonFlag
}

func (c merchantList) Run(ctx context.Context, t terminal) error {
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	merchants, err := operator.Merchants.List(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"merchants": merchants})
	}
	rows := [][]string{{"MERCHANT", "NAME", "CREATED", "DISABLED"}}
	for _, m := range merchants {
		rows = append(rows, []string{m.ID, m.Name, shortTime(&m.CreatedAt), shortTime(m.DisabledAt)})
	}
	return t.table(rows)
}

type merchantDisable struct{ merchantSwitch }

func (c merchantDisable) Run(ctx context.Context, t terminal) error {
	return c.flip(ctx, t, "Disabled", (*owner.Merchants).Disable)
}

type merchantEnable struct{ merchantSwitch }

func (c merchantEnable) Run(ctx context.Context, t terminal) error {
	return c.flip(ctx, t, "Enabled", (*owner.Merchants).Enable)
}

type merchantSwitch struct {
	ID string `arg:"" help:"The merchant's ID."`
	ownerFlags
	jsonFlag
}

// flip runs Disable or Enable of owner.Merchants.
func (c merchantSwitch) flip(
	ctx context.Context, t terminal, done string,
	change func(*owner.Merchants, context.Context, string) (store.Merchant, error),
) error {
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	merchant, err := change(operator.Merchants, ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"merchant": merchant})
	}
	_, err = fmt.Fprintf(t.out, "%s merchant %s (%s).\n", done, merchant.ID, merchant.Name)
	return err
}
