//go:build unix

package embedded

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInstallCommands(t *testing.T) {
	t.Parallel()
	const apt = "sudo apt update && sudo apt install -y postgresql"
	for name, test := range map[string]struct {
		program string
		major   int
		isRoot  bool
		want    []string
	}{
		"Debian":                 {"apt", 0, false, []string{apt}},
		"Debian, as root":        {"apt", 0, true, []string{"apt update && apt install -y postgresql"}},
		"Debian, for older data": {"apt", 15, false, []string{apt + "-15"}},
		"Fedora":                 {"dnf", 0, false, []string{"sudo dnf install -y postgresql-server"}},
		"Fedora, for older data": {"dnf", 15, true, []string{"dnf install -y postgresql15-server"}},
		"macOS":                  {"brew", 0, false, []string{"brew install postgresql@18"}},
		"macOS, for older data":  {"brew", 15, false, []string{"brew install postgresql@15"}},
		"without a known one, all": {"", 0, false, []string{
			apt, "sudo dnf install -y postgresql-server", "brew install postgresql@18",
		}},
		"the same, for older data": {"", 16, true, []string{
			"apt update && apt install -y postgresql-16", "dnf install -y postgresql16-server",
			"brew install postgresql@16",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onPath := func(program string) bool { return program == test.program }
			require.Equal(t, test.want, installCommands(test.major, test.isRoot, onPath))
		})
	}
}
