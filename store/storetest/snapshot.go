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

// snapshot is the data of a server that was made, migrated and stopped. Each Breakable is a copy of
// it, because making a server takes seconds.
type snapshot struct {
	programs       *embedded.Programs
	data, password string
	cluster        *cluster
	database       string
}

// binarySnapshot is the snapshot of this test binary. The first test that needs it makes it.
var binarySnapshot struct {
	sync.Mutex
	made *snapshot
	err  error
}

func theSnapshot(t testing.TB) (*snapshot, error) {
	t.Helper()
	binarySnapshot.Lock()
	defer binarySnapshot.Unlock()
	if binarySnapshot.made == nil && binarySnapshot.err == nil {
		binarySnapshot.made, binarySnapshot.err = newSnapshot(t)
	}
	return binarySnapshot.made, binarySnapshot.err
}

func newSnapshot(t testing.TB) (*snapshot, error) {
	programs, err := embedded.FindPrograms(t.Context())
	if err != nil {
		return nil, err
	}
	folder, remove, err := makeFolder()
	if err != nil {
		return nil, err
	}
	atEnd(remove)
	s := &snapshot{programs: programs, data: filepath.Join(folder, "data"), password: randomText()}
	if err := s.initialize(folder); err != nil {
		return nil, err
	}
	b := &Breakable{t: t, Folder: folder, programs: programs, data: s.data, port: steadyPort(t)}
	if err := b.configure(nil); err != nil {
		return nil, err
	}
	b.Start()
	defer b.Stop("fast")
	return s, s.prepare(b.Address())
}

// initialize makes an empty cluster.
func (s *snapshot) initialize(folder string) error {
	secret := filepath.Join(folder, "password")
	err := errors.Join(
		os.WriteFile(secret, []byte(s.password), 0o600), s.programs.Own(secret),
		os.Mkdir(s.data, 0o700), s.programs.Own(s.data),
	)
	if err != nil {
		return err
	}
	out, err := s.programs.Command("initdb", "--pgdata="+s.data, "--username=postgres", "--pwfile="+secret,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=4").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// prepare makes the roles and the database on the running server.
func (s *snapshot) prepare(address string) error {
	weak, err := weakOwner()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), breakTime)
	defer cancel()
	s.cluster = &cluster{name: "lumen_test_" + randomText()[:12]}
	c := s.clusterAt(address)
	defer func() { c.maker.close(); c.admin.close() }()
	if err := c.prepare(ctx, weak); err != nil {
		return err
	}
	s.database, err = c.create(c.template())
	s.cluster = c
	return err
}

// clusterAt returns the snapshot's cluster on the copy of the server that listens at this address.
func (s *snapshot) clusterAt(address string) *cluster {
	u := (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", s.password),
		Host: address, Path: "/postgres", RawQuery: "sslmode=disable",
	}).String()
	c := &cluster{
		server: &server{url: u}, name: s.cluster.name, owner: s.cluster.owner, app: s.cluster.app,
		admin: &session{url: u}, maker: &session{url: u},
	}
	c.count.Store(s.cluster.count.Load())
	return c
}
