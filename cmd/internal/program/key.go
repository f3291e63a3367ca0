package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
)

type keyCommand struct {
	Create keyCreate `cmd:"" help:"Create an API key. A merchant may have several, so that keys can be rotated."`
	List   keyList   `cmd:"" help:"Show the API keys of a merchant, without their secrets."`
	Revoke keyRevoke `cmd:"" help:"Stop an API key from working, by its ID or by its secret."`
}

type keyCreate struct {
	Merchant string       `required:"" placeholder:"ID" help:"The merchant's ID."`
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

// lifetime is a duration such as 90d. The zero value is no limit.
type lifetime struct{ duration *time.Duration }

var units = map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second}

// maxLifetime keeps expiry times within the range of Postgres and JSON.
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
	Merchant string `required:"" placeholder:"ID" help:"The merchant's ID."`
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
	ID          string `arg:"" optional:"" help:"The key's ID."`
	SecretStdin bool   `help:"Read the secret from standard input, and revoke the key that has it. No output holds the secret."`
	ownerFlags
	jsonFlag
}

// Validate implements kong's check of a command line.
func (c keyRevoke) Validate() error {
	switch {
	case (c.ID == "") == !c.SecretStdin:
		return errors.New("give either the key's ID or --secret-stdin")
	case auth.Secret(c.ID).IsWellFormed(): // a later error would repeat it
		return errors.New("the argument is a secret, not the key's ID; use --secret-stdin")
	}
	return nil
}

func (c keyRevoke) Run(ctx context.Context, t terminal) error {
	var secret auth.Secret
	if c.SecretStdin {
		var err error
		if secret, err = t.readSecret(ctx); err != nil {
			return err
		}
	}
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	var key owner.Key
	if c.SecretStdin {
		key, err = operator.Keys.RevokeSecret(ctx, secret)
	} else {
		key, err = operator.Keys.Revoke(ctx, c.ID)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"apiKey": key})
	}
	_, err = fmt.Fprintf(t.out, "Revoked key %s of merchant %s.\n", key.ID, key.MerchantID)
	return err
}

// maxSecretInput is the maximum number of bytes that are read from standard input. A secret has
// about 60, a token about 600.
const maxSecretInput = 64 << 10

// readSecret reads the secret of an API key from standard input, until ctx ends. Its errors never
// contain the input.
func (t terminal) readSecret(ctx context.Context) (auth.Secret, error) {
	if isTerminal(t.in) {
		_, _ = fmt.Fprintln(t.err, "Paste the secret, then press Enter and Ctrl-D:")
	}
	var input []byte
	done := make(chan error, 1)
	go func() { // a read from a terminal cannot be interrupted
		var err error
		input, err = io.ReadAll(io.LimitReader(t.in, maxSecretInput))
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return "", fmt.Errorf("read standard input: %w", err)
		}
	case <-ctx.Done():
		return "", fmt.Errorf("read standard input: %w", ctx.Err())
	}
	secret := auth.Secret(strings.TrimSpace(string(input)))
	switch {
	case secret == "":
		return "", errors.New("standard input is empty; it must hold the secret of an API key")
	case auth.Token(secret).IsWellFormed():
		return "", errors.New("standard input holds an access token, not the secret of an API key; " +
			"the token ends when the key that created it is revoked: that key's ID is the token's client_id")
	case !secret.IsWellFormed():
		return "", errors.New("standard input does not hold the secret of an API key; " +
			"one is lumen_sk_ and 52 lowercase letters and digits")
	}
	return secret, nil
}
