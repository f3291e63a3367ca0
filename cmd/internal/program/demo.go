package program

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"lumen/cmd/internal/pages"
	"lumen/cmd/internal/server"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/embedded"
	"lumen/store/owner"
	"lumen/store/postgres"
	"lumen/store/schema"
)

// demoNames are the names of the demo merchants. All have the same sample customers, so that a
// developer sees that no merchant reaches the customers of another.
var demoNames = []string{"Demo Shop", "Other Shop"}

// demo is a backend and the merchants that dev made for it.
type demo struct {
	backend   *server.Backend
	merchants []pages.Merchant
}

// prepare migrates the embedded database, creates the role that the service logs in as, and creates
// the demo merchants unless an earlier run did.
func prepare(ctx context.Context, cluster *embedded.Server) (*demo, error) {
	migrator, err := schema.Open(cluster.URL())
	if err != nil {
		return nil, err
	}
	defer func() { _ = migrator.Close() }()
	if _, err := migrator.Up(ctx); err != nil {
		return nil, err
	}
	operator, err := owner.Open(cluster.URL())
	if err != nil {
		return nil, err
	}
	defer func() { _ = operator.Close() }()
	serviceURL, err := url.Parse(cluster.URL())
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	if err := operator.CreateLogin(ctx, "lumen_serve", password); err != nil {
		return nil, err
	}
	serviceURL.User = url.UserPassword("lumen_serve", password)
	secret, err := keepTokenSecret(ctx, operator, filepath.Join(cluster.DataDir(), "token-secret"))
	if err != nil {
		return nil, err
	}
	database, err := postgres.ParseDatabase(serviceURL.String(), false)
	if err != nil {
		return nil, err
	}
	authOptions := auth.Options{AcceptDemoKeys: true, TokenSecret: secret}
	d := &demo{backend: server.OpenBackend(database, store.Options{}, authOptions)}
	if err := d.ensureMerchants(ctx, operator, cluster.DataDir()); err != nil {
		return nil, errors.Join(err, d.backend.Close())
	}
	return d, nil
}

// ensureMerchants finds each demo merchant by its key in the data folder, or creates it. It writes
// the file with the keys last and whole, so that no run takes the remains of a killed run for a
// complete demo.
func (d *demo) ensureMerchants(ctx context.Context, operator *owner.Owner, dataDir string) error {
	file := filepath.Join(dataDir, "demo-keys")
	keys, err := readDemoKeys(file, filepath.Join(dataDir, "demo-key"))
	if err != nil {
		return err
	}
	var all strings.Builder
	changed := false
	for i, name := range demoNames {
		var merchant pages.Merchant
		if i < len(keys) {
			if merchant, err = d.findMerchant(ctx, keys[i]); err != nil {
				return err
			}
		}
		if merchant.APIKey == "" {
			if merchant, err = d.makeMerchant(ctx, operator, name); err != nil {
				return err
			}
			changed = true
		}
		d.merchants = append(d.merchants, merchant)
		all.WriteString(merchant.APIKey + "\n")
	}
	if !changed {
		return nil
	}
	return embedded.WriteSecret(file, all.String())
}

// readDemoKeys returns the demo merchants' keys, the first merchant's first. oldFile held the key
// of the only merchant in earlier versions.
func readDemoKeys(file, oldFile string) (keys []auth.Secret, err error) {
	kept, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		kept, err = os.ReadFile(oldFile)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the demo keys: %w", err)
	}
	for line := range strings.Lines(string(kept)) {
		keys = append(keys, auth.Secret(strings.TrimSpace(line)))
	}
	return keys, nil
}

// findMerchant returns the merchant of a key, or an empty one when the key does not work: the data
// may have been reset since the key was kept.
func (d *demo) findMerchant(ctx context.Context, key auth.Secret) (pages.Merchant, error) {
	_, credential, err := d.backend.As(ctx, key)
	switch {
	case err == nil:
		return pages.Merchant{ID: credential.Merchant.ID, Name: credential.Merchant.Name, APIKey: string(key)}, nil
	case store.AsError(err).Code == store.Unauthenticated:
		return pages.Merchant{}, nil
	}
	return pages.Merchant{}, err
}

// makeMerchant creates a merchant with a key and the sample customers.
func (d *demo) makeMerchant(ctx context.Context, operator *owner.Owner, name string) (pages.Merchant, error) {
	merchant, err := operator.Merchants.Create(ctx, name)
	if err != nil {
		return pages.Merchant{}, err
	}
	secret := auth.NewDemoSecret()
	key := owner.NewKey{MerchantID: merchant.ID, Name: "demo", Access: store.WriteAccess, Secret: secret}
	if _, err := operator.Keys.Create(ctx, key); err != nil {
		return pages.Merchant{}, err
	}
	as, _, err := d.backend.As(ctx, secret)
	if err == nil {
		err = seed(as, operator, d.backend.Store.Customers)
	}
	if err != nil {
		return pages.Merchant{}, fmt.Errorf("make sample customers: %w", err)
	}
	return pages.Merchant{ID: merchant.ID, Name: merchant.Name, APIKey: string(secret)}, nil
}

// newestCustomer returns the ID of the first merchant's newest live customer, or "" when there is
// none.
func (d *demo) newestCustomer(ctx context.Context) (string, error) {
	as, _, err := d.backend.As(ctx, auth.Secret(d.merchants[0].APIKey))
	if err != nil {
		return "", err
	}
	page, err := d.backend.Store.Customers.List(as, store.PageQuery{First: new(1)})
	if err != nil || len(page.Items) == 0 {
		return "", err
	}
	return page.Items[0].ID, nil
}

// keepTokenSecret returns the secret in the file, or creates one. It creates a signing key unless
// there is one. A new secret cannot decrypt the keys of a lost secret, so it revokes those keys.
func keepTokenSecret(ctx context.Context, operator *owner.Owner, file string) (auth.TokenSecret, error) {
	keys, err := operator.TokenKeys.List(ctx)
	if err != nil {
		return nil, err
	}
	var secret auth.TokenSecret
	kept, err := os.ReadFile(file)
	switch {
	case err == nil:
		if secret, err = auth.ParseTokenSecret(string(kept)); err != nil {
			return nil, fmt.Errorf("the content of %s is %w", file, err)
		}
	case errors.Is(err, os.ErrNotExist):
		secret = auth.NewTokenSecret()
		for i, key := range keys {
			if keys[i], err = operator.TokenKeys.Revoke(ctx, key.ID); err != nil {
				return nil, err
			}
		}
		if err := embedded.WriteSecret(file, secret.Text()); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("read the token secret: %w", err)
	}
	for _, key := range keys {
		if key.State == owner.TokenKeySigning {
			return secret, nil
		}
	}
	_, err = operator.TokenKeys.Rotate(ctx, secret, auth.EdDSA)
	return secret, err
}
