package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"lumen/store/embedded"
)

// parameters are those of a server whose data nobody needs tomorrow, used by many tests at once.
var parameters = map[string]string{
	"fsync":           "off",
	"max_connections": "500",
	"max_wal_size":    "256MB", // it may lie in memory

	// For tests that ask the server what it was asked. In other databases it counts nothing.
	"shared_preload_libraries": "pg_stat_statements",
	"pg_stat_statements.track": "none",
}

// flags are the parameters as Postgres takes them on its command line.
func flags() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		list = append(list, "-c", name+"="+parameters[name])
	}
	return list
}

// startEmbedded runs the embedded Postgres in a folder of its own.
func startEmbedded(ctx context.Context) (*server, error) {
	folder, remove, err := makeFolder()
	if err != nil {
		return nil, fmt.Errorf("embedded Postgres: %w", err)
	}
	postgres, err := embedded.Start(ctx, embedded.Config{
		DataDir: filepath.Join(folder, "data"), Parameters: parameters, Notice: say,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded Postgres: %w", err), remove())
	}
	return &server{url: postgres.URL(), stop: func() error {
		// It may have moved its folder, see Server.DataDir.
		return errors.Join(postgres.Stop(), os.RemoveAll(postgres.DataDir()), remove())
	}}, nil
}

const folderPrefix = "lumen-storetest-"

// makeFolder makes a folder for one server, and removes those of test binaries that were killed. It is not a test's
// TempDir, as the server outlives the test that came first.
func makeFolder() (folder string, remove func() error, err error) {
	parent := parentFolder()
	if parent == "" {
		parent = os.TempDir()
	}
	old, _ := filepath.Glob(filepath.Join(parent, folderPrefix+"*"))
	for _, folder := range old {
		if abandoned(folder) {
			_ = os.RemoveAll(folder)
		}
	}

	folder, err = os.MkdirTemp(parent, folderPrefix)
	if err != nil {
		return "", nil, err
	}
	claimed, err := claim(folder)
	remove = func() error {
		_ = claimed.Close() // nil where folders can't be claimed, which is no harm
		return os.RemoveAll(folder)
	}
	if err == nil {
		// As root the server runs as another user, who has to get through to its data.
		err = os.Chmod(folder, 0o711)
	}
	if err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return folder, remove, nil
}
