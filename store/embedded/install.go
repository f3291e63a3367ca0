//go:build unix

package embedded

import (
	"fmt"
	"strings"
)

const installWithApt = "sudo apt update && sudo apt install -y postgresql"

// packageManagers have the command that installs any supported Postgres, and the one that installs
// a major version. The latter names packages as Debian, the PGDG and Homebrew do.
var packageManagers = []struct{ program, anyVersion, version string }{
	{"apt", installWithApt, installWithApt + "-%d"},
	{"dnf", "sudo dnf install -y postgresql-server", "sudo dnf install -y postgresql%d-server"},
	{"brew", fmt.Sprintf("brew install postgresql@%d", newest), "brew install postgresql@%d"},
}

// installCommands returns the command that installs a Postgres of this major version (0: any) with
// the package manager of this machine. It returns those of all package managers when the machine
// has none of them.
func installCommands(major int, isRoot bool, onPath func(program string) bool) []string {
	var all []string
	for _, m := range packageManagers {
		command := m.anyVersion
		if major != 0 {
			command = fmt.Sprintf(m.version, major)
		}
		if isRoot { // a container may have no sudo
			command = strings.ReplaceAll(command, "sudo ", "")
		}
		if onPath(m.program) {
			return []string{command}
		}
		all = append(all, command)
	}
	return all
}
