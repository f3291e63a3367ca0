//go:build unix

package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// clusterVersion returns the major version of Postgres that created the cluster, or 0 if there is
// no cluster yet.
func (f *folder) clusterVersion() (int, error) {
	text, err := os.ReadFile(filepath.Join(f.cluster(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(f.cluster()); err == nil {
			return 0, fmt.Errorf("%s exists and is not a Postgres cluster: move it away", f.cluster())
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION: %w", f.cluster(), err)
	}
	return major, nil
}

// chownCluster gives the server's account the files that root put here, for example from a backup.
// No server may use the cluster, not even one that is shutting down: files would disappear
// meanwhile.
func (f *folder) chownCluster() error {
	if f.account == nil {
		return nil
	}
	if err := f.account.chownTree(f.cluster()); err != nil {
		return fmt.Errorf("give the data to %s: %w", f.account.name, err)
	}
	return nil
}

// discardCluster waits for the end of a server on the cluster and moves the cluster to a folder
// that the next initCluster removes. A kill at any moment leaves nothing that looks like a cluster.
func (f *folder) discardCluster(ctx context.Context, p *progress) error {
	if err := f.clearPIDFile(ctx, p); err != nil {
		return err
	}
	trash, err := os.MkdirTemp(f.path, initPrefix)
	if err != nil {
		return fmt.Errorf("discard the data: %w", err)
	}
	if err := os.Rename(f.cluster(), filepath.Join(trash, clusterName)); err != nil {
		return fmt.Errorf("discard the data: %w", err)
	}
	p.notice("deleted the database in %s, with all merchants, keys and customers", f.cluster())
	return nil
}

// password returns the owner's password. It writes a new one before the cluster is made, so that no
// cluster exists without its password.
func (f *folder) password(clusterExists bool) (string, error) {
	path := filepath.Join(f.path, passwordName)
	text, err := os.ReadFile(path)
	if password := strings.TrimSpace(string(text)); err == nil && password != "" {
		return password, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if clusterExists {
		return "", fmt.Errorf("%s is missing, and without it nobody can read the data: "+
			"restore it, or remove %s to start with an empty database", path, f.cluster())
	}
	password := rand.Text()
	return password, f.writeFile(passwordName, password+"\n")
}

// initPrefix starts the names of folders with a cluster that is being made or was discarded.
const initPrefix = "initdb-"

// initCluster makes the cluster in another folder and moves it to its place when it is complete. A
// kill at any moment leaves no incomplete cluster in that place.
func initCluster(
	ctx context.Context, home *folder, bin, password string, noSync bool, log *serverLog, p *progress,
) error {
	left, _ := filepath.Glob(filepath.Join(home.path, initPrefix+"*"))
	for _, dir := range left {
		_ = os.RemoveAll(dir)
	}
	work, err := os.MkdirTemp(home.path, initPrefix)
	if err != nil {
		return fmt.Errorf("make the cluster: %w", err)
	}
	defer os.RemoveAll(work)

	cluster, secret := filepath.Join(work, clusterName), filepath.Join(work, passwordName)
	err = errors.Join(
		os.Mkdir(cluster, 0o700),
		os.WriteFile(secret, []byte(password+"\n"), 0o600),
		home.account.chownTree(work),
	)
	if err != nil {
		return fmt.Errorf("make the cluster: %w", err)
	}
	args := []string{
		"--pgdata=" + cluster, "--username=" + owner, "--pwfile=" + secret, "--auth=scram-sha-256",
		// The order of text must not depend on the machine's locale.
		"--encoding=UTF8", "--locale=C", "--no-instructions",
	}
	if noSync {
		args = append(args, "--no-sync")
	}
	log.mark()
	initdb, err := supervise(home.account, stopGrace, log.File, filepath.Join(bin, "initdb"), args...)
	if err != nil {
		return fmt.Errorf("run initdb: %w", err)
	}
	err = p.waiting("initdb is making the database cluster", func() error { return initdb.finish(ctx) })
	if err != nil {
		return fmt.Errorf("initdb failed: %w%s", err, log.tail())
	}
	if err := os.Rename(cluster, home.cluster()); err != nil {
		return fmt.Errorf("move the cluster to its place: %w", err)
	}
	return syncFolder(home.path)
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
