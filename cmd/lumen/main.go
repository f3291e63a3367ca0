// Command lumen is the program: a development server, the service, and the operator's commands.
package main

import (
	"os"

	"lumen/cmd/internal/program"
)

// version and commit are set when a release is linked.
var version, commit string

func main() {
	os.Exit(program.Main(program.Release{Version: version, Commit: commit}))
}
