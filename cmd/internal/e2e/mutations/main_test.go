// Package mutations removes the guards of tenant isolation from the source, one at a time, and runs
// the tests that have to fail without the guard.
package mutations

import (
	"testing"

	"lumen/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
