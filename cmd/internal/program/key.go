package program

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
)

type keyCommand struct {
	Create keyCreate `cmd:"" help:"Issue a key. Several may live at once, so that they can be rotated."`
	List   keyList   `cmd:"" help:"Show the keys of a merchant, without their secrets."`
	Revoke keyRevoke `cmd:"" help:"Make a key stop working."`
}

type keyCreate struct {
	Merchant string       `required:"" placeholder:"ID" help:"The merchant's id."`
	Access   store.Access `enum:"write,read" default:"write" help:"What the key may do: write or read. Default: write."`
	Expires  lifetime     `placeholder:"90d"`
	Name     string       `placeholder:"NAME" help:"What the key is for."`
	ownerFlags
	jsonFlag
}

func (c keyCreate) Run(ctx context.Context, t terminal) error {
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	secret := auth.NewSecret()
	key, err := operator.Keys.Create(ctx, owner.NewKey{
		MerchantID: c.Merchant, Name: c.Name, Access: c.Access, Expires: c.Expires.duration, Secret: secret,
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"apiKey": newKey{Key: key, Secret: string(secret)}})
	}
	_, _ = fmt.Fprintf(t.out, "Created key %s (%s access, expires %s) for merchant %s.\n",
		key.ID, key.Access, shortTime(key.ExpiresAt), key.MerchantID)
	t.printSecret(secret)
	return nil
}

// lifetime is a span such as 90d; none when empty.
type lifetime struct{ duration *time.Duration }

var units = map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second}

// maxLifetime keeps sums of times inside what Postgres and JSON can hold.
const maxLifetime = 100 * 365 * 24 * time.Hour

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *lifetime) UnmarshalText(text []byte) error {
	if len(text) > 1 {
		n, err := strconv.ParseUint(string(text[:len(text)-1]), 10, 32)
		unit, known := units[text[len(text)-1]]
		if err == nil && known && n > 0 && n <= uint64(maxLifetime/unit) {
			span := time.Duration(n) * unit
			l.duration = &span
			return nil
		}
	}
	return fmt.Errorf("a lifetime is a number with d, h, m or s, such as 90d, of at most 100 years")
}

type keyList struct {
	Merchant string `required:"" placeholder:"ID" help:"The merchant's id."`
	ownerFlags
	jsonFlag
}

func (c keyList) Run(ctx context.Context, t terminal) error {
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	keys, err := operator.Keys.List(ctx, c.Merchant)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"apiKeys": keys})
	}
	rows := [][]string{{"KEY", "NAME", "ACCESS", "CREATED", "EXPIRES", "REVOKED", "LAST USED"}}
	for _, k := range keys {
		name := "-"
		if k.Name != nil {
			name = *k.Name
		}
		rows = append(rows, []string{
			k.ID, name, string(k.Access),
			shortTime(&k.CreatedAt), shortTime(k.ExpiresAt), shortTime(k.RevokedAt), shortTime(k.LastUsedAt),
		})
	}
	return t.table(rows)
}

type keyRevoke struct {
	ID string `arg:"" help:"The key's id, which is not its secret."`
	ownerFlags
	jsonFlag
}

func (c keyRevoke) Run(ctx context.Context, t terminal) error {
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	key, err := operator.Keys.Revoke(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"apiKey": key})
	}
	_, err = fmt.Fprintf(t.out, "Revoked key %s of merchant %s.\n", key.ID, key.MerchantID)
	return err
}
