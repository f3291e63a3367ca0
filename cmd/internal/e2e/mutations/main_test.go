// Package mutations takes the guards of tenant isolation out of the source, one at a time, and runs the
// tests that have to fail without it.
package mutations

import (
	"testing"

	"lumen/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
