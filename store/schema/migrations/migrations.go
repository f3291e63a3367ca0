// Package migrations holds the steps of the database's schema in SQL, one file each, in the order
// of their numbers. Steps that need Go, such as computing keys, are in package schema, in files
// with such names.
//
// A step in SQL and the record that it was applied are one transaction. The service may run while a
// step is applied, so a step must suit both the release before it and the one after.
package migrations

import (
	"embed"
)

// Files holds the SQL migrations.
//
//go:embed *.sql
var Files embed.FS

// Expected describes, as JSON, Lumen's objects after the newest step, as far as tenant isolation
// depends on them. A test in package schema writes it from a new database.
//
//go:embed expected.json
var Expected []byte
