//go:build faults

package storetest

import (
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(10000)) }

// steadyPort returns a free port that stays free while nobody listens there: it is not one of those that the system gives
// to clients, one of whom could even be connected to itself, and this process is given it once only.
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

// children lists the processes whose parent this one is.
func children(parent int) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range all {
		if _, of := status(folder); of == parent {
			pid, _ := strconv.Atoi(filepath.Base(folder))
			pids = append(pids, pid)
		}
	}
	return pids
}

// anyAlive reports whether one of these processes still runs. What nobody has reaped runs no more.
func anyAlive(pids []int) bool {
	for _, pid := range pids {
		if state, _ := status("/proc/" + strconv.Itoa(pid)); state != "" && state != "Z" && state != "X" {
			return true
		}
	}
	return false
}

// status reads the state and the parent of a process, "" when there is none.
func status(folder string) (state string, parent int) {
	text, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return "", 0
	}
	// The name before them, in parentheses, may hold anything.
	rest := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(rest) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(rest[1])
	return rest[0], parent
}
