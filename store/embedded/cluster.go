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

// clusterVersion returns the major version that made the cluster, 0 if there is none yet.
func (f *folder) clusterVersion() (int, error) {
	text, err := os.ReadFile(filepath.Join(f.cluster(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(f.cluster()); err == nil {
			return 0, fmt.Errorf("%s exists and is no Postgres cluster: move it away", f.cluster())
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

// ownCluster gives the server's account what came here by root's hand, say from a backup. No server may be using it, not
// even one that is leaving: files would vanish under the walk.
func (f *folder) ownCluster() error {
	if f.account == nil {
		return nil
	}
	if err := f.account.ownTree(f.cluster()); err != nil {
		return fmt.Errorf("give the data to %s: %w", f.account.name, err)
	}
	return nil
}

// discardCluster puts the cluster, once its server is gone, where the next initCluster removes what was left half made:
// being killed in the middle then leaves nothing that looks like a cluster.
func (f *folder) discardCluster(ctx context.Context, p *progress) error {
	if err := f.clearPIDFile(ctx, p); err != nil {
		return err
	}
	grave, err := os.MkdirTemp(f.path, initPrefix)
	if err != nil {
		return fmt.Errorf("discard the data: %w", err)
	}
	if err := os.Rename(f.cluster(), filepath.Join(grave, clusterName)); err != nil {
		return fmt.Errorf("discard the data: %w", err)
	}
	p.notice("deleted the database in %s, with all merchants, keys and customers", f.cluster())
	return nil
}

// password returns the owner's password. It is written before the cluster is made, so that no cluster is ever without.
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
		return "", fmt.Errorf("%s is missing, and with it the way into the data: restore it, or remove %s to start anew", path, f.cluster())
	}
	password := rand.Text()
	const fresh = passwordName + ".new"
	file, err := f.openFile(fresh, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(password + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", fmt.Errorf("keep the password: %w", err)
	}
	return password, os.Rename(filepath.Join(f.path, fresh), path)
}

// initPrefix starts the names of folders whose content is not, or no more, a cluster.
const initPrefix = "initdb-"

// initCluster makes the cluster in a folder beside its place and moves it there when it is whole, so that being killed in
// the middle leaves nothing half made.
func initCluster(ctx context.Context, home *folder, bin, password string, noSync bool, log *serverLog, p *progress) error {
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
		home.account.ownTree(work),
	)
	if err != nil {
		return fmt.Errorf("make the cluster: %w", err)
	}
	args := []string{
		"--pgdata=" + cluster, "--username=" + owner, "--pwfile=" + secret, "--auth=scram-sha-256",
		// One locale everywhere: the order of text must not depend on the machine.
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
	if err := p.waiting("initdb is making the database cluster", func() error { return initdb.finish(ctx) }); err != nil {
		return fmt.Errorf("initdb failed: %w%s", err, log.tail())
	}
	if err := os.Rename(cluster, home.cluster()); err != nil {
		return fmt.Errorf("put the cluster in its place: %w", err)
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
