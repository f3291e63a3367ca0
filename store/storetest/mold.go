//go:build faults

package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"lumen/store/embedded"
)

// mold is a server that was made, migrated and stopped, so that each Breakable is a copy: to make one takes seconds.
type mold struct {
	programs       *embedded.Programs
	data, password string
	cluster        *cluster
	database       string
}

// molding is the mold of this test binary, made when first needed.
var molding struct {
	sync.Mutex
	made *mold
	err  error
}

func theMold(t testing.TB) (*mold, error) {
	t.Helper()
	molding.Lock()
	defer molding.Unlock()
	if molding.made == nil && molding.err == nil {
		molding.made, molding.err = newMold(t)
	}
	return molding.made, molding.err
}

func newMold(t testing.TB) (*mold, error) {
	programs, err := embedded.FindPrograms(t.Context())
	if err != nil {
		return nil, err
	}
	folder, remove, err := makeFolder()
	if err != nil {
		return nil, err
	}
	atEnd(remove)
	m := &mold{programs: programs, data: filepath.Join(folder, "data"), password: randomText()}
	if err := m.initialize(folder); err != nil {
		return nil, err
	}
	b := &Breakable{t: t, Folder: folder, programs: programs, data: m.data, port: steadyPort(t)}
	if err := b.configure(nil); err != nil {
		return nil, err
	}
	b.Start()
	defer b.Stop("fast")
	return m, m.prepare(b.Address())
}

// initialize makes the data.
func (m *mold) initialize(folder string) error {
	secret := filepath.Join(folder, "password")
	err := errors.Join(
		os.WriteFile(secret, []byte(m.password), 0o600), m.programs.Own(secret),
		os.Mkdir(m.data, 0o700), m.programs.Own(m.data),
	)
	if err != nil {
		return err
	}
	out, err := m.programs.Command("initdb", "--pgdata="+m.data, "--username=postgres", "--pwfile="+secret,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=4").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// prepare makes the roles and the database.
func (m *mold) prepare(address string) error {
	weak, err := weakOwner()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), breakTime)
	defer cancel()
	m.cluster = &cluster{name: "lumen_test_" + randomText()[:12]}
	c := m.clusterAt(address)
	defer func() { c.maker.close(); c.admin.close() }()
	if err := c.prepare(ctx, weak); err != nil {
		return err
	}
	m.database, err = c.create(c.template())
	m.cluster = c
	return err
}

// clusterAt is what the mold's server holds, on a copy of it that listens there.
func (m *mold) clusterAt(address string) *cluster {
	u := (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", m.password), Host: address, Path: "/postgres", RawQuery: "sslmode=disable",
	}).String()
	c := &cluster{server: &server{url: u}, name: m.cluster.name, owner: m.cluster.owner, app: m.cluster.app, admin: &session{url: u}, maker: &session{url: u}}
	c.count.Store(m.cluster.count.Load())
	return c
}
