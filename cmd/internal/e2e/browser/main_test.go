//go:build browser

// Package browser opens the pages of the program in a real Chromium.
package browser

import (
	"testing"

	"lumen/cmd/internal/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
