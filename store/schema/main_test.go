package schema_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"lumen/store/schema"
	"lumen/store/storetest"
)

// migrateVariable makes this test binary migrate the database that it names, instead of running
// tests.
const migrateVariable = "LUMEN_SCHEMA_TEST_MIGRATE"

func TestMain(m *testing.M) {
	if url := os.Getenv(migrateVariable); url != "" {
		os.Exit(migrateAndExit(url))
	}
	storetest.Main(m)
}

// migrateAndExit does what `lumen migrate up` does, and prints the number of applied steps.
func migrateAndExit(url string) int {
	migrator, err := schema.Open(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer func() { _ = migrator.Close() }()
	applied, err := migrator.Up(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(len(applied))
	return 0
}
