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

// parameters are the settings of a server that many tests use at the same time, and whose data is
// not needed after them.
var parameters = map[string]string{
	"fsync":            "off",
	"full_page_writes": "off",
	// Whether a plan is the same each time must not depend on when it runs. Tests that need statistics
	// run ANALYZE.
	"autovacuum":      "off",
	"max_connections": "500",
	"max_wal_size":    "256MB", // the data may be in memory

	// Some tests ask the server which statements it ran. It counts none in the other databases.
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
func startEmbedded(ctx context.Context, origin string) (*server, error) {
	folder, remove, err := makeFolder()
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	postgres, err := embedded.Start(ctx, embedded.Config{
		DataDir: filepath.Join(folder, "data"), Parameters: parameters, Notice: say,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded: %w", err), remove())
	}
	return &server{url: postgres.URL(), origin: origin, stop: func() error {
		// The data may be in another folder than the one asked for, see Server.DataDir.
		return errors.Join(postgres.Stop(), os.RemoveAll(postgres.DataDir()), remove())
	}}, nil
}

const folderPrefix = "lumen-storetest-"

// makeFolder makes a folder for one server, and removes the folders of test binaries that were
// killed. It does not use TempDir of a test, because the server outlives the test that starts it.
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
		_ = claimed.Close() // nil, and harmless, on systems where folders cannot be claimed
		return os.RemoveAll(folder)
	}
	if err == nil {
		// When the tests run as root, the server runs as another user and must be able to enter.
		err = os.Chmod(folder, 0o711)
	}
	if err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return folder, remove, nil
}
