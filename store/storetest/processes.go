//go:build faults

package storetest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// children lists the child processes of a process.
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

// anyAlive reports whether one of these processes still runs. Zombies do not.
func anyAlive(pids []int) bool {
	for _, pid := range pids {
		if state, _ := status("/proc/" + strconv.Itoa(pid)); state != "" && state != "Z" && state != "X" {
			return true
		}
	}
	return false
}

// status returns the state and the parent of a process, or "" if there is no such process.
func status(folder string) (state string, parent int) {
	text, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return "", 0
	}
	// The name before these fields, in parentheses, may hold any character.
	rest := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(rest) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(rest[1])
	return rest[0], parent
}
