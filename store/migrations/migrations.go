// Package migrations holds the schema of Lumen's database as SQL, one step a file, in the order of their numbers.
//
// A step runs in a transaction together with the note that it ran, so it is either done and noted or neither. The
// service may be running while a step is applied: what it does must suit the version before it and the one after.
package migrations

import "embed"

// Files are the steps.
//
//go:embed *.sql
var Files embed.FS
