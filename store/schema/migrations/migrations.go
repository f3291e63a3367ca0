// Package migrations holds the schema of Lumen's database as SQL, one step a file, in the order of their numbers. Steps that
// need Go, as keys do, are in package schema, in files that are named alike.
//
// A step in SQL runs in a transaction together with the note that it ran, so it is either done and noted or neither. The
// service may be running while a step is applied: what it does must suit the version before it and the one after.
package migrations

import (
	"embed"
)

// Files are the steps.
//
//go:embed *.sql
var Files embed.FS

// Expected describes, as JSON, Lumen's objects after the newest step, as far as tenant isolation depends on
// them. A test in package store writes it from a fresh database.
//
//go:embed expected.json
var Expected []byte
