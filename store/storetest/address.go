package storetest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(10000)) }

// steadyPort returns a free port that stays free while nobody listens there: it is not one of those
// that the system gives to clients, one of whom could even be connected to itself, and this process
// is given it once only.
func steadyPort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20000 + int(nextPort.Add(1)%10000)
		listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			_ = listener.Close()
			return port
		}
	}
	t.Fatal("storetest: no free port")
	return 0
}

// SteadyAddress returns an address on loopback that stays free while nobody listens there.
func SteadyAddress(t testing.TB) string {
	t.Helper()
	return "127.0.0.1:" + strconv.Itoa(steadyPort(t))
}
