package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/schollz/progressbar/v3"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/schema"
)

// database is a migrated database with customers in it.
type database struct {
	superuserURL string // row-level security does not apply
	serveURL     string // with Lumen's role
	merchants    []merchant
}

type merchant struct {
	id, key   string
	customers int
}

// customer returns the id of the merchant's n-th customer, counted from 1, oldest first.
func (m merchant) customer(n int) string {
	sum := md5.Sum([]byte(m.id + strconv.Itoa(n)))
	return "cust_" + hex.EncodeToString(sum[:])[:26]
}

// firstCreated is one second before the oldest customer was created.
var firstCreated = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// fill adds the customers from first to last of a merchant, as Lumen would have written them: each
// column has a value, none is deleted, and each was created one second after the one before. Their
// ids are those of customer.
const fill = `INSERT INTO customers (merchant_id, id, email, email_key, email_shared, name, name_key, name_sort, user_id,
	billing_address_line1, billing_address_line2, billing_city, billing_postal_code, billing_country, tax_id, search_key, created_at, updated_at)
SELECT $1::text, 'cust_' || left(md5($1::text || n), 26), t.email, lower(t.email), false, t.name, lower(t.name), convert_to(lower(t.name), 'UTF8'), 'user-' || n,
	n || ' Main Street', 'Floor ' || n % 30, 'Springfield', lpad((n % 100000)::text, 5, '0'), (ARRAY['DE', 'FR', 'US', 'CH', 'GB'])[n % 5 + 1],
	'DE' || lpad(n::text, 9, '0'), lower(t.email) || E'\n' || lower(t.name) || E'\n' || 'user-' || n,
	t.made, t.made
FROM generate_series($2::int, $3::int) AS n,
	LATERAL (SELECT 'Person.' || n || '@Example.com' AS email, 'Person Number ' || n AS name,
		timestamptz '2026-01-01 00:00:00Z' + n * interval '1 second' AS made) AS t`

// batch is how many customers one statement adds.
const batch = 10_000

// load makes a database with this number of merchants and of customers for each, and reports its
// progress.
func (b *bench) load(ctx context.Context, name string, merchants, customers int) (*database, error) {
	name = b.prefix + name
	b.databases = append(b.databases, name)
	if err := execute(ctx, b.superuserURL, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return nil, err
	}
	d := &database{}
	at, err := url.Parse(b.superuserURL)
	if err != nil {
		return nil, err
	}
	at.Path = "/" + name
	d.superuserURL = at.String()
	operator, err := owner.Open(d.superuserURL)
	if err != nil {
		return nil, err
	}
	defer func() { _ = operator.Close() }()
	if err := migrate(ctx, d.superuserURL); err != nil {
		return nil, err
	}
	if err := operator.CreateLogin(ctx, b.serveRole(), b.password); err != nil {
		return nil, err
	}
	at.User = url.UserPassword(b.serveRole(), b.password)
	d.serveURL = at.String()

	filling, err := pgx.Connect(ctx, d.superuserURL)
	if err != nil {
		return nil, err
	}
	defer func() { _ = filling.Close(context.WithoutCancel(ctx)) }()
	bar := progressbar.NewOptions(merchants*customers, progressbar.OptionSetWriter(b.notes), progressbar.OptionThrottle(200*time.Millisecond),
		progressbar.OptionSetDescription(fmt.Sprintf("%-24s", name)), progressbar.OptionShowCount(),
		progressbar.OptionOnCompletion(func() { _, _ = fmt.Fprintln(b.notes) }))
	for range merchants {
		made, err := addMerchant(ctx, operator)
		if err != nil {
			return nil, err
		}
		for made.customers < customers {
			n := min(batch, customers-made.customers)
			if err := made.grow(ctx, filling, n); err != nil {
				return nil, fmt.Errorf("load %s: %w", name, err)
			}
			_ = bar.Add(n)
		}
		d.merchants = append(d.merchants, made)
	}
	// The keys look as if they were in use. The first use in an hour is stored, which is a write.
	return d, execute(ctx, d.superuserURL, "UPDATE api_keys SET last_used_at = now()", "VACUUM (ANALYZE)")
}

// execute runs statements on a connection of their own.
func execute(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// migrate applies all migrations.
func migrate(ctx context.Context, url string) error {
	migrator, err := schema.Open(url)
	if err != nil {
		return err
	}
	_, err = migrator.Up(ctx)
	return errors.Join(err, migrator.Close())
}

// serveRole is the role that Lumen logs in as.
func (b *bench) serveRole() string { return b.prefix + "serve" }

func addMerchant(ctx context.Context, operator *owner.Owner) (merchant, error) {
	made, err := operator.Merchants.Create(ctx, "Acme")
	if err != nil {
		return merchant{}, err
	}
	secret := auth.NewSecret()
	_, err = operator.Keys.Create(ctx, owner.NewKey{MerchantID: made.ID, Access: store.WriteAccess, Secret: secret})
	return merchant{id: made.ID, key: string(secret)}, err
}

// grow adds n customers to those of the merchant.
func (m *merchant) grow(ctx context.Context, filling *pgx.Conn, n int) error {
	if _, err := filling.Exec(ctx, fill, m.id, m.customers+1, m.customers+n); err != nil {
		return err
	}
	m.customers += n
	return nil
}

// any returns one of the merchants, and the id of one of its customers.
func (d *database) any(random *rand.Rand) (merchant, string) {
	m := d.merchants[random.IntN(len(d.merchants))]
	return m, m.customer(1 + random.IntN(m.customers))
}
