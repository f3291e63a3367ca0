package store_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"lumen/store"
	"lumen/store/storetest"
)

// migrateVariable makes this test binary a migrator of the database that it names, instead of a test.
const migrateVariable = "LUMEN_STORE_TEST_MIGRATE"

func TestMain(m *testing.M) {
	if url := os.Getenv(migrateVariable); url != "" {
		os.Exit(migrateAndExit(url))
	}
	storetest.Main(m)
}

// migrateAndExit does what `lumen migrate up` does. It prints the number of steps that it applied.
func migrateAndExit(url string) int {
	owner, err := store.OpenOwner(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer func() { _ = owner.Close() }()
	applied, err := owner.MigrateUp(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(len(applied))
	return 0
}
