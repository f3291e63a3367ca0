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

// steadyPort returns a port that stays free until its caller listens there. The port is not in the
// range from which the system gives ports to clients: a client could take it, and even be connected
// to itself. Each call in this process returns another port.
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

// SteadyAddress returns an address on loopback that stays free until its caller listens there.
func SteadyAddress(t testing.TB) string {
	t.Helper()
	return "127.0.0.1:" + strconv.Itoa(steadyPort(t))
}
