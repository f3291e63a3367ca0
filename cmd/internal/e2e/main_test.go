// Package e2e sees the program from outside: through its APIs, on its command line, and in its log,
// metrics and traces.
package e2e

import (
	"testing"

	"lumen/cmd/internal/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
