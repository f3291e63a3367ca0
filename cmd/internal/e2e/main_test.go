// Package e2e tests the program from outside: through its APIs, its command line, its log, its
// metrics and its traces.
package e2e

import (
	"testing"

	"lumen/cmd/internal/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
