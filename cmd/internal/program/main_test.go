package program

import (
	"testing"

	"lumen/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
