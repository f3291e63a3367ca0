//go:build clients

// Package clients runs clients in TypeScript and Go against the program, audits it for GraphQL over
// HTTP, and lints the schema.
package clients

import (
	"testing"

	"lumen/cmd/internal/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
