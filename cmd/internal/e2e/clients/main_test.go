//go:build clients

// Package clients runs clients as others write them against the program, and holds the schema to the rules for them.
package clients

import (
	"testing"

	"lumen/cmd/internal/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
